from zoo.testing import check_plugin


def test_the_plugin_keeps_the_contract() -> None:
    check_plugin("zoo-timm", sample=4, largest=400_000)
