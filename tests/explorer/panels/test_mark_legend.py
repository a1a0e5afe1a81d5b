"""The legend of the marks: only those in sight, drawn as they are, readable in both themes."""

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor

from engine.cell import Cell
from engine.layers import REGISTRY
from explorer import theme
from explorer.panels import Inspector
from explorer.panels.inspector.pooling import colour_number
from explorer.tensors.grid import MARKS_FROM
from explorer.tensors.scales import LAST, lut


@pytest.fixture
def panel(qtbot):
    panel = Inspector()
    qtbot.addWidget(panel)
    panel.resize(380, 900)
    panel.show()
    return panel


@pytest.fixture(params=["light", "dark"])
def mode(request):
    theme.set_mode(request.param)
    yield request.param
    theme.set_mode("system")


def look(panel, ran, node, position):
    panel.set_run(ran.graph, ran.inference, ran.trace, position, node)


def signs(legend):
    return {entry.sign for entry in legend.entries}


def contrast(one, other):
    def luminance(colour):
        parts = np.array(QColor(colour).getRgbF()[:3])
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ (0.2126, 0.7152, 0.0722))

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_forward_explains_the_winners_and_backward_where_the_gradient_goes(panel, ran):
    look(panel, ran, "pool1", ran.after("forward", "relu1"))
    assert signs(panel.source_legend) == set() and panel.source_legend.isHidden()
    look(panel, ran, "pool1", ran.after("forward", "pool1"))
    forward = signs(panel.source_legend)
    assert "won" in forward and not forward & {"gets", "zero", "several", "padding", "window"}
    look(panel, ran, "pool1", ran.after("backward", "pool1"))
    assert {"won", "gets", "zero"} <= signs(panel.source_legend)


def test_ties_and_several_wins_are_explained_where_they_are(panel, ran, run):
    for size, padding in ((3, 1), (1, 0), (5, 2)):
        layer = REGISTRY["MaxPool2d"](size, stride=1, padding=padding)
        graph = ran.graph.insert(type(ran.graph.nodes[0])("pool3", layer, ()), "block/conv", 0)
        other = run(graph)
        look(panel, other, "pool3", other.after("backward", "pool3"))
        shown = panel.marks[0]
        counts = np.unique(shown.places, axis=0, return_counts=True)[1]
        found = signs(panel.source_legend)
        assert ("several" in found) == bool((counts > 1).any())
        assert ("tie" in found) == bool(shown.tied.any())
        assert ("padding" in found) == bool(padding)


def test_a_chosen_cell_adds_its_window_and_its_winner(panel, ran):
    look(panel, ran, "pool1", ran.after("backward", "pool1"))
    panel.set_focus(Cell("pool1", 0, (1, 2, 3)))
    assert {"window", "outline"} <= signs(panel.source_legend)
    panel.set_focus(None)
    assert not signs(panel.source_legend) & {"window", "outline"}


def test_marks_that_are_too_small_are_not_explained(qtbot, panel, ran):
    look(panel, ran, "pool1", ran.after("backward", "pool1"))
    assert "won" in signs(panel.source_legend)
    grid = panel.source.forward_grid
    grid.setFocus()
    while grid.view.zoom >= MARKS_FROM:
        qtbot.keyClick(grid, Qt.Key.Key_Minus)
    assert signs(panel.source_legend) == {"small"}


def test_the_signs_are_painted_in_the_colours_of_the_marks(qtbot, panel, ran, mode):
    look(panel, ran, "pool1", ran.after("backward", "pool1"))
    panel.set_focus(Cell("pool1", 0, (1, 2, 3)))
    legend, tokens = panel.source_legend, theme.current()
    qtbot.waitUntil(lambda: legend.height() == legend.heightForWidth(legend.width()))
    picture = legend.grab().toImage()

    def colours(sign):
        rect = legend.sign_rect(sign).toRect()
        return {
            QColor(picture.pixel(x, y)).name()
            for x in range(rect.left(), rect.right() + 1)
            for y in range(rect.top(), rect.bottom() + 1)
        }

    assert set(tokens.windows[:2]) <= colours("won")
    zero = QColor.fromRgb(int(lut(tokens, "diverging").colours[LAST["diverging"] // 2])).name()
    assert zero in colours("zero")
    entry = next(e for e in legend.entries if e.sign == "window")
    assert entry.number == colour_number(2, 3)
    assert tokens.windows[entry.number] in colours("window")
    assert tokens.accent in colours("outline")


def test_a_ring_stands_out_from_the_zeros_around_it(mode):
    tokens = theme.current()
    zero = QColor.fromRgb(int(lut(tokens, "diverging").colours[LAST["diverging"] // 2]))
    for colour in tokens.windows:
        assert contrast(colour, zero) >= 3
        # a dot is told from any cell by its colour or by its halo
        assert contrast(colour, tokens.focus_halo) >= 4
        for cell in lut(tokens, "sequential").colours[:255].tolist():
            shade = QColor.fromRgb(cell)
            assert max(contrast(colour, shade), contrast(tokens.focus_halo, shade)) >= 2


def test_the_legend_is_as_high_as_its_lines(qtbot, panel, ran):
    look(panel, ran, "pool1", ran.after("backward", "pool1"))
    panel.set_focus(Cell("pool1", 0, (1, 2, 3)))
    legend = panel.source_legend
    assert legend.heightForWidth(200) > legend.heightForWidth(900)
    qtbot.waitUntil(lambda: legend.height() == legend.heightForWidth(legend.width()))
    assert legend.sign_rect(legend.entries[-1].sign).bottom() <= legend.height()


def test_beside_numbers_the_gradient_has_dots(qtbot, panel, ran):
    look(panel, ran, "pool1", ran.after("backward", "pool1"))
    grid = panel.source.forward_grid
    grid.setFocus()
    while grid.view.zoom < theme.metrics().numbers_from:
        qtbot.keyClick(grid, Qt.Key.Key_Plus)
    entries = panel.source_legend.entries
    assert [e.text for e in entries if e.sign == "won"] == ["won its window, gets its gradient"]
    assert "gets" not in signs(panel.source_legend)


def test_a_larger_panel_may_change_what_is_drawn(qtbot, panel, ran):
    look(panel, ran, "pool1", ran.after("backward", "pool1"))
    qtbot.keyClick(panel.which, Qt.Key.Key_Home)  # all channels, fitted
    assert panel.source.forward_grid.view.fit
    panel.resize(2400, 2400)
    numbers = theme.metrics().numbers_from
    qtbot.waitUntil(lambda: panel.source.forward_grid.view.zoom >= numbers)
    qtbot.waitUntil(lambda: "gets" not in signs(panel.source_legend))
    assert "won" in signs(panel.source_legend)
