"""Its recipe has a setting that there is not."""

import zoo


@zoo.hookimpl
def zoo_entries():
    yield "misspelt_setting:recipes.toml"
