"""Every kind of layer is known by a glyph of its own."""

from __future__ import annotations

import pytest

from engine.layers import REGISTRY
from explorer import theme
from explorer.panels.icons import icon_name


@pytest.mark.parametrize("kind", sorted(REGISTRY))
def test_a_layer_has_a_glyph_that_no_other_layer_has(kind: str) -> None:
    name = icon_name(kind)
    assert name != "layer", f"draw resources/icons/{kind.lower()}.svg"
    drawn = (theme.ICON_DIRECTORY / f"{name}.svg").read_text("utf-8")
    others = {icon_name(other) for other in REGISTRY if other != kind}
    assert name not in others
    assert drawn not in {(theme.ICON_DIRECTORY / f"{o}.svg").read_text("utf-8") for o in others}


def test_a_kind_that_is_not_known_has_the_general_glyph() -> None:
    assert icon_name("FromAnotherProgram") == "layer"
