"""Observers that keep a run's figures where other tools show them.

Each is a module of its own, imported when a run asks for it: `--observe trackers/tensorboard`,
`--observe trackers/mlflow`.
"""
