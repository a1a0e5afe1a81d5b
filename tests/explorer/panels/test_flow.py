"""The flow panel measures every gradient that is there, and marks zero and vanishing ones."""

import math

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor

from engine.graph import Graph, Node
from engine.layers import REGISTRY
from explorer import theme
from explorer.panels import FlowPanel
from explorer.panels.flow import Bar


def shown(qtbot, ran, position):
    panel = FlowPanel()
    qtbot.addWidget(panel)
    panel.resize(900, 200)
    panel.show()
    panel.set_run(ran.graph, ran.trace, position)
    asked = []
    panel.select_requested.connect(asked.append)
    return panel, asked


def test_bars_are_the_norms_at_the_position(qtbot, ran):
    panel, _ = shown(qtbot, ran, ran.after("backward", "pool2"))
    names = [bar.name for bar in panel.bars]
    assert names[0] == "image" and names[-1] == "fc"
    for bar in panel.bars:
        grad = ran.trace.look("grad", bar.ref, ran.after("backward", "pool2"))
        if grad is None:
            assert bar.norm is None
        else:
            assert bar.norm == pytest.approx(np.linalg.norm(grad.astype(float)))
    assert [bar.name for bar in panel.bars if bar.norm is not None] == [
        "block/add",
        "pool2",
        "flatten",
        "fc",
    ]
    assert [bar.name for bar in panel.bars if bar.forked] == ["pool1"]


def test_click_and_arrow_keys_select(qtbot, ran):
    panel, asked = shown(qtbot, ran, len(ran.trace))
    at = panel.rect_of(3).center().toPoint()
    qtbot.mouseClick(panel.viewport(), Qt.MouseButton.LeftButton, pos=at)
    assert asked == [frozenset((panel.bars[3].ref[0],))]
    panel.set_selection(asked[-1])
    qtbot.keyClick(panel, Qt.Key.Key_Right)
    assert asked[-1] == frozenset((panel.bars[4].ref[0],))


def test_bars_are_painted_by_their_logarithm(qtbot, ran):
    theme.set_mode("light")
    panel, _ = shown(qtbot, ran, len(ran.trace))
    image = panel.viewport().grab().toImage()
    colour = QColor(theme.current().backward)

    def height(index):
        column = panel.rect_of(index)
        x = int(column.center().x())
        return sum(image.pixelColor(x, y) == colour for y in range(image.height()))

    norms = [bar.norm for bar in panel.bars]
    order = np.argsort(norms)
    low, high = int(order[0]), int(order[-1])
    plain = [i for i in (low, high) if not panel.bars[i].forked]
    assert plain == [low, high]
    decades = panel.rect_of(0).height() / (height(high) - height(low))
    assert height(high) > height(low) > 0
    assert math.log10(norms[high] / norms[low]) * decades == pytest.approx(
        math.log10(10.0) * 2.25, rel=0.15
    )
    theme.set_mode("system")


def test_zero_and_vanishing_are_said(qtbot, ran, run):
    # An input of a ReLU that is always negative passes nothing back.
    graph = Graph(
        inputs=ran.graph.inputs,
        nodes=(
            Node("conv", REGISTRY["Conv2d"](2, 3), (("image", 0),)),
            Node("flatten", REGISTRY["Flatten"](), (("conv", 0),)),
            Node("fc", REGISTRY["Linear"](2), (("flatten", 0),)),
            Node("relu", REGISTRY["ReLU"](), (("fc", 0),)),
            Node("out", REGISTRY["Linear"](3), (("relu", 0),)),
        ),
        losses=(type(ran.graph.losses[0])("loss", ran.graph.losses[0].function, ("out", 0)),),
    )
    for seed in range(40):
        other = run(graph, seed=seed)
        if not other.trace.look("value", ("relu", 0)).any():
            break
    else:
        pytest.fail("no seed with a dead layer")
    panel, _ = shown(qtbot, other, len(other.trace))
    dead = next(bar for bar in panel.bars if bar.name == "conv")
    assert dead.norm == 0
    assert "exactly zero" in panel.text_of(dead)
    alive = next(bar for bar in panel.bars if bar.name == "out")
    assert not panel.is_vanishing(alive)
    assert panel.is_vanishing(Bar(("conv", 0), alive.norm * 1e-5))
    assert not panel.is_vanishing(dead)


def test_without_a_gradient_the_panel_says_what_to_do(qtbot, ran):
    panel, _ = shown(qtbot, ran, 3)
    assert all(bar.norm is None for bar in panel.bars)
    assert panel.accessibleDescription() == "No gradient yet"
