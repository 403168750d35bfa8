from zoo.testing import check_plugin

WITHOUT = {
    "no-wait metric-learning/*": "the library picks pairs by their indices: a GPU must count them"
}


def test_the_plugin_keeps_the_contract() -> None:
    check_plugin("zoo-metric-learning", without=WITHOUT)
