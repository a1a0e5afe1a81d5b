"""Items of a network: the difference of two graphs, a run or a step touches only what changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping

from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, QTimer
from PySide6.QtWidgets import QGraphicsScene

from engine.cell import Cell
from engine.fields import Fields
from engine.graph import Graph, Inference, Ref
from engine.layers.base import Cost
from engine.trace import Key, Step, Trace
from explorer import folding, theme
from explorer.canvas import geometry
from explorer.canvas.card import Card, Mark, StopMark
from explorer.canvas.edge_item import EdgeItem
from explorer.canvas.facts import EdgeFacts, KnownFacts, gather
from explorer.canvas.far_item import FarItem
from explorer.canvas.frames import FramesItem, frames
from explorer.canvas.gradients import EdgeKey, Gradients, Part, share_of
from explorer.canvas.node_item import NodeItem
from explorer.tensors.scales import WidthScale, width_scale_for

# Pictures and norms that a jump asks for are made in slices, so that the window stays responsive.
SLICE = 0.012
# A change of more cards than this repaints everything.
MANY = 40
# Rings and fields have lines of fixed width; so many pixels beyond the maps hold their halo.
RING_PIXELS = 4.0


class NetworkScene(QGraphicsScene):
    """Cards and edges. Nothing here changes the network; positions move only while dragging."""

    def __init__(self) -> None:
        super().__init__()
        self.setItemIndexMethod(QGraphicsScene.ItemIndexMethod.NoIndex)
        self.graph = Graph()
        self.view = folding.view(self.graph, ())
        self.inference = Inference({}, {})
        self.trace: Trace | None = None
        self.position = 0
        self.items_by_id: dict[str, NodeItem] = {}
        self.edges: dict[EdgeKey, EdgeItem] = {}
        self.step: Step | None = None
        self.selection: frozenset[str] = frozenset()
        self.stops: Mapping[str, StopMark] = {}
        self.focus: Cell | None = None
        self._fields: Fields | None = None
        self._cards: geometry.Obstacles | None = None
        self._known_facts: KnownFacts = {}
        self.far = False
        self.ports_shown = True
        self.bounds = QRectF()
        self.far_item = FarItem(self)
        self.addItem(self.far_item)
        self.frames_item = FramesItem()
        self.addItem(self.frames_item)
        self.addItem(self.frames_item.headings)
        self._shown: dict[EdgeKey, EdgeKey] = {}  # an input and the edge on which it is shown
        self._gradients = Gradients()
        self._widths = WidthScale(1e-6, 1e2)
        self._frame_end = 0.0
        self._all_dirty = False
        self._waiting: dict[str, Card] = {}
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._work)
        theme.theme().changed.connect(self.restyle)

    # ---- repainting --------------------------------------------------------------------------

    def touch(self, item: Card | EdgeItem) -> None:
        """Repaint one item and as little else as possible."""
        if self._all_dirty:
            return
        if isinstance(item, Card):
            self.update(item.boundingRect().translated(item.pos()))
            return
        self.far_item.forget_paths()
        for rect in item.dirty_rects():
            self.update(rect)

    def touch_strips(self, items: Iterable[NodeItem]) -> None:
        """Repaint the maps of some cards, with the lines around them, and no edge beside them."""
        if self._all_dirty:
            return
        zoom = min((view.transform().m11() for view in self.views()), default=1.0)
        edge = RING_PIXELS / max(zoom, 0.01)
        body = geometry.BODY.adjusted(-edge, -edge, edge, edge)
        for item in items:
            self.update(body.translated(item.pos()))

    def touch_all(self) -> None:
        """So much changes that one repaint of everything is cheaper: until the next frame."""
        self._all_dirty = True
        self.far_item.forget_paths()
        self.update()

    def restyle(self) -> None:
        """After a change of theme: everything is composed and painted again."""
        for item in self.items_by_id.values():
            item.forget_pictures()
        self.far_item.forget_paths()
        self.update()

    def begin_frame(self) -> None:
        """A paint starts: its time for composing pictures is limited."""
        self._all_dirty = False
        self._frame_end = time.perf_counter() + SLICE

    def may_compose(self, item: Card) -> bool:
        """Whether there is time for a picture in this frame; otherwise it comes in the next."""
        if time.perf_counter() < self._frame_end:
            return True
        self._waiting[item.facts.id] = item
        self._timer.start()
        return False

    def _work(self) -> None:
        end = time.perf_counter() + SLICE
        waiting = self._gradients.waiting
        while waiting and time.perf_counter() < end:
            self._gradients.measure_next()
            if not waiting:
                self._show_gradients(self.edges)
        while self._waiting and time.perf_counter() < end:
            _, item = self._waiting.popitem()
            item.picture("value")
            item.picture("grad")
            self.touch(item)
        if self._waiting or waiting:
            self._timer.start()

    # ---- the network -------------------------------------------------------------------------

    def set_network(
        self,
        graph: Graph,
        layout: Mapping[str, tuple[float, float]],
        inference: Inference,
        costs: Mapping[str, Cost],
        folded: Collection[str] = (),
    ) -> bool:
        """Show another graph; only what differs is touched. True when anything did.

        ``folded`` groups are one card each, ``layout`` has the places of what is shown.
        """
        view = folding.view(graph, folded)
        changed = graph != self.graph or view.key != self.view.key
        nodes, edges = gather(view, inference, costs, self._known_facts)
        self.graph, self.view, self.inference = graph, view, inference
        chosen, stops = self.view.cards(self.selection), self._stops_on_cards()
        moved: set[str] = set()
        if len(nodes.keys() ^ self.items_by_id.keys()) > MANY:
            self.touch_all()
        for name in [n for n in self.items_by_id if n not in nodes]:
            item = self.items_by_id.pop(name)
            self._waiting.pop(name, None)
            self._known_facts.pop(name, None)
            self.touch(item)
            self.removeItem(item)
            moved.add(name)
        fresh: set[str] = set()
        free = max((y for _, y in layout.values()), default=0.0) + geometry.HEIGHT
        for name, facts in nodes.items():
            item_ = self.items_by_id.get(name)
            if item_ is None:
                item_ = NodeItem(facts, self.may_compose)
                item_.setVisible(not self.far)
                item_.selected = name in chosen
                item_.stop = stops.get(name, "")
                self.items_by_id[name] = item_
                self.addItem(item_)
                moved.add(name)
                fresh.add(name)
            elif item_.facts is not facts and item_.facts != facts:
                if (item_.facts.all_slots, item_.facts.primary, item_.facts.ports) != (
                    facts.all_slots,
                    facts.primary,
                    facts.ports,
                ):
                    moved.add(name)
                item_.facts = facts
                self.touch(item_)
            if name in layout:
                where = QPointF(*layout[name])
            elif name in fresh:
                # A network without a place for it: below everything, rather than on top of it.
                free += geometry.ROW_GAP
                where = QPointF(0, free)
                free += geometry.HEIGHT
            else:
                where = item_.pos()
            if item_.pos() != where:
                self.touch(item_)
                item_.place(where)
                self.touch(item_)
                moved.add(name)
        gone = [key for key in self.edges if key not in edges]
        for key in gone:
            edge = self.edges.pop(key)
            self.touch(edge)
            self.removeItem(edge)
        self._shown = {entry: key for key, facts_ in edges.items() for entry in facts_.inputs}
        if (
            moved
            or gone
            or any(key not in self.edges or self.edges[key].facts != f for key, f in edges.items())
        ):
            self._set_edges(edges, moved)
            changed = True
        if changed or fresh:
            self._gradients.watch(self.trace, again=True)
            # Without a run only new cards have something to be given.
            self._refresh_run(None if self.trace is not None else fresh)
            self._show_step()
        if fresh:
            self.set_focus(self.focus)
            self.set_fields(self._fields)
        if moved:
            self._update_bounds()
        return changed

    def _set_edges(
        self, edges: Mapping[EdgeKey, EdgeFacts], moved: Collection[str] | None = None
    ) -> None:
        """Route them around the cards; None: each card may have moved."""
        routes = self._routes(edges, moved)
        rerouted = {
            key
            for key, route in routes.items()
            if key in self.edges
            and self.edges[key].route is not route
            and not _same(self.edges[key].route, route)
        }
        if len(rerouted) > MANY:
            self.touch_all()
        labelled: set[Ref] = set()
        bent: dict[Ref, list[EdgeKey]] = {}
        for key, facts in edges.items():
            if not routes[key].direct:
                bent.setdefault(facts.ref, []).append(key)
        for key, facts in edges.items():
            route = routes[key]
            item = self.edges.get(key)
            if item is None:
                item = self.edges[key] = EdgeItem(facts, route)
                item.setVisible(not self.far)
                self.addItem(item)
                self.touch(item)
            elif key in rerouted or item.facts != facts:
                self.touch(item)
                item.facts = facts
                item.setZValue(-1 if facts.skip else 0)
                item.set_route(route)
                self.touch(item)
            # The shape stands once per tensor, at the edge that goes straight on.
            item.label_here = route.direct and facts.ref not in labelled
            if item.label_here:
                labelled.add(facts.ref)
            item.main = facts.slot == self.items_by_id[facts.reader].facts.primary
            item.label_below = facts.skip and any(other != key for other in bent.get(facts.ref, ()))

    def _routes(
        self, edges: Mapping[EdgeKey, EdgeFacts], moved: Collection[str] | None
    ) -> dict[EdgeKey, geometry.Route]:
        self._cards = None
        obstacles = self._obstacles()
        found = {}
        if moved is not None:
            for key, f in edges.items():
                known = self.edges.get(key)
                if (
                    known is not None
                    and known.facts.start == f.start
                    and f.start[0] not in moved
                    and f.reader not in moved
                    and known.route.stays(known.route.start, known.route.end)
                ):
                    found[key] = known.route
        # Short ones first: they take the inner lanes.
        ends = {
            key: (
                self.items_by_id[f.start[0]].output_point(f.start[1]),
                self.items_by_id[f.reader].input_point(f.slot),
            )
            for key, f in edges.items()
            if key not in found
        }
        for key in sorted(ends, key=lambda k: abs(ends[k][1].y() - ends[k][0].y())):
            start, end = ends[key]
            known = self.edges.get(key)
            if known is not None and known.route.stays(start, end):
                found[key] = known.route
                continue
            # A skip turns off a little later than the main path, so that both are seen.
            lift = geometry.LANE_GAP / 3 if edges[key].skip else -geometry.LANE_GAP / 6
            found[key] = geometry.route(
                start,
                end,
                obstacles,
                edges[key].start[0],
                key[0],
                lift,
                known.route if known is not None else None,
            )
        return found

    def move_items(self, positions: Mapping[str, QPointF]) -> None:
        """Let cards follow the mouse: only the edges that touch them are drawn anew."""
        for name, where in positions.items():
            item = self.items_by_id[name]
            self.touch(item)
            item.place(where)
            self.touch(item)
        for key, edge in self.edges.items():
            source, port = edge.facts.start
            if key[0] in positions or source in positions:
                self.touch(edge)
                start = self.items_by_id[source].output_point(port)
                end = self.items_by_id[key[0]].input_point(key[1])
                edge.set_route(geometry.direct_route(start, end))
                self.touch(edge)
        self._cards = None
        self._frame_blocks()

    def settle(self) -> None:
        """After a move: route every edge around the cards again."""
        self._set_edges({key: edge.facts for key, edge in self.edges.items()})
        self._update_bounds()

    def _frame_blocks(self) -> None:
        found = []
        if any("/" in name for name in self.items_by_id):
            found = frames(self.view, self._obstacles().ids, self._obstacles().boxes)
        self.frames_item.set_frames(found)

    def _obstacles(self) -> geometry.Obstacles:
        """The cards where they are."""
        if self._cards is None:
            rects = {name: item.scene_rect() for name, item in self.items_by_id.items()}
            self._cards = geometry.Obstacles(rects)
        return self._cards

    def content(self) -> QRectF:
        """The rectangle of all cards, frames and edges."""
        box = QRectF()
        for frame in self.frames_item.frames:
            box = box.united(frame.rect)
        boxes = self._obstacles().boxes
        if len(boxes):
            (left, top), (right, bottom) = boxes[:, :2].min(0), boxes[:, 2:].max(0)
            box = box.united(QRectF(left, top, right - left, bottom - top))
        for edge in self.edges.values():
            if not edge.route.direct:  # a direct one lies between its cards, or next to them
                box = box.united(edge.route.box)
        return box

    def _update_bounds(self) -> None:
        o = geometry.OVERHANG * 2
        self._frame_blocks()
        self.bounds = self.content()
        self.far_item.set_bounds(self.bounds.adjusted(-o, -o, o, o))
        self.far_item.forget_paths()

    def start_of(self, ref: Ref) -> QPointF:
        """Where a tensor leaves its card."""
        item = self.items_by_id[self.view.card(ref[0])]
        sends = item.facts.sends
        return item.output_point(sends.index(ref) if ref in sends else ref[1] if not sends else 0)

    def set_far(self, far: bool, ports: bool = False) -> None:
        """Change between cards and the one item that draws them all, with or without ports."""
        if self.ports_shown != (ports or not far):
            self.ports_shown = ports or not far
            self.far_item.update()
        if far == self.far:
            return
        self.far = far
        for item in self.items_by_id.values():
            item.setVisible(not far)
        for edge in self.edges.values():
            edge.setVisible(not far)
        self.far_item.setVisible(far)

    # ---- the run -----------------------------------------------------------------------------

    def set_run(self, trace: Trace | None, position: int) -> None:
        """Show a trace as it was after ``position`` steps."""
        before = self.position
        same = trace is self.trace
        self.trace, self.position = trace, position
        if not same:
            self._gradients.watch(trace)
            self._refresh_run(None)
            return
        if position == before and self._gradients.complete:
            return
        touched: set[str] = set()
        if trace is not None:
            for step in trace.steps[min(before, position) : max(before, position)]:
                touched.add(step.node)
                touched.update(str(key.ref[0]) for key in step.writes)
        self._refresh_run(touched)

    def _refresh_run(self, names: set[str] | None) -> None:
        """Give the cards named (None: all) and every edge the arrays of the position."""
        trace, position = self.trace, self.position
        self._gradients.index(self.graph.readers)
        if names is not None:
            names = set(self.view.cards(names))
        if names is None or len(names) > MANY:
            self.touch_all()
        chosen: Iterable[NodeItem] = (
            self.items_by_id.values()
            if names is None
            else [self.items_by_id[n] for n in names if n in self.items_by_id]
        )
        for item in chosen:
            if self._give(item, trace, position):
                self.touch(item)
        edges = (
            self.edges
            if names is None
            else [k for k, e in self.edges.items() if k[0] in names or e.facts.start[0] in names]
        )
        self._show_gradients(edges)

    def _give(self, item: NodeItem, trace: Trace | None, position: int) -> bool:
        if item.facts.kind == "loss":
            return self._give_loss(item, trace, position)
        changed = False
        for show in ("value", "grad"):
            key = trace.latest(show, item.facts.shows, position) if trace is not None else None
            tag = None if key is None else (id(trace), key)
            array: Callable[[], NDArray] | None = None
            if trace is not None and key is not None:
                array = _sample(trace, key)
            changed |= item.set_array(show, tag, array)
        return changed

    def _give_loss(self, item: NodeItem, trace: Trace | None, position: int) -> bool:
        name = item.facts.id
        key = trace.latest("value", (name, 0), position) if trace is not None else None
        tag = None if key is None else (id(trace), key)
        if trace is None or key is None:
            item.loss = item.probabilities = item.target = None
        else:
            item.loss = float(trace.at(key))
            p = trace.look("saved", (name, "probabilities"), position)
            target = trace.look("saved", (name, "target"), position)
            item.probabilities = None if p is None else p[0]
            item.target = None if target is None or target.ndim != 1 else int(target[0])
        return item.set_array("value", tag, None)

    def _show_gradients(self, edges: Iterable[EdgeKey]) -> None:
        """Set norm, share and width of edges from the gradients that are there."""
        if self.trace is None and not self._gradients.norms:
            for item in self.edges.values():
                source = self.items_by_id.get(item.facts.start[0])
                self._give_gradient(item, (None, None, None, source is None or not source.computed))
            return
        end = time.perf_counter() + SLICE
        gradients = self._gradients
        keys = {
            edge: gradients.along(item.facts.inputs, self.position)
            for edge, item in self.edges.items()
        }
        for key in keys.values():
            if key is not None and gradients.norm(key) is None:
                if time.perf_counter() < end:
                    gradients.measure(key)
                else:
                    gradients.waiting[key] = None
                    self._timer.start()
        norms = {edge: gradients.norm(key) for edge, key in keys.items()}
        widths = width_scale_for(gradients.norms)
        rescaled = widths != self._widths
        self._widths = widths
        wanted = set(self.edges) if rescaled else set(edges)
        groups: dict[object, list[EdgeKey]] = {}
        for edge, item in self.edges.items():
            if item.facts.joins:
                groups.setdefault(edge[0], []).append(edge)
            if item.facts.forks:
                groups.setdefault(item.facts.ref, []).append(edge)
        met: dict[EdgeKey, float] = {}
        for ref in {self.edges[edge].facts.ref for edge in wanted if self.edges[edge].facts.forks}:
            met.update(self._shares_at(groups[ref], keys, end))
        for edge in wanted:
            item = self.edges[edge]
            source = self.items_by_id.get(item.facts.start[0])
            state = (
                norms[edge],
                share_of(edge, groups.get(edge[0], ()), norms) if item.facts.joins else None,
                met.get(edge),
                source is None or not source.computed,
            )
            self._give_gradient(item, state, rescaled and state[0] is not None)

    def _give_gradient(
        self,
        item: EdgeItem,
        state: tuple[float | None, float | None, float | None, bool],
        rescaled: bool = False,
    ) -> None:
        """Norm, share, share at the fork, and whether it leads from what is not computed yet."""
        if rescaled or state != (item.norm, item.share, item.fork_share, item.dimmed):
            self.touch(item)
            item.norm, item.share, item.fork_share, item.dimmed = state
            item.widths = self._widths
            self.touch(item)

    def _shares_at(
        self, group: list[EdgeKey], keys: Mapping[EdgeKey, Part | None], end: float
    ) -> dict[EdgeKey, float]:
        """The shares of the gradients that meet at a fork; empty until all of them are there."""
        parts = tuple(key for edge in group if (key := keys[edge]) is not None)
        if len(parts) < len(group):
            return {}
        shares = self._gradients.shares(parts)
        if shares is None:
            if time.perf_counter() >= end:
                self._gradients.waiting[parts] = None
                self._timer.start()
                return {}
            shares = self._gradients.measure_shares(parts)
        return dict(zip(group, shares, strict=False))

    @property
    def backward_shown(self) -> bool:
        """Whether any edge shows a gradient."""
        return any(e.norm is not None for e in self.edges.values())

    @property
    def widths(self) -> WidthScale:
        """The scale of line widths, for the legend."""
        return self._widths

    # ---- marks -------------------------------------------------------------------------------

    def set_step(self, step: Step | None) -> None:
        """Ring the node of a step and light the edges that its reads and writes name."""
        if step == self.step:
            return
        self.step = step
        self._show_step()

    def edges_of_step(self, step: Step) -> frozenset[EdgeKey]:
        """The edges along which a step reads or writes."""
        found: set[EdgeKey] = set()
        for key in (*step.reads, *step.writes):
            if key.kind == "part":
                found.add(key.ref)
            elif key.kind in ("value", "grad"):
                readers = self.graph.readers.get(key.ref, ())
                if key.ref[0] != step.node:
                    found.update(k for k in readers if k[0] == step.node)
                elif key.kind == "grad" and step.phase == "backward":
                    found.update(readers)
        return frozenset(self._shown[k] for k in found if k in self._shown)

    def _show_step(self) -> None:
        step = self.step
        lit = self.edges_of_step(step) if step is not None else frozenset()
        here = self.view.card(step.node) if step is not None else ""
        for name, item in self.items_by_id.items():
            phase = step.phase if step is not None and name == here else ""
            if item.phase != phase:
                item.phase = phase
                self.touch(item)
        for key, edge in self.edges.items():
            phase = step.phase if step is not None and key in lit else ""
            if edge.phase != phase:
                edge.phase = phase
                self.touch(edge)

    def set_selection(self, ids: frozenset[str]) -> None:
        """Mark these as selected; what is folded away shows on its card."""
        self.selection = ids
        cards = self.view.cards(ids)
        for name, item in self.items_by_id.items():
            if item.selected != (name in cards):
                item.selected = name in cards
                self.touch(item)

    def set_stops(self, stops: Mapping[str, StopMark]) -> None:
        """Mark the cards that have a breakpoint."""
        self.stops = stops
        marks = self._stops_on_cards()
        for name, item in self.items_by_id.items():
            if item.stop != marks.get(name, ""):
                item.stop = marks.get(name, "")
                self.touch(item)

    def _stops_on_cards(self) -> dict[str, StopMark]:
        """A block has the breakpoints of what is folded into it: one that stops counts most."""
        marks: dict[str, StopMark] = {}
        for name, mark in self.stops.items():
            card = self.view.card(name)
            if marks.get(card) != "on":
                marks[card] = mark
        return marks

    def hover_stop(self, card: Card | None) -> None:
        """Show faintly where a click would set a breakpoint."""
        for item in self.items_by_id.values():
            if item.stop_hovered != (item is card):
                item.stop_hovered = item is card
                self.touch(item)

    def set_focus(self, cell: Cell | None) -> None:
        """Ring the channel and cell of the focus."""
        self.focus = cell
        for item in self.items_by_id.values():
            here = cell is not None and cell.node == item.facts.shows[0]
            if item.set_focus(cell if here else None):
                if here and item.needs_picture:  # its other page, in the same frame as the ring
                    item.picture("value")
                    item.picture("grad")
                    self.touch(item)  # its header says which page
                else:
                    self.touch_strips((item,))

    def set_fields(self, fields: Fields | None) -> None:
        """Outline what the focused cell sees and changes on every card."""
        self._fields = fields
        touched = []
        for item in self.items_by_id.values():
            ref = item.facts.shows
            field = fields.at(ref) if fields is not None else None
            changed = fields is not None and ref in fields.changed
            if item.set_field(field, changed):
                touched.append(item)
        self.touch_strips(touched)

    def hover_block(self, path: str) -> None:
        """Light the frame and the card that a click on a fold glyph would open or close."""
        self.frames_item.hover(path)
        for item in self.items_by_id.values():
            if item.fold_hovered != (item.facts.id == folding.card_id(path)):
                item.fold_hovered = not item.fold_hovered
                self.touch(item)

    def set_mark(self, item: NodeItem | EdgeItem, mark: Mark) -> None:
        """Light an item up while something is dragged over it."""
        if item.mark != mark:
            item.mark = mark
            self.touch(item)

    def clear_marks(self) -> None:
        for card in self.items_by_id.values():
            self.set_mark(card, "")
        for edge in self.edges.values():
            self.set_mark(edge, "")
        for node in self.items_by_id.values():
            if node.lit_port is not None:
                node.lit_port = None
                self.touch(node)

    def graph_group(self, path: str) -> frozenset[str]:
        """The layers of a group, shown or folded away."""
        return frozenset(n.id for n in self.graph.nodes if n.id.startswith(path + "/"))

    # ---- hits --------------------------------------------------------------------------------

    def node_at(self, point: QPointF, margin: float = 0.0) -> NodeItem | None:
        """The uppermost card under a scene point."""
        for item in reversed(self.items_by_id.values()):
            rect = geometry.CARD.translated(item.pos())
            if margin:
                rect = rect.adjusted(-margin, -margin, margin, margin)
            if rect.contains(point):
                return item
        return None

    def stop_at(self, point: QPointF) -> NodeItem | None:
        """The card whose breakpoint is at a scene point, or would be."""
        if self.far:
            return None
        return next((i for i in reversed(self.items_by_id.values()) if i.stop_at(point)), None)

    def port_at(self, point: QPointF, reach: float) -> tuple[NodeItem, str, int] | None:
        """(card, "in" or "out", number) of a port near a scene point."""
        for item in reversed(self.items_by_id.values()):
            if (
                not item.boundingRect()
                .translated(item.pos())
                .adjusted(-reach, -reach, reach, reach)
                .contains(point)
            ):
                continue
            found = item.port_at(point, reach)
            if found is not None:
                return item, *found
        return None

    def edge_at(self, point: QPointF, reach: float) -> EdgeItem | None:
        """The edge nearest to a scene point, within ``reach``."""
        best, found = reach, None
        for edge in self.edges.values():
            box = edge.route.box.adjusted(-reach, -reach, reach, reach)
            if box.contains(point):
                away = edge.route.distance(point.x(), point.y())
                if away <= best:
                    best, found = away, edge
        return found


def _sample(trace: Trace, key: Key) -> Callable[[], NDArray]:
    return lambda: trace.at(key)[0]


def _same(a: geometry.Route, b: geometry.Route) -> bool:
    return (a.direct, a.lane, a.lift) == (b.direct, b.lane, b.lift) and (
        a.start == b.start and a.end == b.end
    )
