"""What-ifs run at once, outside of network and picture, and end with what they are about."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from engine.cell import Cell
from explorer.narration import join_at
from explorer.what_if import WhatIfBar


class TestGains:
    ADD = "stage1/block1/add"

    @pytest.fixture(autouse=True)
    def residual(self, bench: Any) -> None:
        bench.controller.projects.open_shipped("resnet-digits")

    def test_it_runs_at_once_and_the_network_stays(self, bench: Any) -> None:
        w, d = bench.controller.what_ifs, bench.document
        before, graph = d.trace.look("value", ("fc", 0)), d.graph
        w.set_gain(self.ADD, 1, 0.5)
        assert d.gains == {(self.ADD, 1): 0.5} == d.trace.gains
        after = d.trace.look("value", ("fc", 0))
        assert not np.allclose(before, after)
        assert d.graph == graph and not d.modified and not bench.controller.undo_stack.canUndo()
        w.set_gain(self.ADD, 1, 1.0)  # as the network is
        assert d.gains == {} and np.array_equal(d.trace.look("value", ("fc", 0)), before)
        w.set_gain(self.ADD, 0, 0.0)
        w.reset()
        assert d.gains == {} and np.array_equal(d.trace.look("value", ("fc", 0)), before)

    def test_it_is_of_a_join_alone(self, bench: Any) -> None:
        w, d = bench.controller.what_ifs, bench.document
        for place in (("fc", 0), ("gone", 0), (self.ADD, 7)):
            w.set_gain(*place, 0.5)
        w.set_gain(self.ADD, 0, float("nan"))
        assert d.gains == {} and bench.notices == []

    def test_it_goes_with_its_node(self, bench: Any) -> None:
        c, d = bench.controller, bench.document
        c.what_ifs.set_gain(self.ADD, 1, 0.5)
        c.layers.rename(self.ADD, "sum")
        assert d.gains == {("sum", 1): 0.5} == d.trace.gains
        c.layers.delete({"sum"})
        assert d.gains == {} and d.run is not None
        c.what_ifs.set_gain("stage2/block2/add", 0, 0.0)
        c.projects.open_shipped("lenet5")
        assert d.gains == {} and d.run.error == ""


class TestChangedPixels:
    def test_another_number_runs_at_once(self, bench: Any) -> None:
        w, d = bench.controller.what_ifs, bench.document
        x = d.sample.x
        cell = Cell("image", 0, (0, 2, 3))
        before = d.trace.look("value", ("conv1", 0)).copy()
        w.set_pixel(cell, 3.0)
        assert d.pixels == {(0, 2, 3): 3.0} and d.sample.x is x
        assert d.trace.look("value", ("image", 0))[0, 0, 2, 3] == 3.0
        changed = np.abs(d.trace.look("value", ("conv1", 0)) - before)[0].max(0) > 0
        assert changed[1:4, 2:5].any() and not changed[5:].any()
        assert not d.modified and not bench.controller.undo_stack.canUndo()
        w.set_pixel(cell, float(x[0, 2, 3]))  # as it is
        assert d.pixels == {}
        w.set_pixel(cell, 3.0)
        w.reset()
        assert np.array_equal(d.trace.look("value", ("conv1", 0)), before)

    def test_another_picture_ends_it(self, bench: Any) -> None:
        w, d = bench.controller.what_ifs, bench.document
        w.set_pixel(Cell("image", 0, (0, 2, 3)), 3.0)
        bench.controller.pictures.next()
        assert d.pixels == {}
        assert np.array_equal(d.trace.look("value", ("image", 0))[0], d.sample.x)

    def test_only_numbers_of_the_picture(self, bench: Any) -> None:
        w, d = bench.controller.what_ifs, bench.document
        for cell, value in (
            (Cell("conv1", 0, (0, 2, 3)), 1.0),
            (Cell("image", 0, (0, 99, 3)), 1.0),
            (Cell("image", 0, (0,)), 1.0),
            (Cell("image", 0, (0, 2, 3)), float("inf")),
        ):
            w.set_pixel(cell, value)
        assert d.pixels == {}


class TestJoinsSideBySide:
    @pytest.mark.parametrize(
        ("network", "join", "names"),
        [
            ("densenet-digits", "block1/layer2/concat", ("skip", "branch", "branch 2")),
            ("squeezenet-digits", "fire2/concat", ("expand1x1/relu", "expand3x3/relu")),
        ],
    )
    def test_the_parts_of_a_concat_have_names_and_can_be_muted(
        self, bench: Any, qtbot: QtBot, network: str, join: str, names: tuple[str, ...]
    ) -> None:
        c, d = bench.controller, bench.document
        c.projects.open_architecture(network)
        qtbot.waitUntil(lambda: join in d.graph.by_id and d.run is not None and d.run.complete)
        assert join_at(d.graph, join).names == names
        c.what_ifs.set_gain(join, 1, 0.0)
        assert d.gains == {(join, 1): 0.0} and d.run.error == ""
        qtbot.waitUntil(lambda: d.run.complete)
        node = d.graph.node(join)
        first = d.trace.look("value", node.sources[0]).shape[1]
        width = d.trace.look("value", node.sources[1]).shape[1]
        y = d.trace.look("value", (join, 0))
        assert not y[:, first : first + width].any() and y[:, :first].any()
        bar = WhatIfBar()
        qtbot.addWidget(bar)
        bar.set_what_if(d.graph, d.gains, {})
        assert bar.label.text() == f"What if: {names[1]} of {join} muted"
