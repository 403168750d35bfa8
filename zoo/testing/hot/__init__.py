"""The half of the conformance kit that holds tensors; entered in processes of its own.

::

    server      one process that has imported torch and forks a child for each piece of work
    work        in such a child: the planned checks, one after the other, each result written at once
    rig         a component ready to be tried: how it is built, fed and called
    common      checks of every kind     backbones, heads, losses: those of one
    tiny        the smallest backbone, head and loss that keep the contract
"""
