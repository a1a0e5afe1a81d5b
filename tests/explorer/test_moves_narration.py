"""Sentences of layers that move, choose or bend numbers one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.graph import Graph, Input, Loss, Node
from engine.layers import REGISTRY
from engine.layers.arg_max import ArgMax
from engine.layers.base import Array, Layer
from engine.layers.compare import Compare
from engine.layers.constant import Constant
from engine.layers.conv2d import Conv2d
from engine.layers.depth_to_space import DepthToSpace
from engine.layers.expand import Expand
from engine.layers.feature_norm import FeatureNorm
from engine.layers.flatten import Flatten
from engine.layers.frame import Frame
from engine.layers.function import FUNCTIONS, Function
from engine.layers.gather import Gather
from engine.layers.gelu import GELU
from engine.layers.group_norm import GroupNorm
from engine.layers.identity import Identity
from engine.layers.join import Join
from engine.layers.linear import Linear
from engine.layers.pad import Pad
from engine.layers.pick import Pick
from engine.layers.resize import Resize
from engine.layers.sigmoid import Sigmoid
from engine.layers.slice import Slice
from engine.layers.space_to_depth import SpaceToDepth
from engine.layers.split import Split
from engine.layers.strided_slice import StridedSlice
from engine.layers.top_k import TopK
from engine.losses import CrossEntropy
from engine.parameters import initial_parameters
from engine.plan import Batch, compile, exhaust
from engine.trace import Trace
from explorer.narration import sentence
from explorer.narration.moves import MOVES_BACKWARD, MOVES_FORWARD
from explorer.tensors.scales import format_number


def told(layer: Layer, inputs: int = 1) -> tuple[str, str, Trace]:
    """The layer "a" after convolutions with 4×6×6 numbers, forward and backward."""
    first = [Node(n, Conv2d(4, 3, padding=1), (("image", 0),)) for n in ("c", "d")[:inputs]]
    graph = Graph(
        (Input("image", (2, 6, 6)),),
        (
            *first,
            Node("a", layer, tuple((node.id, 0) for node in first)),
            Node("flat", Flatten(), (("a", 0),)),
            Node("fc", Linear(3), (("flat", 0),)),
        ),
        losses=(Loss("loss", CrossEntropy(), ("fc", 0)),),
        labels=("cat", "dog", "fox"),
    )
    x = np.random.default_rng(7).normal(size=(1, 2, 6, 6)).astype("float32")
    plan = compile(graph, initial_parameters(graph, 3), batch=1, mode="eval")
    trace = Trace()
    with np.errstate(all="ignore"):
        exhaust(plan.run(Batch.of(graph, x, np.array([1])), trace=trace))

    def text(phase: str) -> str:
        steps = enumerate(trace.steps)
        return next(
            sentence(graph, trace, i + 1).text
            for i, s in steps
            if (s.phase, s.node) == (phase, "a")
        )

    return text("forward"), text("backward"), trace


def value(trace: Trace, name: str) -> Array:
    found = trace.look("value", (name, 0))
    assert found is not None
    return np.asarray(found[0])


def gradient(trace: Trace) -> Array:
    found = trace.look("grad", ("c", 0))
    assert found is not None
    return np.asarray(found[0], float)


def zeros(trace: Trace) -> str:
    dx = gradient(trace)
    return f"{int((dx == 0).sum())} of {dx.size} cells get exactly zero"


@pytest.mark.parametrize(
    ("layer", "said", "back"),
    [
        (Gather(1, (3, 0, 3)), "picked numbers 3, 0, 3 of the 4 channels of c: 3×6×6", "picked"),
        (Gather(2, tuple(range(6)) * 2), "numbers 0, 1, 2, 3, 4, 5, … of the 6 rows", "picked"),
        (Slice("rows", 1, 2), "cut 4×2×6 out of the 4×6×6 of c", "that it cut out"),
        (StridedSlice(3, 5, -2, 3), "kept 4×6×3 of the 4×6×6 cells of c", "that it kept"),
    ],
)
def test_what_is_left_out_gets_an_exact_zero(layer: Layer, said: str, back: str) -> None:
    forward, backward, trace = told(layer)
    y = value(trace, "a")
    assert said in forward and format_number(float(y.flat[np.abs(y).argmax()])) in forward
    assert back in backward
    if (gradient(trace) == 0).any():
        assert zeros(trace) in backward


@pytest.mark.parametrize(
    ("layer", "said", "back"),
    [
        (Split(2, (1, 5)), "cut c along its rows into 2 parts of 1, 5", "together again for c"),
        (
            DepthToSpace(2),
            "every 4 channels of c out as blocks of 2×2 cells: 4×6×6 become 1×12×12",
            "back to the place in c",
        ),
        (
            SpaceToDepth(2),
            "each block of 2×2 cells of c as 4 channels: 4×6×6 become 16×3×3",
            "back to the place in c",
        ),
        (Frame((0, 1, 1), (0, 1, 1)), "put a frame around c: 4×6×6 become 4×8×8", "cuts the frame"),
        (Frame((0, -1, -1), (0, 0, 0)), "cut the rim off c: 4×6×6 become 4×5×5", "cuts the frame"),
        (Pad(1, "reflect"), "put cells of c around it once more", "cells of c that it repeated"),
        (Resize(2), "enlarged the maps of c from 4×6×6 to 4×12×12", "c"),
        (Identity(), "handed the 4×6×6 numbers of c on", "unchanged to c"),
        (
            FeatureNorm(2),
            "every 36 numbers of c together mean 0 and spread 1, then its own scale",
            "mean and spread out of the gradient",
        ),
        (
            FeatureNorm(3, scale=False, bias=False),
            "every 6 numbers of c together mean 0 and spread 1;",
            "mean and spread",
        ),
        (
            FeatureNorm(1, centred=False),
            "every 144 numbers of c together a mean square of 1",
            "mean and spread",
        ),
        (GroupNorm(groups=2), "every 72 numbers of c together mean 0", "mean and spread"),
        (Sigmoid(), "c", "times the slope of its curve there, to c"),
    ],
)
def test_one_tensor(layer: Layer, said: str, back: str) -> None:
    forward, backward, trace = told(layer)
    assert said in forward and back in backward
    norm = format_number(float(np.linalg.norm(gradient(trace))))
    assert f"‖∂‖ {norm}" in backward


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_functions(name: str) -> None:
    forward, backward, trace = told(Function(name))
    assert "number of c" in forward or "each 0 of c" in forward
    if gradient(trace).any():
        assert "each gradient" in backward
    else:
        assert "an exact zero to each of the 144 numbers of c" in backward


def test_curves_count_what_is_below_zero() -> None:
    forward, _, trace = told(GELU())
    below = int((value(trace, "c") < 0).sum())
    assert 0 < below < 144 and f"{below} of 144" in forward


def test_two_tensors_are_joined() -> None:
    forward, backward, _ = told(Join(2), 2)
    assert "put c (4×6×6) and d (4×6×6) one after another along the rows: 4×12×6" in forward
    assert "cuts the gradient into the parts of" in backward


def test_an_expanded_tensor() -> None:
    forward, backward, _ = told(Expand((2, 4, 6, 6)))
    assert "repeated the 4×6×6 numbers of c to 2×4×6×6; no number changed" in forward
    assert "gradients of all copies for c" in backward


def test_a_tensor_of_its_own() -> None:
    forward, backward, _ = told(Constant((2, 3)))
    assert "gave its own 2×3 numbers, the same for every picture" in forward
    assert "keeps the gradient for its own numbers" in backward


def test_comparisons_count_how_often_it_is_so() -> None:
    forward, backward, trace = told(Compare(comparison="less_equal", value=0.25))
    true = int((value(trace, "c") <= 0.25).sum())
    assert f"whether c is at most 0.25: {true} of 144 times it is so" in forward
    assert "an exact zero to each of the 144 numbers of c" in backward
    assert "whether 0.25 is larger than c" in told(Compare(value=0.25, swapped=True))[0]
    assert "whether c equals d" in told(Compare(comparison="equal"), 2)[0]


def test_the_place_of_the_largest() -> None:
    forward, backward, trace = told(ArgMax())
    places, counts = np.unique(value(trace, "c").argmax(0), return_counts=True)
    assert "along the 4 channels of c for the largest number, 36 times" in forward
    assert f"most often it was number {places[counts.argmax()]}" in forward
    assert "an exact zero to each of the 144 numbers of c" in backward


def test_the_largest_in_order() -> None:
    forward, backward, trace = told(TopK(2, 3, False))
    assert "kept the 2 smallest of every 6 numbers of c, in order: 4×6×2" in forward
    assert zeros(trace) in backward and "that it kept" in backward


def test_numbers_at_places() -> None:
    forward, backward, trace = told(Pick(1), 2)
    assert "took 144 numbers of c at the places that d says" in forward
    assert zeros(trace) in backward


def test_every_kind_that_is_told_is_a_layer() -> None:
    assert {*MOVES_FORWARD, *MOVES_BACKWARD} <= set(REGISTRY)


@pytest.mark.parametrize("kind", sorted(MOVES_FORWARD))
def test_no_sentence_has_a_hole(kind: str) -> None:
    layer: Any = REGISTRY[kind]()
    for text in told(layer, layer.arity[0])[:2]:
        assert "{" not in text and "}" not in text and text.endswith(".")
