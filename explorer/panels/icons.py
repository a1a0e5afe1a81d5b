"""The glyph of a layer's kind."""

from __future__ import annotations

from explorer import theme

_NAMES = {
    "Conv2d": "conv",
    "MaxPool2d": "pool-max",
    "AvgPool2d": "pool-average",
    "GlobalAvgPool": "global-average",
    "BatchNorm2d": "batch-norm",
    "Add": "add-layer",
    "Multiply": "multiply-layer",
}


def icon_name(kind: str) -> str:
    """The icon of a layer's class name; the general one where it has none of its own."""
    name = _NAMES.get(kind, kind.lower())
    return name if (theme.ICON_DIRECTORY / f"{name}.svg").is_file() else "layer"
