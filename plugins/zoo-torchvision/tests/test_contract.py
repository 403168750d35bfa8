from zoo.testing import check_plugin


def test_the_plugin_keeps_the_contract() -> None:
    check_plugin("zoo-torchvision", sample=3, largest=1_000_000)
