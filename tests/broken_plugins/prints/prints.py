"""Prints whatever it likes, and is fine otherwise."""

import sys

import zoo

print('{"components": 1}')
print("hello", file=sys.stderr)


@zoo.hookimpl
def zoo_losses():
    print("listing")
    yield zoo.Component(name="prints", target="prints_build:build", needs=("logits",))
