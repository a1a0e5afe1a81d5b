"""Which lines are drawn as skips: those of a tensor that is passed on beside what is made of it."""

from __future__ import annotations

from typing import Any

from engine.architectures.densenet import densenet_digits
from engine.architectures.googlenet import googlenet_digits


def test_the_short_branches_of_an_inception_block_are_no_skips(stage: Any) -> None:
    """A dense block passes a tensor on beside the layer that reads it: that is one."""
    stage.show(googlenet_digits())
    assert not any(e.facts.skip for e in stage.canvas.network.edges.values())
    stage.show(densenet_digits())
    skips = {
        (e.facts.ref[0], e.facts.reader)
        for e in stage.canvas.network.edges.values()
        if e.facts.skip
    }
    assert ("stem/conv", "block1/layer3/concat") in skips
    assert ("block1/layer1/conv2", "block1/layer3/concat") in skips
    assert ("block1/layer3/conv2", "block1/layer3/concat") not in skips
