"""The live service: the probability while the visitor is still there.

Wire formats become canonical events (`protocols`), events are put into sessions (`sessions`),
states are kept (`state` in memory with a log, `redis` shared), the model scores (`model`).
"""
