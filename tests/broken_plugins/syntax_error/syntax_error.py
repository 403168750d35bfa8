"""Is not Python."""

def zoo_losses(:
