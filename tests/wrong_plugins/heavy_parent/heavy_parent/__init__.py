"""A library with its own door, which imports torch; the cold module lies behind it."""

from heavy_parent.head import Head

__all__ = ["Head"]
