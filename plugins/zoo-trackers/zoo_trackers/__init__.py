"""Observers that keep a run's figures where other tools show them.

Each is a module of its own, imported when a run asks for it: `--observe trackers/tensorboard`,
`--observe trackers/mlflow`.
"""

import zoo


@zoo.hookimpl
def zoo_observers() -> tuple[str, ...]:
    """The observers, by their modules' names."""
    return "mlflow", "tensorboard"
