"""Runs: trained models with their evidence. `Run.open` is the one door to them.

- `run.Run`: a run, opened by path, id or alias; facts, findings, tables, models, all verified.
- `reading.Reading`: how logs are read for it, and `foreign`: what they must be like.
- `write.write_run`: the folder, whole or not there.
- `registry.Registry`: which runs exist, and which is champion.
"""
