"""`python -m zoo` is `zoo`."""

from zoo.cli import program

program()
