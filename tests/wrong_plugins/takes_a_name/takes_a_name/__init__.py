"""Its recipe takes the name of one that zoo ships."""

import zoo


@zoo.hookimpl
def zoo_entries():
    yield "takes_a_name:recipes.toml"
