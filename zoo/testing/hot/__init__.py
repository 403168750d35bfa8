"""The half of the conformance kit that holds tensors; entered in processes of its own.

::

    server      one process that has imported torch and forks a child for each piece of work
    work        in such a child: the planned checks, one by one, each result written at once
    rig         a component ready to be tried: how it is built, fed and called
    comparing   what may differ, and by how much
    handling    modules on the meta device, inputs with other tensors or other rows
    manners     what it does to the process         calling     target, keywords, building
    choices     whether options do something        keeping     state, modes, randomness
    learning    gradients, step after step          batching    batches of one, bfloat16, in place
    placing     a GPU that is only pretended        sending     its state, to another process
    watching    observers
    common      all of these by name; backbones, heads, losses have the checks of one kind
    tiny        the smallest backbone, head and loss that keep the contract
"""
