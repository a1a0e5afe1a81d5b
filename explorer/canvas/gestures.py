"""Each thing that a drag does, as a class: made when it starts, then move, finish or cancel.

A gesture previews; only its end asks for a change, and only through the canvas's signals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, QPoint, QPointF, QRectF, Qt

from engine.graph import GraphError, Ref
from engine.layers.base import Fix, Layer
from explorer import dragged_blocks
from explorer.canvas import geometry, legality
from explorer.canvas.edge_item import EdgeItem
from explorer.canvas.legality import Verdict
from explorer.canvas.node_item import NodeItem
from explorer.dragged_blocks import AnyBlock

if TYPE_CHECKING:
    from explorer.canvas.view import Canvas


def tr(text: str) -> str:
    return QCoreApplication.translate("Canvas", text)


class Gesture:
    """Something that begins with a press and ends with a release or Escape."""

    cursor = Qt.CursorShape.ArrowCursor

    def __init__(self, canvas: Canvas) -> None:
        self.canvas = canvas
        self.network = canvas.network

    def move(self, at: QPointF, pixel: QPoint) -> None:
        """The mouse is at a scene point and a pixel of the viewport."""

    def finish(self, at: QPointF, pixel: QPoint) -> None:
        """The button is released there."""
        self.cancel()

    def cancel(self) -> None:
        """Leave everything as it was before."""
        self.network.clear_marks()
        self.canvas.sketch.clear()
        self.canvas.say("")


class Pan(Gesture):
    """The picture follows the mouse."""

    cursor = Qt.CursorShape.ClosedHandCursor

    def __init__(self, canvas: Canvas, pixel: QPoint) -> None:
        super().__init__(canvas)
        self._last = pixel

    def move(self, at: QPointF, pixel: QPoint) -> None:
        self.canvas.pan(pixel - self._last)
        self._last = pixel


class Move(Gesture):
    """Cards follow the mouse; the request for their new positions goes out at the end."""

    cursor = Qt.CursorShape.SizeAllCursor

    def __init__(self, canvas: Canvas, ids: frozenset[str], at: QPointF) -> None:
        super().__init__(canvas)
        self._start = at
        self._before = {
            name: QPointF(canvas.network.items_by_id[name].pos())
            for name in sorted(canvas.network.view.cards(ids))
            if name in canvas.network.items_by_id
        }

    def _by(self, at: QPointF) -> QPointF:
        """How far to move: with the mouse, or to line up with a card that stays."""
        by = at - self._start
        if not self._before:
            return by
        lead = next(iter(self._before.values())) + by
        reach = self.canvas.reach / 2
        others = [
            item.pos()
            for name, item in self.network.items_by_id.items()
            if name not in self._before
        ]
        across = min((p.x() - lead.x() for p in others), key=abs, default=reach)
        down = min((p.y() - lead.y() for p in others), key=abs, default=reach)
        return by + QPointF(
            across if abs(across) < reach else 0.0, down if abs(down) < reach else 0.0
        )

    def move(self, at: QPointF, pixel: QPoint) -> None:
        by = self._by(at)
        self.network.move_items({name: p + by for name, p in self._before.items()})

    def finish(self, at: QPointF, pixel: QPoint) -> None:
        self.move(at, pixel)
        self.network.settle()
        super().cancel()
        by = self._by(at)
        if not by.isNull():
            self.canvas.move_requested.emit(
                {n: (p.x() + by.x(), p.y() + by.y()) for n, p in self._before.items()}
            )

    def cancel(self) -> None:
        self.network.move_items(self._before)
        self.network.settle()
        super().cancel()


class Duplicate(Gesture):
    """Copies of the selected cards, put where the mouse is released."""

    cursor = Qt.CursorShape.DragCopyCursor

    def __init__(self, canvas: Canvas, ids: frozenset[str], at: QPointF) -> None:
        super().__init__(canvas)
        self._ids, self._start = ids, at
        items = canvas.network.items_by_id
        cards = sorted(canvas.network.view.cards(ids))
        self._rects = [items[name].scene_rect() for name in cards if name in items]

    def move(self, at: QPointF, pixel: QPoint) -> None:
        by = at - self._start
        self.canvas.sketch.draw_ghosts([r.translated(by) for r in self._rects])
        self.canvas.say(tr("Release to put a copy here"), "legal", pixel)

    def finish(self, at: QPointF, pixel: QPoint) -> None:
        self.cancel()
        by = at - self._start
        self.canvas.duplicate_requested.emit(self._ids, by.x(), by.y())


class Band(Gesture):
    """A rubber band: what it touches is selected, besides what was when Shift or Ctrl is held."""

    cursor = Qt.CursorShape.CrossCursor

    def __init__(self, canvas: Canvas, at: QPointF, keep: frozenset[str]) -> None:
        super().__init__(canvas)
        self._start, self._keep = at, keep

    def _inside(self, at: QPointF) -> frozenset[str]:
        band = QRectF(self._start, at).normalized()
        touched = {
            name
            for name, item in self.network.items_by_id.items()
            if item.scene_rect().intersects(band)
        }
        return self._keep | self.network.view.ids(touched)

    def move(self, at: QPointF, pixel: QPoint) -> None:
        self.canvas.sketch.draw_band(QRectF(self._start, at).normalized())
        inside = self.network.view.cards(self._inside(at))
        for name, item in self.network.items_by_id.items():
            self.network.set_mark(item, "target" if name in inside else "")

    def finish(self, at: QPointF, pixel: QPoint) -> None:
        inside = self._inside(at)
        self.cancel()
        self.canvas.select_requested.emit(inside)


class PressFix(Gesture):
    """A fix button is held; released on it, the fix is asked for."""

    cursor = Qt.CursorShape.PointingHandCursor

    def __init__(self, canvas: Canvas, item: NodeItem, index: int) -> None:
        super().__init__(canvas)
        self._item, self._index = item, index
        self._press(index)

    def _press(self, index: int) -> None:
        if self._item.pressed_fix != index:
            self._item.pressed_fix = index
            self.network.touch(self._item)

    def move(self, at: QPointF, pixel: QPoint) -> None:
        self._press(self._index if self._item.fix_at(at) == self._index else -1)

    def finish(self, at: QPointF, pixel: QPoint) -> None:
        hit = self._item.fix_at(at) == self._index
        fix: Fix = self._item.buttons()[self._index][1]
        self.cancel()
        if hit:
            self.canvas.fix_requested.emit(self._item.facts.id, fix)

    def cancel(self) -> None:
        self._press(-1)
        super().cancel()


class Refusal(Gesture):
    """Something that cannot be dragged: says why as long as it is tried."""

    cursor = Qt.CursorShape.ForbiddenCursor

    def __init__(self, canvas: Canvas, text: str) -> None:
        super().__init__(canvas)
        self._text = text

    def move(self, at: QPointF, pixel: QPoint) -> None:
        self.canvas.say(self._text, "illegal", pixel)


@dataclass(frozen=True)
class _End:
    """Where a wire would end: the card and its port there (−1: none), and what it would connect."""

    item: NodeItem
    port: int
    ref: Ref
    reader: str
    slot: int


class Wire(Gesture):
    """A connection under way: from an output to an input, or the other way round.

    ``old`` is the edge that was picked up; released over nothing it is disconnected.
    """

    cursor = Qt.CursorShape.CrossCursor

    def __init__(
        self,
        canvas: Canvas,
        *,
        ref: Ref | None = None,
        slot: tuple[str, int] | None = None,
        old: EdgeItem | None = None,
    ) -> None:
        super().__init__(canvas)
        self._ref, self._slot, self._edge = ref, slot, old
        self._old = old.facts.inputs[0] if old is not None else None
        self._target: tuple[Ref, str, int] | None = None
        self._verdict: Verdict | None = None
        self._graph = canvas.network.graph
        if old is not None:
            old.setVisible(False)
        if self._old is not None and self._old[0] in self._graph.by_id:
            self._graph = self._graph.disconnect(*self._old)
        self._circle = self._forbidden()
        self._light()

    def _light(self) -> None:
        """Light up every card where the wire may end."""
        graph, inference, circle = self._graph, self.network.inference, self._circle
        for name, item in self.network.items_by_id.items():
            if self._ref is not None:
                own = name == self.network.view.card(self._ref[0])
                if own or not item.facts.all_slots or item.facts.kind == "block":
                    continue
                slot = self._best_slot(item)
                good = name not in circle and legality.may_fit(
                    graph, inference, self._ref, name, slot
                )
            else:
                assert self._slot is not None
                if name == self.network.view.card(self._slot[0]) or not item.facts.ports:
                    continue
                ref = item.facts.sent(0)
                good = ref[0] not in circle and legality.may_fit(graph, inference, ref, *self._slot)
            if good:
                self.network.set_mark(item, "legal")

    def _forbidden(self) -> frozenset[str]:
        """Cards that would close a circle: sources of the output, or readers of the input."""
        if self._ref is not None:
            return self._graph.ancestors(self._ref[0])
        assert self._slot is not None
        reads: dict[str, set[str]] = {}
        for ref, readers in self._graph.readers.items():
            reads.setdefault(ref[0], set()).update(reader for reader, _ in readers)
        below: set[str] = set()
        stack = [self._slot[0]]
        while stack:
            new = reads.get(stack.pop(), set()) - below
            below |= new
            stack += new
        return frozenset(below)

    def _best_slot(self, item: NodeItem) -> int:
        """Where a wire that is dropped on the whole card goes: a free slot, else the first."""
        name = item.facts.id
        free = [i for i, ref in enumerate(item.facts.slots) if ref is None]
        if self._old is not None and self._old[0] == name:
            return self._old[1]
        if free:
            return free[0]
        return len(item.facts.slots) if item.facts.open_slots else 0

    def _find(self, at: QPointF) -> _End | None:
        hit = self.network.port_at(at, self.canvas.reach)
        ref = self._ref
        if ref is not None:
            if hit is not None and hit[1] == "in":
                inputs = self.network.view.keys(hit[0].facts.id, hit[2])
                if len(inputs) == 1:
                    return _End(hit[0], hit[2], ref, *inputs[0])
            item = self.network.node_at(at)
            own = self.network.view.card(ref[0])
            if item is not None and item.facts.id != own and item.facts.all_slots:
                if item.facts.kind == "block":
                    return _End(item, -1, ref, item.facts.name, -1)
                slot = self._best_slot(item)
                return _End(item, slot, ref, item.facts.id, slot)
            return None
        assert self._slot is not None
        if hit is not None and hit[1] == "out":
            return _End(hit[0], hit[2], hit[0].facts.sent(hit[2]), *self._slot)
        item = self.network.node_at(at)
        own = self.network.view.card(self._slot[0])
        if item is not None and item.facts.id != own and item.facts.ports:
            return _End(item, 0, item.facts.sent(0), *self._slot)
        return None

    def move(self, at: QPointF, pixel: QPoint) -> None:
        found = self._find(at)
        target = (found.ref, found.reader, found.slot) if found is not None else None
        if target != self._target:
            self._unlight()
            self._target, self._verdict = target, None
            if found is not None:
                self._verdict = self._judge(found)
                if found.port >= 0:
                    side = "in" if self._ref is not None else "out"
                    found.item.lit_port = (side, found.port)
                mark = self._verdict.mark
                self.network.set_mark(found.item, "target" if mark == "legal" else mark)
                self.network.touch(found.item)
        mark_ = self._verdict.mark if self._verdict is not None else ""
        aimed = found is not None and found.port >= 0
        if self._ref is not None:
            start = self.network.start_of(self._ref)
            end = found.item.input_point(found.port) if found is not None and aimed else at
        else:
            assert self._slot is not None
            end = self.network.items_by_id[self._slot[0]].input_point(self._slot[1])
            start = found.item.output_point(found.port) if found is not None else at
        self.canvas.sketch.draw_wire(start, end, mark_)
        if self._verdict is not None:
            self.canvas.say(self._verdict.text, mark_, pixel)
        elif self._old is not None:
            self.canvas.say(tr("Release to disconnect"), "warning", pixel)
        else:
            self.canvas.say("")

    def _judge(self, end: _End) -> Verdict:
        if end.slot < 0:
            text = tr("Unfold {block} to choose which of its layers reads this")
            return Verdict("illegal", text.format(block=end.reader))
        if (end.reader, end.slot) == self._old:
            return Verdict("legal", tr("Leave it connected"))
        return legality.may_connect(
            self._graph, self.network.inference, end.ref, end.reader, end.slot
        )

    def _unlight(self) -> None:
        for item in self.network.items_by_id.values():
            if item.lit_port is not None:
                item.lit_port = None
                self.network.touch(item)
        self.network.clear_marks()
        self._light()

    def finish(self, at: QPointF, pixel: QPoint) -> None:
        self.move(at, pixel)
        target, verdict, old = self._target, self._verdict, self._old
        self.cancel()
        if target is None:
            if old is not None:
                try:
                    self.network.graph.disconnect(*old)
                except GraphError:
                    text = tr("A loss needs an input. Connect another tensor to it instead.")
                    self.canvas.say(text, "illegal", pixel)
                    return
                self.canvas.disconnect_requested.emit(*old)
            return
        if verdict is None or not verdict.accepted or target[1:] == old:
            return
        self.canvas.connect_requested.emit(*target)
        if old is not None and old[0] in self.network.graph.by_id:
            self.canvas.disconnect_requested.emit(*old)

    def cancel(self) -> None:
        if self._edge is not None:
            self._edge.setVisible(not self.network.far)
        super().cancel()


Target = tuple[str, str, int]
"""What a drop would do ("add", "replace", "insert"), and at which card or edge."""


class Drop(Gesture):
    """Something from the palette over the canvas: onto an edge, onto a card or onto nothing.

    Edges and cards that take it are lit from the beginning; the one under the mouse says more.
    """

    cursor = Qt.CursorShape.DragCopyCursor

    def __init__(self, canvas: Canvas, title: str) -> None:
        super().__init__(canvas)
        self.title = title
        self.verdict: Verdict | None = None
        self._target: Target | None = None
        self._inputs: tuple[tuple[str, int], ...] = ()
        self._lit: tuple[EdgeItem, ...] | None = None

    @property
    def accepted(self) -> bool:
        """Whether a drop here would be taken."""
        return self.verdict is not None and self.verdict.accepted

    def _takes(self, edge: EdgeItem) -> bool:
        """Whether an edge would take it, at a quick look."""
        raise NotImplementedError

    def _on_card(self, item: NodeItem) -> Verdict:
        raise NotImplementedError

    def _on_edge(self, edge: EdgeItem) -> Verdict:
        raise NotImplementedError

    def _on_nothing(self) -> Verdict:
        return Verdict("legal", tr("Add {layer} here").format(layer=self.title))

    def _ask(self, target: Target, at: QPointF) -> None:
        """Ask for what was accepted; ``at`` is the corner of the new card."""
        raise NotImplementedError

    def _light(self) -> None:
        """Mark the edges that would take it, but for the one under the mouse."""
        if self._lit is None:
            self._lit = tuple(e for e in self.network.edges.values() if self._takes(e))
        for edge in self._lit:
            if not edge.mark:
                self.network.set_mark(edge, "legal")

    def move(self, at: QPointF, pixel: QPoint) -> None:
        network = self.network
        item = network.node_at(at)
        edge = None if item is not None else network.edge_at(at, self.canvas.reach * 1.5)
        target: Target = ("add", "", 0)
        if item is not None:
            target = ("replace", item.facts.id, 0)
        elif edge is not None:
            target = ("insert", *edge.facts.key)
        if target != self._target:
            self._target = target
            network.clear_marks()
            if item is not None:
                self.verdict = self._on_card(item)
                network.set_mark(item, self.verdict.mark)
            elif edge is not None:
                self._inputs = edge.facts.inputs
                self.verdict = self._on_edge(edge)
                mark = self.verdict.mark
                network.set_mark(edge, "target" if mark == "legal" else mark)
            else:
                self.verdict = self._on_nothing()
            self._light()
        assert self.verdict is not None
        ghosts = [] if item is not None else [self._rect(at)]
        self.canvas.sketch.draw_ghosts(ghosts, self.title, self.verdict.mark)
        self.canvas.say(self.verdict.text, self.verdict.mark, pixel)

    def _rect(self, at: QPointF) -> QRectF:
        return geometry.CARD.translated(at - geometry.CARD.center())

    def finish(self, at: QPointF, pixel: QPoint) -> None:
        self.move(at, pixel)
        target, accepted = self._target, self.accepted
        corner = self._rect(at).topLeft()
        self.cancel()
        if target is not None and accepted:
            self._ask(target, corner)


class DropLayer(Drop):
    """A layer is inserted, put in the place of another, or added."""

    def __init__(self, canvas: Canvas, layer: Layer) -> None:
        super().__init__(canvas, layer.title)
        self.layer = layer

    def _takes(self, edge: EdgeItem) -> bool:
        return legality.may_stand(self.network.inference, self.layer, edge.facts.ref)

    def _on_card(self, item: NodeItem) -> Verdict:
        if item.facts.kind == "block":
            text = tr("{block} is a block: unfold it to replace a layer of it")
            return Verdict("illegal", text.format(block=item.facts.name))
        network = self.network
        return legality.may_replace(network.graph, network.inference, item.facts.id, self.layer)

    def _on_edge(self, edge: EdgeItem) -> Verdict:
        network = self.network
        return legality.may_insert(
            network.graph, network.inference, self.layer, *edge.facts.inputs[0]
        )

    def _ask(self, target: Target, at: QPointF) -> None:
        canvas, (kind, name, _) = self.canvas, target
        if kind == "insert" and len(self._inputs) > 1:
            canvas.insert_before_requested.emit(self.layer, self._inputs, at.x(), at.y())
        elif kind == "insert":
            canvas.insert_requested.emit(self.layer, *self._inputs[0], at.x(), at.y())
        elif kind == "replace":
            canvas.replace_requested.emit(name, self.layer)
        else:
            canvas.add_requested.emit(self.layer, at.x(), at.y())


class DropBlock(Drop):
    """A block of layers is inserted, put in the place of a layer or a block, or added."""

    def __init__(self, canvas: Canvas, block: AnyBlock) -> None:
        super().__init__(canvas, dragged_blocks.title(block))
        self.block = block

    def _takes(self, edge: EdgeItem) -> bool:
        return dragged_blocks.takes(self.block, self.network.inference.specs.get(edge.facts.ref))

    def _on_card(self, item: NodeItem) -> Verdict:
        network = self.network
        ids = network.view.ids({item.facts.id})
        return legality.may_put_instead(
            network.graph, network.inference, self.block, ids, item.facts.name
        )

    def _on_edge(self, edge: EdgeItem) -> Verdict:
        network = self.network
        return legality.may_insert_block(
            network.graph, network.inference, self.block, edge.facts.inputs
        )

    def _on_nothing(self) -> Verdict:
        text = tr("Add {block} here, connected to nothing. Drop it on a connection to insert it")
        return Verdict("legal", text.format(block=self.title))

    def _ask(self, target: Target, at: QPointF) -> None:
        canvas, (kind, name, _) = self.canvas, target
        if kind == "insert":
            canvas.insert_block_requested.emit(self.block, self._inputs)
        elif kind == "replace":
            canvas.put_instead_requested.emit(self.block, self.network.view.ids({name}))
        else:
            canvas.add_block_requested.emit(self.block, at.x(), at.y())
