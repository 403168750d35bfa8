"""Forgets the marker."""


def zoo_losses():
    return ()
