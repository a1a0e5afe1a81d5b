"""What the focused cell sees and changes is outlined on the cards, at the cells that take part."""

from __future__ import annotations

from typing import Any

import numpy as np
from PySide6.QtGui import QColor, QImage

from engine.cell import Cell
from engine.fields import fields_of
from engine.graph import Graph
from engine.trace import Step, Trace
from explorer import theme

Run = tuple[Graph, Trace, list[Step]]


def settled(stage: Any) -> QImage:
    """The picture once every strip is composed: a frame composes only some."""
    for _ in range(100):
        image = stage.picture()
        if not any(item.needs_picture for item in stage.canvas.network.items_by_id.values()):
            break
    return image


def ring_pixels(image: QImage) -> np.ndarray:
    image = image.convertToFormat(QImage.Format.Format_RGB32)
    rows = np.frombuffer(image.constBits(), np.uint32)
    found = rows.reshape(image.height(), image.bytesPerLine() // 4)[:, : image.width()]
    return np.array(found == QColor(theme.current().focus_ring).rgb())


def test_a_box_lies_around_the_cells_that_are_seen(stage: Any, lenet: Run) -> None:
    graph, trace, steps = lenet
    stage.show(graph, 2.0, "conv1")
    stage.canvas.set_run(trace, len(steps))
    assert not ring_pixels(settled(stage)).any()
    fields = fields_of(graph, Cell("pool2", 0, (3, 2, 1)))
    stage.canvas.set_fields(fields)
    marked = ring_pixels(settled(stage))
    item = stage.canvas.network.items_by_id["conv1"]
    made = item.picture("value")
    (channels, rows, columns) = fields.seen["conv1", 0].box
    assert channels == (0, 6) and rows == (8, 20) and columns == (4, 16)
    for channel in range(6):
        _, first = made.rects_of((channel, rows[0], columns[0]))
        _, last = made.rects_of((channel, rows[1] - 1, columns[1] - 1))
        box = first.united(last).translated(item.pos() + item.strip_corner("value"))
        corner, end = stage.pixel(box.topLeft()), stage.pixel(box.bottomRight())
        near = marked[corner.y() - 2 : end.y() + 3, corner.x() - 2 : end.x() + 3]
        inside = marked[corner.y() + 4 : end.y() - 4, corner.x() + 4 : end.x() - 4]
        # unbroken: as many pixels as the box is long, each line at least one wide
        assert near.sum() >= 2 * (end.x() - corner.x()) + 2 * (end.y() - corner.y()) - 4
        assert not inside.any()
    assert [kind for kind, _ in stage.canvas.legend.entries()][-2:] == ["seen", "changed"]
    before = stage.canvas.viewportTransform()
    stage.canvas.set_fields(None)
    assert stage.canvas.viewportTransform() == before  # nothing moves under the mouse
    assert "seen" not in [kind for kind, _ in stage.canvas.legend.entries()]
    assert not ring_pixels(settled(stage)).any()


def test_seen_is_unbroken_and_changed_is_dashed(stage: Any, lenet: Run) -> None:
    graph, trace, steps = lenet
    stage.show(graph, 2.0, "conv1")
    stage.canvas.set_run(trace, len(steps))
    box = "conv1", 0

    def along_the_top(cell: Cell) -> np.ndarray:
        fields = fields_of(graph, cell)
        stage.canvas.set_fields(fields)
        marked = ring_pixels(settled(stage))
        item = stage.canvas.network.items_by_id["conv1"]
        rect = item.field_rects("value")[0].translated(item.pos())
        start, end = stage.pixel(rect.topLeft()), stage.pixel(rect.topRight())
        return marked[start.y() - 2 : start.y() + 3, start.x() + 2 : end.x() - 2].any(0)

    assert box in fields_of(graph, Cell("pool2", 0, (3, 2, 1))).seen
    assert along_the_top(Cell("pool2", 0, (3, 2, 1))).all()
    dashes = along_the_top(Cell("image", 0, (0, 14, 14)))
    assert 0.3 < dashes.mean() < 0.9


def test_only_cards_whose_field_changes_are_painted_again(stage: Any, lenet: Run) -> None:
    graph, trace, steps = lenet
    stage.show(graph, 1.0, "conv1")
    stage.canvas.set_run(trace, len(steps))
    network = stage.canvas.network
    stage.canvas.set_fields(fields_of(graph, Cell("relu1", 0, (0, 5, 5))))
    assert network.items_by_id["conv1"].field is not None
    touched: list[str] = []
    plain = network.touch_strips

    def touching(items: list[Any]) -> None:
        touched.extend(item.facts.id for item in items)
        plain(items)

    network.touch_strips = touching
    try:
        stage.canvas.set_fields(fields_of(graph, Cell("relu1", 0, (0, 5, 5))))
        assert touched == []
        stage.canvas.set_fields(fields_of(graph, Cell("relu1", 0, (0, 5, 6))))
    finally:
        del network.touch_strips
    # what both cells change alike, such as all of the fully connected layers, stays as it is
    assert set(touched) == {"image", "conv1", "pool1", "conv2", "relu2"}


def test_the_far_view_outlines_too(stage: Any, resnet: Run) -> None:
    graph, trace, steps = resnet
    stage.show(graph, 0.3)
    stage.canvas.set_run(trace, len(steps))
    before = settled(stage)
    node = graph.order[len(graph.order) // 2].id
    stage.canvas.set_fields(fields_of(graph, Cell(node, 0, (0, 1, 1))))
    assert stage.picture() != before
