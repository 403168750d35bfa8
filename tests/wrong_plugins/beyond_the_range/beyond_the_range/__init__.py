"""Its recipe sets an option beyond its range."""

import zoo


@zoo.hookimpl
def zoo_entries():
    yield "beyond_the_range:recipes.toml"
