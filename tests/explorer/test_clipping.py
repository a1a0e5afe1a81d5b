"""Layers through the clipboard: text and back, into the same and another window."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from engine.graph import Graph, Node
from engine.layers.conv2d import Conv2d
from engine.layers.relu import ReLU
from explorer import clipping
from explorer.canvas import geometry
from explorer.clipping import ClippingError, clip, from_text, to_text


def of_bench(bench: Any, ids: set[str]) -> clipping.Clipping:
    d = bench.document
    return clip(d.graph, d.layout, d.parameters, ids)


def test_text_and_back_is_the_same(bench: Any) -> None:
    before = of_bench(bench, {"conv1", "relu1"})
    after = from_text(to_text(before))
    assert after.nodes == before.nodes and after.layout == before.layout and after.complete
    assert after.nodes[0].inputs == (None,) and after.nodes[1].inputs == (("conv1", 0),)
    assert after.weights.keys() == {("conv1", "weight"), ("conv1", "bias")}
    for key, array in before.weights.items():
        np.testing.assert_array_equal(after.weights[key], array)


def test_shared_weights_stay_shared_when_both_are_taken() -> None:
    graph = Graph(
        nodes=(
            Node("one", Conv2d(2), (None,)),
            Node("two", Conv2d(2), (("one", 0),), params="one"),
        )
    )
    weight = np.ones((2, 1, 3, 3), "float32")
    both = clip(graph, {}, {("one", "weight"): weight}, {"one", "two"})
    assert both.nodes[1].params == "one" and list(both.weights) == [("one", "weight")]
    alone = clip(graph, {}, {("one", "weight"): weight}, {"two"})
    assert alone.nodes[0].params is None and list(alone.weights) == [("two", "weight")]


def test_weights_that_are_too_large_stay_behind(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clipping, "LARGEST_WEIGHTS", 10)
    found = of_bench(bench, {"conv1"})
    assert not found.complete and not found.weights
    bench.controller.clipboard.paste(to_text(found))
    assert "conv2" in bench.document.graph.by_id
    assert "too large to copy" in bench.notices[-1].text


def broken(change: Callable[[Any], object]) -> str:
    node = Node("a", ReLU(), (None,))
    data = json.loads(to_text(clip(Graph(nodes=(node,)), {"a": (1.0, 2.0)}, {}, {"a"})))
    change(data)
    return json.dumps(data)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "some words",
        "[]",
        "[" * 100_000,
        json.dumps({"format": "gradient-flow-layers"}),
        broken(lambda d: d["nodes"][0].update(layer={"kind": "Nothing"})),
        broken(lambda d: d["nodes"][0].update(inputs=[["b", 0]])),
        broken(lambda d: d["nodes"][0].update(inputs=[["a", 0]])),
        broken(lambda d: d["nodes"][0].update(id="§")),
        broken(lambda d: d["nodes"].append(d["nodes"][0])),
        broken(lambda d: d["nodes"][0].update(place=[float("nan"), 0])),
        broken(lambda d: d["weights"].append({"of": ["a", "w"], "shape": [2], "data": "AAAA"})),
        broken(lambda d: d["weights"].append({"of": ["a", "w"], "shape": [1], "data": "?"})),
    ],
)
def test_anything_else_is_refused_in_words(bench: Any, text: str) -> None:
    with pytest.raises(ClippingError, match="Clipboard: "):
        from_text(text)
    before = bench.document.content
    bench.controller.clipboard.paste(text)
    assert bench.document.content == before and bench.notices[-1].level == "warning"


class TestPaste:
    def test_beside_the_original_with_its_weights_in_one_entry(self, bench: Any) -> None:
        c, d = bench.controller, bench.document
        before = d.content
        text = c.clipboard.copy({"conv1", "relu1"})
        c.clipboard.paste(text)
        assert d.graph.node("relu2").inputs == (("conv2", 0),)
        assert d.graph.node("conv2").inputs == (None,)
        assert d.selection == {"conv2", "relu2"} and c.undo_stack.count() == 1
        assert c.undo_stack.undoText() == "Paste 2 layers"
        first = d.layout["conv2"]
        c.clipboard.paste(text)
        assert d.layout["conv3"] != first
        width, height = geometry.size_of()
        places = list(d.layout.values())
        assert all(
            abs(x - u) >= width or abs(y - v) >= height
            for (x, y), (u, v) in itertools.combinations(places, 2)
        ), "what is pasted covers nothing"
        c.layers.connect_tensor(("image", 0), "conv2", 0)
        np.testing.assert_array_equal(
            d.parameters["conv2", "weight"], d.parameters["conv1", "weight"]
        )
        for _ in range(3):
            c.undo()
        assert d.content == before

    def test_into_another_window_under_its_own_name(
        self, bench: Any, another: Callable[[], Any]
    ) -> None:
        other = another()
        other.controller.projects.new()
        other.controller.clipboard.paste(bench.controller.clipboard.copy({"conv1"}))
        assert "conv1" in other.document.graph.by_id
        other.controller.layers.connect_tensor(("image", 0), "conv1", 0)
        np.testing.assert_array_equal(
            other.document.parameters["conv1", "weight"],
            bench.document.parameters["conv1", "weight"],
        )
        other.controller.close()

    def test_nothing_to_copy_is_empty(self, bench: Any) -> None:
        assert bench.controller.clipboard.copy({"image", "loss"}) == ""
