"""Gives feature maps where features are due."""

import zoo


@zoo.hookimpl
def zoo_backbones():
    yield zoo.Component(name="map_backbone", target="map_backbone_hot:build", provides=("features",))
