"""Its summary says when it was listed."""

from datetime import datetime

import zoo


@zoo.hookimpl
def zoo_heads():
    yield zoo.Component(
        name="clock",
        target="clock_hot:build",
        summary=f"One layer, as of {datetime.now().isoformat()}.",
        needs=("features",),
        provides=("logits", "view_logits"),
    )
