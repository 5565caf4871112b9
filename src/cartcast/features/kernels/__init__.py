"""The compiled fold: one fixed set of small kernels that interprets every feature set.

Only `codes` and `words` are free of Numba; the rest is imported when something is folded.
"""
