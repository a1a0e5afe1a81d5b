"""What the canvas paints: the traced numbers in their colours, and nothing not yet computed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QColor, QImage
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from engine.architectures import ARCHITECTURES
from engine.cell import Cell
from engine.graph import Graph, Input, Node
from engine.layers.conv2d import Conv2d
from engine.layers.linear import Linear
from engine.muting import mute
from engine.trace import Step, Trace
from explorer import theme
from explorer.canvas import Canvas, far_item, geometry, ink, scene
from explorer.canvas.edge_item import EdgeItem
from explorer.canvas.node_item import NodeItem
from explorer.canvas.strips import compose, compose_picture
from explorer.canvas.tips import tip
from explorer.tensors.scales import colourise, edge_width, lut, scale_for

Run = tuple[Graph, Trace, list[Step]]


def pixels(image: QImage) -> np.ndarray:
    image = image.convertToFormat(QImage.Format.Format_RGB32)
    rows = np.frombuffer(image.constBits(), np.uint32)
    # A copy: the image, and with it the memory, ends with this function.
    return rows.reshape(image.height(), image.bytesPerLine() // 4)[:, : image.width()].copy()


def colour(token: str) -> int:
    return QColor(getattr(theme.current(), token)).rgb()


def count(image: QImage, token: str, area: QRectF | None = None) -> int:
    found = pixels(image)
    if area is not None:
        box = area.toAlignedRect()
        found = found[max(0, box.top()) : box.bottom() + 1, max(0, box.left()) : box.right() + 1]
    return int((found == colour(token)).sum())


def on_screen(canvas: Canvas, name: str, margin: float = 0.0) -> QRectF:
    box = canvas.network.items_by_id[name].scene_rect().adjusted(-margin, -margin, margin, margin)
    return QRectF(canvas.viewportTransform().mapRect(box))


def tile_colours(stage: Any, name: str, show: str) -> np.ndarray:
    """The colour in the middle of each cell of each tile of a strip, as it is on the screen."""
    canvas = stage.canvas
    item = canvas.network.items_by_id[name]
    shot = pixels(stage.picture())
    made = item.picture(show)
    _, rows, columns = made.arrangement.maps
    found = np.zeros((made.shown, rows, columns), np.uint32)
    for c in range(made.shown):
        for y in range(rows):
            for x in range(columns):
                _, cell = made.rects_of((made.first + c, y, x))
                centre = item.pos() + item.strip_corner(show) + cell.center()
                at = canvas.viewportTransform().map(centre)
                found[c, y, x] = shot[int(at.y()), int(at.x())]
    return found


@pytest.mark.parametrize("zoom", [1.0, 2.0])
@pytest.mark.parametrize("mode", ["light", "dark"])
def test_strip_pixels_are_the_colours_of_the_traced_values(
    stage: Any, resnet: Run, zoom: float, mode: Any
) -> None:
    graph, trace, steps = resnet
    theme.set_mode(mode)
    name = next(n.id for n in graph.nodes if isinstance(n.layer, Conv2d))
    stage.show(graph, zoom, name)
    stage.canvas.set_run(trace, len(steps))
    for show, kind, ramp in (("value", "value", "sequential"), ("grad", "grad", "diverging")):
        array = trace.look(kind, (name, 0))[0]
        assert np.ptp(array) > 0
        expected = colourise(array, scale_for(array, ramp), lut(theme.current(), ramp))[:8]
        assert len(np.unique(expected)) > 20
        assert np.array_equal(tile_colours(stage, name, show), expected)


def test_an_earlier_position_shows_what_was_there_then(stage: Any, lenet: Run) -> None:
    graph, trace, _ = lenet
    stage.show(graph, 1.0, "conv1")
    stage.canvas.set_run(trace, 0)
    area = on_screen(stage.canvas, "conv1")
    body = QRectF(
        stage.canvas.viewportTransform().mapRect(
            geometry.BODY.translated(stage.canvas.network.items_by_id["conv1"].pos())
        )
    )
    empty = pixels(stage.picture())
    inside = body.adjusted(4, 4, -4, -4).toAlignedRect()
    crop = empty[inside.top() : inside.bottom(), inside.left() : inside.right()]
    # Nothing computed: only the card and the faint outlines of the two empty places.
    assert len(np.unique(crop)) <= 20
    assert not stage.canvas.network.items_by_id["conv1"].computed
    stage.canvas.set_run(trace, 1)
    assert stage.canvas.network.items_by_id["conv1"].computed
    assert not stage.canvas.network.items_by_id["conv1"].has_array("grad")
    assert len(np.unique(pixels(stage.picture()))) > len(np.unique(empty))
    stage.canvas.set_run(trace, 0)
    assert np.array_equal(pixels(stage.picture()), empty)
    assert area.width() > 0


def test_the_input_shows_its_picture_in_grey(stage: Any, lenet: Run) -> None:
    graph, trace, _ = lenet
    stage.show(graph, 2.0, "image")
    stage.canvas.set_run(trace, 0)
    array = trace.look("value", ("image", 0), 0)[0]
    expected = colourise(array, scale_for(array, "grey"), lut(theme.current(), "grey"))
    assert np.array_equal(tile_colours(stage, "image", "value"), expected)


def test_the_loss_shows_its_value_and_the_probabilities(stage: Any, lenet: Run) -> None:
    graph, trace, steps = lenet
    loss = graph.losses[0].id
    stage.show(graph, 1.0, loss)
    forward = sum(s.phase in ("forward", "loss") for s in steps)
    stage.canvas.set_run(trace, forward - 1)
    item = stage.canvas.network.items_by_id[loss]
    assert item.loss is None
    before = count(stage.picture(), "success", on_screen(stage.canvas, loss))
    stage.canvas.set_run(trace, forward)
    assert item.loss == pytest.approx(float(trace.look("value", (loss, 0))))
    assert item.probabilities.sum() == pytest.approx(1, abs=1e-5)
    assert item.target == 3
    shot = stage.picture()
    # The target's bar is green, the others are blue; their areas are as the probabilities.
    area = on_screen(stage.canvas, loss)
    green, blue = count(shot, "success", area) - before, count(shot, "forward", area)
    p = item.probabilities
    assert green / (green + blue) == pytest.approx(p[3], abs=0.06)


def test_the_current_step_is_ringed_in_the_colour_of_its_phase(stage: Any, lenet: Run) -> None:
    graph, trace, steps = lenet
    stage.show(graph, 1.0, "pool1")
    forward = next(i for i, s in enumerate(steps) if s.node == "pool1")
    backward = next(i for i, s in enumerate(steps) if (s.node, s.phase) == ("pool1", "backward"))
    for at, token in ((forward, "phase_forward"), (backward, "phase_backward")):
        stage.canvas.set_run(trace, at + 1)
        stage.canvas.set_current(None)
        area = on_screen(stage.canvas, "pool1", 10)
        before = count(stage.picture(), token, area)
        stage.canvas.set_current(steps[at])
        assert count(stage.picture(), token, area) > before + 300
        lit = stage.canvas.network.edges_of_step(steps[at])
        assert ("pool1", 0) in lit
    # Backward also reads the gradient that arrives from its reader.
    assert ("conv2", 0) in lit


def test_the_focus_is_ringed_in_its_channel_and_turns_the_page(stage: Any, resnet: Run) -> None:
    graph, trace, steps = resnet
    name = next(n.id for n in graph.nodes if isinstance(n.layer, Conv2d))
    stage.show(graph, 2.0, name)
    stage.canvas.set_run(trace, len(steps))
    assert count(stage.picture(), "focus_ring") == 0
    stage.canvas.set_focus(Cell(name, 0, (2, 3, 4)))
    assert count(stage.picture(), "focus_ring") > 200
    item = stage.canvas.network.items_by_id[name]
    channels = trace.look("value", (name, 0)).shape[1]
    stage.canvas.set_focus(Cell(name, 0, (channels - 1, 0, 0)))
    assert item.page == (channels - 1) // 8
    assert item.picture("value").rects_of((channels - 1, 0, 0)) is not None
    stage.canvas.set_focus(None)
    assert count(stage.picture(), "focus_ring") == 0


def test_gradients_widen_the_edges_on_a_log_scale(stage: Any, resnet: Run) -> None:
    graph, trace, steps = resnet
    stage.show(graph)
    stage.canvas.set_run(trace, len(steps))
    network = stage.canvas.network
    widths = []
    for (reader, slot), edge in network.edges.items():
        readers = graph.readers[edge.facts.ref]
        kind, ref = ("part", (reader, slot)) if len(readers) > 1 else ("grad", edge.facts.ref)
        array = trace.look(kind, ref)
        norm = float(np.sqrt((array[0].astype(np.float64) ** 2).sum()))
        assert edge.norm == pytest.approx(norm, rel=1e-6)
        assert edge.line_width == pytest.approx(edge_width(norm, network.widths))
        widths.append(edge.line_width)
    assert max(widths) > 1.3 * min(widths)
    assert stage.canvas.legend.isVisible()
    words = dict(stage.canvas.legend.entries())["width"]
    assert words.startswith("size of the gradient ‖g‖: ")
    assert words.endswith(", thicker is larger (log scale)")


def test_the_legend_grows_with_the_type_of_a_presentation(stage: Any, lenet: Run) -> None:
    graph, trace, steps = lenet
    stage.show(graph)
    stage.canvas.set_run(trace, len(steps))
    legend = stage.canvas.legend

    def rows() -> int:
        row = theme.metrics().text_small + theme.metrics().space_2
        return round((legend.height() - theme.metrics().space_2) / row)

    before = legend.height()
    assert rows() >= 1
    theme.theme().set_presentation(True)
    try:
        assert rows() >= 1 and legend.height() > 1.3 * before
        assert legend.geometry().bottom() < stage.canvas.height()
        assert legend.height() <= stage.canvas.legend.room()
    finally:
        theme.theme().set_presentation(False)
    assert legend.height() == before


def test_an_exact_zero_is_a_thin_dashed_line_and_the_legend_says_so(stage: Any) -> None:
    graph = Graph((Input("image", (1, 4, 4)),), (Node("a", Conv2d(1, 1), (("image", 0),)),))
    stage.show(graph)
    edge = stage.canvas.network.edges["a", 0]
    edge.norm = 0.0
    _, width, dash = edge.style(theme.current())
    assert width <= theme.metrics().hairline and dash == theme.METRICS.dash_zero
    edge.norm = 1.0
    assert edge.style(theme.current())[2] == ()


def contrast(one: QColor, other: QColor) -> float:
    """Of WCAG 2: from 1 to 21."""

    def light(c: QColor) -> float:
        given = (c.redF(), c.greenF(), c.blueF())
        parts = (x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in given)
        return sum(w * x for w, x in zip((0.2126, 0.7152, 0.0722), parts, strict=True))

    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(
    ("mode", "zoom"),
    [("dark", 1.0), ("dark", 0.45), ("dark", 0.25), ("light", 1.0), ("light", 0.45)],
)
def test_a_line_that_carries_nothing_yet_is_seen(
    stage: Any, lenet: Run, mode: theme.Mode, zoom: float
) -> None:
    graph, trace, _ = lenet
    theme.set_mode(mode)
    try:
        stage.show(graph, zoom=zoom)
        stage.canvas.set_run(trace, 0)
        ground = QColor(theme.current().background)
        seen = {}
        for reader in ("relu1", "conv2", "pool2"):
            stage.canvas.center_on(reader)
            shot, at = stage.picture(), stage.edge(reader)
            near = [(dx, 0) for dx in (-2, -1, 0, 1, 2)] + [(0, dy) for dy in (-2, -1, 1, 2)]
            colours = [shot.pixelColor(at.x() + dx, at.y() + dy) for dx, dy in near]
            seen[reader] = max(contrast(c, ground) for c in colours)
        assert min(seen.values()) >= 3.0, seen
        edge = stage.canvas.network.edges["relu1", 0]
        assert edge.dimmed
        stage.canvas.set_run(trace, 2)
        assert not edge.dimmed  # and what was computed stands out from it
        before, now = theme.current().border_strong, edge.style(theme.current())[0]
        assert contrast(QColor(now), ground) > 1.5 * contrast(QColor(before), ground)
    finally:
        theme.set_mode("light")


def test_an_add_shows_norm_and_share_and_its_skip_has_its_own_look(stage: Any, resnet: Run) -> None:
    graph, trace, steps = resnet
    stage.show(graph)
    network = stage.canvas.network
    skips = [e for e in network.edges.values() if e.facts.skip]
    assert skips and all(graph.node(e.facts.reader).layer.title == "Add" for e in skips)
    before = count(stage.picture(), "skip")
    stage.canvas.set_run(trace, len(steps))
    skip = skips[0]
    style, _, dash = skip.style(theme.current())
    assert style == theme.current().skip and len(dash) == 2
    assert before > 5 and count(stage.picture(), "skip") > before
    reader = skip.facts.reader
    both = [e for k, e in network.edges.items() if k[0] == reader]
    norms = [
        float(np.linalg.norm(trace.look("grad", (reader, 0)))) for _ in both
    ]  # an Add hands its gradient on unchanged
    assert [e.norm for e in both] == pytest.approx(norms, rel=1e-6)
    assert [e.share for e in both] == pytest.approx([0.5, 0.5])
    fork = skip.facts.ref
    parts = [trace.look("part", key).astype(float).ravel() for key in graph.readers[fork]]
    whole = sum(parts)
    shares = [network.edges[key].fork_share for key in graph.readers[fork]]
    assert shares == pytest.approx([p @ whole / (whole @ whole) for p in parts], rel=1e-9)
    assert sum(shares) == pytest.approx(1) and abs(shares[0] - shares[1]) > 0.01
    assert (
        sum(
            f"{share * 100:.0f}%" in text
            for share in shares
            for key in graph.readers[fork]
            for _, text in network.edges[key].labels()
        )
        >= 2
    )
    words = dict(stage.canvas.legend.entries())
    assert words["share"] == "share of the gradients that meet or part there"
    text = tip(network, skip.route.path.pointAtPercent(0.5), 2.0)
    assert skip.fork_share is not None
    assert (
        f"{skip.fork_share * 100:.1f}% of the sum of the gradients that meet at {fork[0]}" in text
    )


def test_shares_at_a_fork_can_be_read_far_out(stage: Any, resnet: Run) -> None:
    graph, trace, steps = resnet
    stage.show(graph, zoom=0.34)
    stage.canvas.set_run(trace, len(steps))
    edges = stage.canvas.network.edges
    edge = next(e for e in edges.values() if e.fork_share is not None and e.route.direct)
    assert any("%" in text for _, text in edge.labels())
    stage.canvas.center_on(edge.facts.reader)
    shot, start = stage.picture(), stage.canvas.to_pixel(edge.route.start)
    colour = QColor(theme.current().backward)
    rows = {
        y
        for y in range(start.y(), stage.canvas.to_pixel(edge.route.end).y())
        for x in range(start.x() - 40, start.x() - 6)
        if shot.pixelColor(x, y) == colour
    }
    assert max(rows) - min(rows) >= 6  # digits of so many pixels, where there was room for four


def test_an_error_stands_on_its_card(stage: Any) -> None:
    graph = Graph(
        (Input("image", (1, 4, 4)),),
        (
            Node("a", Conv2d(2, 1), (("image", 0),)),
            Node("fc", Linear(3), (("a", 0),)),
        ),
    )
    stage.show(graph, 1.0, "fc")
    item = stage.canvas.network.items_by_id["fc"]
    assert item.facts.trouble is not None
    assert "one row of numbers" in item.facts.trouble.expected
    assert item.facts.trouble.received == "2 maps of 4×4"
    assert [fix.text for _, fix in item.buttons()] == ["Add Flatten"]
    assert count(stage.picture(), "error", on_screen(stage.canvas, "fc")) > 60
    assert count(stage.picture(), "error", on_screen(stage.canvas, "a")) == 0


def test_an_empty_canvas_says_what_to_do(stage: Any, lenet: Run) -> None:
    stage.show(Graph())
    shot = pixels(stage.picture())
    assert len(np.unique(shot)) > 2  # text on the background
    stage.show(lenet[0])
    assert stage.canvas.network.items_by_id
    stage.show(Graph())
    assert np.array_equal(pixels(stage.picture()), shot)


def test_a_far_view_draws_the_same_network_as_one_item(stage: Any, lenet: Run) -> None:
    graph, trace, steps = lenet
    stage.show(graph)
    stage.canvas.set_run(trace, len(steps))
    stage.canvas.set_zoom(0.4)
    assert not stage.canvas.network.far  # few cards stay cards for longer
    stage.canvas.set_zoom(0.25)
    network = stage.canvas.network
    assert network.far and network.far_item.isVisible()
    assert not any(i.isVisible() for i in network.items_by_id.values())
    stage.canvas.center_on("conv1")
    shot = stage.picture()
    ramp = lut(theme.current(), "sequential").colours
    area = on_screen(stage.canvas, "conv1").toAlignedRect()
    crop = pixels(shot)[area.top() : area.bottom(), area.left() : area.right()]
    assert len(np.unique(crop)) > 40  # feature maps, averaged
    stage.canvas.set_selection(frozenset({"conv1"}))
    assert count(stage.picture(), "accent") > 100
    stage.canvas.set_zoom(0.6)
    assert not network.far and network.items_by_id["conv1"].isVisible()
    assert len(ramp) == 256


@pytest.mark.parametrize("zoom", [0.13, 0.16, 0.2, 0.3, 0.39])
def test_far_names_of_blocks_cover_no_name_of_a_card(stage: Any, zoom: float) -> None:
    graph = ARCHITECTURES["resnet18"].build()
    stage.show(graph, zoom)
    network = stage.canvas.network
    named = [f for f in network.frames_item.frames if f.width and "/" not in f.path]
    assert len(named) == 5
    for frame in named:
        covered = [
            item.facts.name
            for item in network.items_by_id.values()
            if geometry.HEADER.translated(item.pos()).intersects(frame.far_heading(zoom))
        ]
        assert not covered, (frame.path, covered)


def test_of_a_path_that_is_too_long_the_last_parts_stay_whole(qapp: QApplication) -> None:
    path, size = "stage1/block1/bn1", 20
    wide = {
        name: int(ink.metrics("strong", size).horizontalAdvance(name)) + 1
        for name in (path, "block1/bn1", "bn1")
    }
    assert ink.elided(path, "strong", size, wide[path]) == path
    assert ink.elided(path, "strong", size, wide[path] - 3) == "block1/bn1"
    assert ink.elided(path, "strong", size, wide["block1/bn1"]) == "block1/bn1"
    assert ink.elided(path, "strong", size, wide["block1/bn1"] - 3) == "bn1"
    assert ink.elided(path, "strong", size, wide["bn1"] - 3).startswith("…")
    assert ink.elided("Fully connected", "strong", size, wide["bn1"]).endswith("…")


def test_a_card_without_maps_shows_its_kind_far_out(
    stage: Any, lenet: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph, trace, steps = lenet

    def inked() -> int:
        """Pixels in the middle of a card that are not its ground."""
        rect = stage.canvas.network.items_by_id["conv2"].scene_rect()
        shot, centre = stage.picture(), stage.canvas.to_pixel(rect.center())
        ground = QColor(theme.current().surface)
        around = range(-4, 5)
        return sum(
            shot.pixelColor(centre.x() + x, centre.y() + y) != ground
            for x in around
            for y in around
        )

    stage.show(graph, zoom=0.12, centre="conv2")
    assert stage.canvas.network.far and inked() > 8
    monkeypatch.setattr(far_item, "MOST_GLYPHS", 3)
    assert inked() == 0
    monkeypatch.undo()
    stage.canvas.set_run(trace, len(steps))
    item = stage.canvas.network.items_by_id["conv2"]
    assert item.computed and inked() > 8  # its maps, as a small picture


def test_a_muted_layer_is_dim_in_the_far_view_too(stage: Any, lenet: Run) -> None:
    graph, _, _ = lenet
    name = next(n.id for n in graph.nodes if n.layer.slug == "relu")

    def picture() -> tuple[QColor, QImage]:
        stage.canvas.fit()
        stage.canvas.set_zoom(0.24)
        stage.canvas.center_on(name)
        assert stage.canvas.network.far
        rect = stage.canvas.network.items_by_id[name].scene_rect()
        shot = stage.picture()
        corner = stage.canvas.to_pixel(QPointF(rect.right() - 8, rect.bottom() - 8))
        return shot.pixelColor(corner), shot

    stage.show(graph)
    plain, _ = picture()
    assert plain == QColor(theme.current().surface)
    stage.show(mute(graph, graph.infer(), {name}))
    dim, _ = picture()
    ground = QColor(theme.current().background)
    assert dim != plain and dim != ground

    def away(colour: QColor) -> int:
        return abs(colour.red() - ground.red()) + abs(colour.blue() - ground.blue())

    assert away(dim) < away(plain)


def test_a_step_repaints_only_what_its_reads_and_writes_name(
    stage: Any, lenet: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph, trace, steps = lenet
    painted: list[str] = []
    original = NodeItem.paint

    def counting(self: NodeItem, *args: Any) -> None:
        painted.append(self.facts.id)
        original(self, *args)

    monkeypatch.setattr(NodeItem, "paint", counting)
    stage.show(graph)
    stage.canvas.fit()
    assert not stage.canvas.network.far
    at = next(i for i, s in enumerate(steps) if s.node == "pool1")
    stage.canvas.set_run(trace, at)
    stage.canvas.set_current(steps[at - 1])
    QApplication.processEvents()
    assert len(set(painted)) == len(stage.canvas.network.items_by_id)
    painted.clear()
    stage.canvas.set_run(trace, at + 1)
    stage.canvas.set_current(steps[at])
    QApplication.processEvents()
    # The step's node, the one that was current before, and who touches the edge that is lit.
    assert "pool1" in painted
    assert set(painted) <= {"relu1", "pool1", "conv2", "conv1"}
    painted.clear()
    stage.canvas.set_run(trace, at + 1)
    stage.canvas.set_current(steps[at])
    stage.canvas.set_selection(frozenset())
    stage.show(graph)
    QApplication.processEvents()
    assert painted == []


def test_equal_values_move_and_touch_nothing(
    stage: Any, resnet: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = resnet[0]
    stage.show(graph)
    items = dict(stage.canvas.network.items_by_id)
    edges = dict(stage.canvas.network.edges)
    name = graph.nodes[0].id
    changed = graph.replace_node(name, layer=Conv2d(16, 3, padding=1, bias=False))
    painted: list[object] = []
    original = EdgeItem.paint

    def counting(self: EdgeItem, *args: Any) -> None:
        painted.append(self)
        original(self, *args)

    monkeypatch.setattr(EdgeItem, "paint", counting)
    stage.show(changed)
    assert stage.canvas.network.items_by_id == items
    assert stage.canvas.network.edges == edges
    assert len(painted) < len(edges) / 2


def test_channels_are_paged_and_share_one_scale() -> None:
    array = np.random.default_rng(3).normal(size=(20, 8, 8)).astype(np.float32)
    pages = [compose(array, "sequential", page) for page in range(3)]
    assert [(p.first, p.shown, p.pages) for p in pages] == [(0, 8, 3), (8, 8, 3), (16, 4, 3)]
    assert pages[1].label == "9–16 of 20"
    assert len({p.scale for p in pages}) == 1
    assert all(p.size[0] <= geometry.STRIP_WIDTH for p in pages)
    assert pages[0].page_of((19, 0, 0)) == 2
    found = pages[1].rects_of((10, 2, 5))
    assert found is not None and pages[1].index_at(found[1].center()) == (10, 2, 5)
    assert pages[1].rects_of((0, 0, 0)) is None
    assert pages[1].index_at(QPointF(-1, 0)) is None


@pytest.mark.parametrize("side", [1, 2, 5, 7, 8, 12, 14, 16, 24, 28, 32, 56, 112])
def test_eight_channels_fit_at_any_size(side: int) -> None:
    array = np.random.default_rng(4).random((8, side, side), np.float32)
    made = compose(array, "sequential")
    assert made.shown == 8 and made.size[0] <= geometry.STRIP_WIDTH + 0.01
    assert made.size[1] <= geometry.TILE + 0.01


def test_a_colour_picture_keeps_its_colours() -> None:
    array = np.zeros((3, 4, 4), np.float32)
    array[0, 0, 0] = array[1, 1, 1] = 1
    made = compose_picture(array, "grey", 84)
    assert made.image.pixelColor(0, 0).name() == "#ff0000"
    assert made.image.pixelColor(1, 1).name() == "#00ff00"
    assert made.image.pixelColor(2, 2).name() == "#000000"


def test_numbers_that_are_wrong_put_a_badge_on_the_card(stage: Any, lenet: Run) -> None:
    graph, trace, steps = lenet
    stage.show(graph, 1.0, "conv1")
    stage.canvas.set_run(trace, len(steps))
    before = count(stage.picture(), "warning", on_screen(stage.canvas, "conv1"))
    item = stage.canvas.network.items_by_id["conv1"]
    assert item.notes() == () and before == 0
    broken = trace.look("value", ("conv1", 0))[0].copy()
    broken[0, 0, :3] = np.nan
    item.set_array("value", "broken", lambda: broken)
    stage.canvas.viewport().update()
    shot = stage.picture()
    assert "3 numbers" in item.notes()[0] and "NaN" in item.notes()[0]
    assert count(shot, "warning", on_screen(stage.canvas, "conv1")) > 5
    assert count(shot, "nan", on_screen(stage.canvas, "conv1")) > 0


def test_mostly_silent_channels_and_a_dead_gradient_are_noted(stage: Any, lenet: Run) -> None:
    graph, trace, steps = lenet
    stage.show(graph, 1.0, "relu1")
    stage.canvas.set_run(trace, len(steps))
    item = stage.canvas.network.items_by_id["relu1"]
    silent = np.zeros((6, 5, 5), np.float32)
    silent[:2] = 1
    item.set_array("value", "silent", lambda: silent)
    item.set_array("grad", "dead", lambda: np.zeros((6, 5, 5), np.float32))
    stage.canvas.viewport().update()
    stage.picture()
    assert [n.split(" ")[0] for n in item.notes()] == ["4", "its"]


def test_presentation_has_thick_lines_and_a_large_ring(stage: Any, lenet: Run) -> None:
    graph, trace, _ = lenet
    stage.show(graph, 1.0, "conv1")
    stage.canvas.set_run(trace, 1)
    stage.canvas.set_focus(Cell("conv1", 0, (2, 3, 4)))
    before = count(stage.picture(), "focus_ring")
    theme.theme().set_presentation(True)
    try:
        assert count(stage.picture(), "focus_ring") > 1.5 * before > 0
    finally:
        theme.theme().set_presentation(False)


def test_shares_that_there_was_no_time_for_come_in_the_next_slice(
    stage: Any, resnet: Run, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph, trace, steps = resnet
    stage.show(graph)
    monkeypatch.setattr(scene, "SLICE", 0.0)
    network = stage.canvas.network
    stage.canvas.set_run(trace, len(steps))
    forks = [e for e in network.edges.values() if e.facts.forks]
    assert forks and all(e.norm is None and e.fork_share is None for e in forks)
    monkeypatch.setattr(scene, "SLICE", 0.01)
    qtbot.waitUntil(lambda: all(e.fork_share is not None for e in forks), timeout=3000)
