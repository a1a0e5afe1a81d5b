"""Lines of the command box that are layers or places."""

from __future__ import annotations

from typing import ClassVar

import pytest

from engine.layers.avg_pool2d import AvgPool2d
from engine.layers.base import REGISTRY, Layer
from engine.layers.batch_norm2d import BatchNorm2d
from engine.layers.conv2d import Conv2d
from engine.layers.dropout import Dropout
from engine.layers.group_norm import GroupNorm
from engine.layers.linear import Linear
from engine.layers.max_pool2d import MaxPool2d
from engine.layers.pad import Pad
from engine.layers.resize import Resize
from explorer.typed import described, meanings


@pytest.mark.parametrize(
    ("line", "layer"),
    [
        ("conv", Conv2d()),
        ("conv 64 3x3 s2", Conv2d(64, 3, stride=2)),
        ("Conv2d 64 5 ", Conv2d(64, 5)),
        ("conv 16 5x3 s2x1 p2x1 d2 g4 nobias", None),
        ("conv 32 k3x5 same", Conv2d(32, (3, 5), padding=(1, 2))),
        ("conv 32 3×3 d2 same", Conv2d(32, 3, padding=2, dilation=2)),
        ("pool", MaxPool2d()),
        ("maxpool 3 s2 p1", MaxPool2d(3, stride=2, padding=1)),
        ("avg 3x3 s1 ceil_mode", AvgPool2d(3, stride=1, ceil_mode=True)),
        ("fc 120", Linear(120)),
        ("dense 84 bias=no", Linear(84, bias=False)),
        ("dropout 0.3", Dropout(0.3)),
        ("bn .2", None),
        ("gn groups=4", GroupNorm(groups=4)),
        ("pad 2 reflect", Pad(2, "reflect")),
        ("resize 2x3 linear", Resize((2, 3), "linear")),
    ],
)
def test_a_line_is_a_layer(line: str, layer: Layer | None) -> None:
    first = meanings(line, ())[0]
    if layer is None:
        layer = {
            "conv 16 5x3 s2x1 p2x1 d2 g4 nobias": Conv2d(
                16, (5, 3), stride=(2, 1), padding=(2, 1), dilation=2, groups=4, bias=False
            ),
            "bn .2": BatchNorm2d(eps=0.2),
        }[line]
    assert first.layer == layer and first.sure
    assert first.text.startswith("Add ")


@pytest.mark.parametrize("kind", sorted(REGISTRY))
def test_every_layer_has_a_word(kind: str) -> None:
    assert meanings(REGISTRY[kind].slug, ())[0].layer == REGISTRY[kind]()
    assert meanings(kind, ())[0].layer == REGISTRY[kind]()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("conv 64 blue", "'blue'"),
        ("conv 64 3x3x3", "'3x3x3'"),
        ("conv 2x2 same", "'same'"),
        ("conv stride=fast", "'stride=fast'"),
        ("conv 1 2 3 4 5 6 7 8", "expected"),
        ("relu 7", "nothing more, received '7'"),
        ("fc 0", "Linear.out_features"),
        ("dropout 3.5", "Dropout.p"),
        ("gn affine=maybe", "'affine=maybe'"),
        ("conv =", "'='"),
    ],
)
def test_what_cannot_be_read_is_named(line: str, words: str) -> None:
    first = meanings(line, ())[0]
    assert first.layer is None and not first.node and words in first.text


def test_the_beginning_of_a_name_is_less_sure() -> None:
    assert [type(t.layer).__name__ for t in meanings("leaky", ())] == ["LeakyReLU"]
    assert not any(t.sure for t in meanings("train", ()))
    assert meanings("x", ()) == meanings("", ()) == meanings("open file", ()) == []


def test_goto_finds_places_by_a_part_of_their_name() -> None:
    nodes = ["stage3/block1/conv1", "stage3/block10/conv1", "fc", "Stage3"]
    found = meanings("goto stage3", nodes)
    assert [t.node for t in found] == ["Stage3", "stage3/block1/conv1", "stage3/block10/conv1"]
    assert meanings("goto fc", nodes)[0].node == "fc"
    assert meanings("goto nowhere", nodes) == []


def test_a_layer_in_words() -> None:
    assert (
        described(Conv2d(64, 3, stride=2))
        == "Convolution, out_channels 64, kernel_size 3, stride 2"
    )
    assert described(Conv2d(8, (3, 5))) == "Convolution, out_channels 8, kernel_size 3×5"


class TestOwnBlocks:
    """Blocks that the user has kept are typed by their names, with other widths."""

    OWN: ClassVar[dict[str, int]] = {"my block": 16, "pool": 0, "Stem": 8}

    @pytest.mark.parametrize(
        ("line", "name", "factor"),
        [
            ("my block", "my block", 1.0),
            ("My Block 32", "my block", 2.0),
            ("my block x0.5", "my block", 0.5),
            ("stem 2x", "Stem", 2.0),
            ("STEM ×3", "Stem", 3.0),
        ],
    )
    def test_named(self, line: str, name: str, factor: float) -> None:
        first = meanings(line, (), self.OWN)[0]
        assert (first.own, first.factor, first.sure) == (name, factor, True)

    def test_the_text_says_the_channels(self) -> None:
        assert (
            meanings("my block x2", (), self.OWN)[0].text == "Add your block my block, channels 32"
        )

    def test_begun(self) -> None:
        (found,) = [t for t in meanings("my", (), self.OWN) if t.own]
        assert (found.own, found.sure, found.line) == ("my block", False, "my block")

    def test_a_layer_of_that_name_comes_first(self) -> None:
        found = meanings("pool", (), self.OWN)
        assert found[0].layer is not None and [t.own for t in found if t.own] == ["pool"]

    @pytest.mark.parametrize("line", ["my block blue", "my block x0", "my block 99999", "pool 8 x"])
    def test_what_cannot_be_read_is_said(self, line: str) -> None:
        found = [t for t in meanings(line, (), self.OWN) if not (t.layer or t.block or t.node)]
        assert found and not any(t.own for t in found) and "received" in found[-1].text


def test_two_letters_of_a_command_are_no_layer_with_a_mistake() -> None:
    assert meanings("to the start", ()) == []
    (told,) = [t for t in meanings("batchno what", ()) if t.layer is None]
    assert "received 'what'" in told.text
