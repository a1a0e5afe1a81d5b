"""The canvas: zoom, gestures, keys and requests around the scene of a network."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QMargins, QPoint, QPointF, QRect, QRectF, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QContextMenuEvent,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDragMoveEvent,
    QDropEvent,
    QFocusEvent,
    QHelpEvent,
    QKeyEvent,
    QMouseEvent,
    QNativeGestureEvent,
    QPainter,
    QPaintEvent,
    QResizeEvent,
    QShowEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QApplication, QFrame, QGraphicsView, QToolTip, QWidget

from engine.cell import Cell
from engine.fields import Fields
from engine.graph import Graph, Inference
from engine.layers.base import Cost, layer_from_dict
from engine.trace import Step, Trace
from explorer import folding, theme
from explorer.canvas import gestures, ink
from explorer.canvas.card import StopMark
from explorer.canvas.edge_item import EdgeItem
from explorer.canvas.far_item import PORTS_FROM
from explorer.canvas.keys import keys, press
from explorer.canvas.menu import context_menu
from explorer.canvas.overlay import Bubble, Legend, Minimap
from explorer.canvas.scene import NetworkScene
from explorer.canvas.sketch import Sketch
from explorer.canvas.tips import tip
from explorer.canvas.travel import Travel
from explorer.dragged_blocks import BLOCK_MIME, block_of

LAYER_MIME = "application/x-gradient-flow-layer"
MIN_ZOOM, MAX_ZOOM = 0.05, 4.0
# Below this zoom one item draws all cards; a few of them stay cards for longer.
FAR_BELOW = 0.45
FAR_BELOW_FOR_FEW = 0.26
FEW = 150
# A network of three cards is not blown up to fill the screen.
FIT_AT_MOST = 1.6
# So much empty scene around the network can be panned to.
ROOM = 20_000.0
WHEEL_STEP = 1.0015


@dataclass
class _Press:
    """A button that is down and has not yet moved far enough to be a gesture."""

    pixel: QPoint
    drag: Callable[[], gestures.Gesture]
    click: Callable[[], None]


class Canvas(QGraphicsView):
    """Shows a network and its run; asks for every change by a signal and makes none itself."""

    insert_requested = Signal(object, str, int, float, float)
    insert_before_requested = Signal(object, object, float, float)  # before several inputs
    add_requested = Signal(object, float, float)
    insert_block_requested = Signal(object, object)  # before these inputs
    put_instead_requested = Signal(object, object)  # a block in the place of ids
    add_block_requested = Signal(object, float, float)
    replace_requested = Signal(str, object)
    connect_requested = Signal(object, str, int)
    disconnect_requested = Signal(str, int)
    delete_requested = Signal(object)
    move_requested = Signal(object)
    select_requested = Signal(object)
    duplicate_requested = Signal(object, float, float)
    focus_requested = Signal(object)  # Place: the value, or the gradient, of a cell
    fix_requested = Signal(str, object)
    run_to_requested = Signal(str)
    next_requested = Signal()
    back_requested = Signal()
    open_requested = Signal(str)
    breakpoint_requested = Signal(str)
    fold_requested = Signal(object)  # paths of groups
    unfold_requested = Signal(object)  # paths of groups
    fold_all_requested = Signal()
    unfold_all_requested = Signal()
    group_requested = Signal(object)  # ids
    mute_requested = Signal(object)  # frozenset of ids: pass them by, or have them back
    gain_requested = Signal(str, int, float)  # what if that input of a join counted so often
    ungroup_requested = Signal(str)  # path of a group
    rename_group_requested = Signal(str)  # path of a group
    zoom_changed = Signal(float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.network = NetworkScene()
        self.sketch = Sketch()
        self.network.addItem(self.sketch)
        self.gesture: gestures.Gesture | None = None
        self._press: _Press | None = None
        self._toggled = False
        self._fitted = True
        self._higher = 0
        self._message = ""
        self._centre = QPointF()
        self.setScene(self.network)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setViewportUpdateMode(QGraphicsView.ViewportUpdateMode.MinimalViewportUpdate)
        self.setOptimizationFlags(
            QGraphicsView.OptimizationFlag.DontSavePainterState
            | QGraphicsView.OptimizationFlag.DontAdjustForAntialiasing
        )
        self.setTransformationAnchor(QGraphicsView.ViewportAnchor.NoAnchor)
        self.setResizeAnchor(QGraphicsView.ViewportAnchor.NoAnchor)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSceneRect(-ROOM, -ROOM, 2 * ROOM, 2 * ROOM)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAcceptDrops(True)
        self.viewport().setAcceptDrops(True)
        self.setMouseTracking(True)
        self.setMinimumSize(16 * theme.METRICS.space_4, 12 * theme.METRICS.space_4)
        self.setAccessibleName(self.tr("Network canvas"))
        self.setAccessibleDescription(
            self.tr("The layers of the network and their feature maps. {keys}").format(
                keys=" ".join(f"{key}: {does}." for key, does in keys())
            )
        )
        self.bubble = Bubble(self)
        self.legend = Legend(self, self.network)
        self.minimap = Minimap(self, self.network)
        self.minimap.went.connect(self._go)
        self.travel = Travel(self)
        theme.theme().changed.connect(self._restyle)

    # ---- what to show ------------------------------------------------------------------------

    def set_network(
        self,
        graph: Graph,
        layout: Mapping[str, tuple[float, float]],
        inference: Inference,
        costs: Mapping[str, Cost],
        folded: Collection[str] = (),
    ) -> None:
        """Show a network; items that are equal to what is shown are not touched.

        ``folded`` groups are shown as one card each; ``layout`` has the places of the cards.
        """
        if self.gesture is not None and graph != self.network.graph:
            # What was picked up may be gone: an edit from elsewhere ends the drag.
            self.cancel_gesture()
        was_empty = not self.network.items_by_id
        key = folding.view(graph, folded).key
        toggled = key ^ self.network.view.key
        path = min(toggled, default="", key=lambda p: (p.count("/"), p))
        before = self.to_pixel(self._place_of(path).topLeft()) if path else QPoint()
        places = self.travel.places()
        changed = self.network.set_network(graph, layout, inference, costs, folded)
        if path and not was_empty:
            self._keep_in_place(path, before)
        if was_empty != (not self.network.items_by_id):
            self.viewport().update()
            if was_empty:
                self.fit()
        if not toggled:
            self.travel.begin(places)
        if changed:
            self._refresh_overlays()
            self.minimap.update()

    def _place_of(self, path: str) -> QRectF:
        """Where a group is: its card, or the first of the cards of its layers."""
        items = self.network.items_by_id
        item = items.get(folding.card_id(path))
        if item is not None:
            return item.scene_rect()
        inside = (i for name, i in items.items() if name.startswith(f"{path}/"))
        return next((i.scene_rect() for i in inside), QRectF())

    def _keep_in_place(self, path: str, before: QPoint) -> None:
        """After a block was opened or closed: all of the network, or the block where it was."""
        self._apply(self.zoom)  # so many cards as there are now may be drawn in another way
        if self._fitted:
            self.fit()
            return
        place = self._place_of(path)
        if not place.isNull() and self.viewport().rect().contains(before):
            self.pan(before - self.to_pixel(place.topLeft()))

    def set_run(self, trace: Trace | None, position: int) -> None:
        """Show a trace as it was after ``position`` steps."""
        self.network.set_run(trace, position)
        self._refresh_overlays()

    def set_current(self, step: Step | None) -> None:
        """Ring the node of a step in the colour of its phase, and light what it reads."""
        self.network.set_step(step)
        self.minimap.update()

    def set_selection(self, ids: frozenset[str]) -> None:
        """Mark these as selected."""
        self.network.set_selection(frozenset(ids))
        self.minimap.update()

    def set_focus(self, cell: Cell | None) -> None:
        """Ring the channel and the cell that have the focus."""
        self.network.set_focus(cell)

    def set_fields(self, fields: Fields | None) -> None:
        """Outline what the focused cell sees and changes, in every layer at once; None: nothing."""
        self.network.set_fields(fields)
        self._refresh_overlays()

    def set_breakpoints(self, stops: Mapping[str, StopMark]) -> None:
        """Dots on cards: "on" stops there, "off" is switched off."""
        self.network.set_stops(dict(stops))

    def set_message(self, text: str) -> None:
        """A sentence that stands on an empty canvas instead of the usual hint; "" for the hint."""
        if text != self._message:
            self._message = text
            self.viewport().update()

    # ---- the view ----------------------------------------------------------------------------

    @property
    def zoom(self) -> float:
        """Screen pixels per scene unit."""
        return self.transform().m11()

    @property
    def reach(self) -> float:
        """How far from a port or an edge a press still meets it, in scene units."""
        return theme.METRICS.space_3 / max(self.zoom, MIN_ZOOM)

    @property
    def _port_reach(self) -> float:
        """Far out less than ``reach``, so that most of a card is left to drag it by."""
        return self.reach * (0.5 if self.network.far else 1.0)

    def set_zoom(self, zoom: float, anchor: QPoint | None = None) -> None:
        """Zoom so that the point under ``anchor`` (a pixel; else the centre) stays there."""
        zoom = min(MAX_ZOOM, max(MIN_ZOOM, zoom))
        pixel = anchor if anchor is not None else self.viewport().rect().center()
        before = self.to_scene(pixel)
        self._fitted = False
        self._apply(zoom)
        off = self.to_scene(pixel) - before
        self._centre_on(self._middle() - off)

    def _apply(self, zoom: float) -> None:
        changed = zoom != self.zoom
        transform = self.transform()
        transform.reset()
        transform.scale(zoom, zoom)
        self.setTransform(transform)
        few = len(self.network.items_by_id) <= FEW
        far = zoom < (FAR_BELOW_FOR_FEW if few else FAR_BELOW)
        self.network.set_far(far, few and zoom >= PORTS_FROM)
        if changed:
            self.zoom_changed.emit(zoom)

    def _middle(self) -> QPointF:
        return self.to_scene(QPointF(self.viewport().width() / 2, self.viewport().height() / 2))

    def _centre_on(self, point: QPointF) -> None:
        self.centerOn(point)
        self._centre = point
        self._show_on_minimap()

    def _show_on_minimap(self) -> None:
        corner = self.viewport().rect().bottomRight()
        self.minimap.show_view(QRectF(self.to_scene(QPoint(0, 0)), self.to_scene(corner)))

    def to_scene(self, pixel: QPoint | QPointF) -> QPointF:
        """The scene point under a pixel of the viewport, with fractions."""
        inverse, _ = self.viewportTransform().inverted()
        return inverse.map(QPointF(pixel))

    def to_pixel(self, point: QPointF) -> QPoint:
        """The pixel of the viewport at a scene point."""
        return self.mapFromScene(point)

    def fit(self) -> None:
        """Show the whole network, and keep doing so when the window changes its size."""
        self._show(self.network.bounds, FIT_AT_MOST)
        self._fitted = True

    def keep_when_higher(self, by: int) -> None:
        """If the canvas next grows by so many pixels at its upper side, nothing in it moves."""
        self._higher = by

    def zoom_to(self, ids: Iterable[str]) -> None:
        """Show these cards as large as they fit."""
        box = QRectF()
        for name in self.network.view.cards(ids):
            item = self.network.items_by_id.get(name)
            if item is not None:
                box = box.united(item.scene_rect())
        if not box.isNull():
            self._show(box, FIT_AT_MOST)

    def center_on(self, node_id: str) -> None:
        """Bring one card to the middle, at the present zoom."""
        item = self.network.items_by_id.get(self.network.view.card(node_id))
        if item is not None:
            self._fitted = False
            self._centre_on(item.scene_rect().center())

    def _show(self, box: QRectF, at_most: float) -> None:
        self._fitted = False
        if box.isNull():
            return
        # The legend stands below, so that it never covers a card.
        margin, below = theme.METRICS.icon, self.legend.room()
        view = self.viewport().size()
        zoom = min(
            (view.width() - 2 * margin) / max(1.0, box.width()),
            (view.height() - margin - max(margin, below)) / max(1.0, box.height()),
            at_most,
        )
        zoom = min(MAX_ZOOM, max(MIN_ZOOM, zoom))
        self._apply(zoom)
        off = max(0, below - margin) / 2 / zoom
        self._centre_on(box.center() + QPointF(0, off))

    def pan(self, by: QPoint) -> None:
        """Shift the picture by pixels."""
        self._fitted = False
        across, down = self.horizontalScrollBar(), self.verticalScrollBar()
        across.setValue(across.value() - by.x())
        down.setValue(down.value() - by.y())
        self._centre = self._middle()
        self._show_on_minimap()

    def set_minimap(self, shown: bool) -> None:
        """Show or hide the map of the whole network."""
        self.minimap.setVisible(shown)
        self.minimap.place()
        self._show_on_minimap()

    def say(self, text: str, mark: str = "", pixel: QPoint | None = None) -> None:
        """Show a sentence beside the mouse; an empty one hides it."""
        self.bubble.say(text, mark, pixel or QPoint())

    def _go(self, point: QPointF) -> None:
        self._fitted = False
        self._centre_on(point)

    def _restyle(self) -> None:
        self.viewport().update()
        self.legend.place()  # in a presentation its words are larger
        for widget in (self.bubble, self.legend, self.minimap):
            widget.update()

    def _refresh_overlays(self) -> None:
        if self.legend.refresh() and self._fitted:
            self.fit()

    # ---- painting ----------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        self.network.begin_frame()
        super().paintEvent(event)

    def drawBackground(self, painter: QPainter, rect: QRectF | QRect) -> None:
        painter.fillRect(rect, QColor(theme.current().background))

    def drawForeground(self, painter: QPainter, rect: QRectF | QRect) -> None:
        if self.network.items_by_id:
            return
        m, tokens = theme.METRICS, theme.current()
        painter.save()
        painter.resetTransform()
        painter.setFont(ink.font("heading", m.text_heading))
        painter.setPen(QColor(tokens.text_muted))
        text = self._message or self.tr("Drag a layer here from Layers, or press / and type")
        painter.drawText(self.viewport().rect(), int(Qt.AlignmentFlag.AlignCenter), text)
        painter.restore()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.legend.place()
        self.minimap.place()
        size, before, higher = event.size(), event.oldSize(), self._higher
        self._higher = 0
        if higher and size == before.grownBy(QMargins(0, higher, 0, 0)):
            self._centre_on(self._centre - QPointF(0, higher / 2 / self.zoom))
        elif self._fitted:
            self.fit()
        else:
            self._centre_on(self._centre)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self._fitted:
            self.fit()

    # ---- mouse -------------------------------------------------------------------------------

    def _begin(self, gesture: gestures.Gesture) -> None:
        self.gesture = gesture
        self.viewport().setCursor(gesture.cursor)

    def cancel_gesture(self) -> bool:
        """End what is being dragged without a request; False when nothing is."""
        had = self.gesture is not None or self._press is not None
        if self.gesture is not None:
            self.gesture.cancel()
        self.gesture = self._press = None
        self.viewport().unsetCursor()
        return had

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.setFocus(Qt.FocusReason.MouseFocusReason)
        self.travel.finish()
        self.say("")
        self._toggled = False
        pixel = event.position().toPoint()
        at = self.to_scene(event.position())
        event.accept()
        if self.gesture is not None:
            return
        if event.button() == Qt.MouseButton.MiddleButton:
            self._begin(gestures.Pan(self, pixel))
        elif event.button() == Qt.MouseButton.LeftButton:
            self._press_left(at, pixel, event.modifiers())

    def _press_left(self, at: QPointF, pixel: QPoint, held: Qt.KeyboardModifier) -> None:
        network = self.network
        adds = bool(
            held & (Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
        )
        port = network.port_at(at, self._port_reach) if network.ports_shown else None
        item = network.node_at(at)
        stop = network.stop_at(at)
        fold, frame = self.fold_at(at), network.frames_item.at(at, self.zoom)
        if fold and not adds:
            self._press = _Press(
                pixel,
                lambda: self._drag_block(fold, at),
                lambda: self._click_glyph(fold),
            )
        elif item is None and frame is not None:
            path = frame.path
            self._press = _Press(
                pixel,
                lambda: self._drag_block(path, at),
                lambda: self._select(network.graph_group(path)),
            )
        elif stop is not None and not adds:
            name = stop.facts.id
            self._press = _Press(
                pixel,
                lambda: self._drag_card(name, at, False),
                lambda: self.breakpoint_requested.emit(name),
            )
        elif item is not None and (fix := item.fix_at(at)) >= 0:
            self._begin(gestures.PressFix(self, item, fix))
        elif port is not None:
            self._press = _Press(
                pixel, lambda: self._wire(*port), lambda: self._click(port[0], at, adds)
            )
        elif item is not None:
            name = item.facts.id
            copies = bool(
                held & (Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier)
            )
            self._press = _Press(
                pixel,
                lambda: self._drag_card(name, at, copies),
                lambda: self._click(item, at, adds),
            )
        elif (edge := network.edge_at(at, self.reach)) is not None:
            ends = {edge.facts.start[0], edge.facts.reader}
            self._press = _Press(
                pixel,
                lambda: self._rewire(edge),
                lambda: self.select_requested.emit(network.view.ids(ends)),
            )
        else:
            keep = network.selection if adds else frozenset()
            self._press = _Press(
                pixel,
                lambda: gestures.Band(self, at, keep),
                lambda: None if adds else self._select(frozenset()),
            )

    def _wire(self, item: object, side: str, number: int) -> gestures.Gesture:
        assert isinstance(item, gestures.NodeItem)
        name = item.facts.id
        if side == "out":
            return gestures.Wire(self, ref=item.facts.sent(number))
        edge = self.network.edges.get((name, number))
        if edge is not None:
            return self._rewire(edge)
        return gestures.Wire(self, slot=(name, number))

    def _rewire(self, edge: EdgeItem) -> gestures.Gesture:
        if len(edge.facts.inputs) > 1:
            text = self.tr("Unfold {0}: {1} of its layers read this").format(
                folding.path_of(edge.facts.reader), len(edge.facts.inputs)
            )
            return gestures.Refusal(self, text)
        return gestures.Wire(self, ref=edge.facts.ref, old=edge)

    def _click_glyph(self, path: str) -> None:
        self._toggled = True
        self.toggle_block(path)

    def _drag_block(self, path: str, at: QPointF) -> gestures.Gesture:
        ids = self.network.graph_group(path)
        self._select(ids)
        return gestures.Move(self, ids, at)

    def _drag_card(self, name: str, at: QPointF, copies: bool) -> gestures.Gesture:
        ids = self.network.selection
        own = self.network.view.ids({name})
        if not own <= ids:
            ids = own
            self._select(ids)
        if copies:
            return gestures.Duplicate(self, ids, at)
        return gestures.Move(self, ids, at)

    def _select(self, ids: frozenset[str]) -> None:
        if ids != self.network.selection:
            self.select_requested.emit(ids)

    def _click(self, item: gestures.NodeItem, at: QPointF, adds: bool) -> None:
        name = item.facts.id
        if adds:
            own, chosen = self.network.view.ids({name}), self.network.selection
            self.select_requested.emit(chosen - own if own <= chosen else chosen | own)
            return
        self._select(self.network.view.ids({name}))
        place = None if self.network.far else item.place_at(at)
        if place is not None:
            self.focus_requested.emit(place)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        pixel = event.position().toPoint()
        at = self.to_scene(event.position())
        if self._press is not None and self.gesture is None:
            gap = pixel - self._press.pixel
            if gap.manhattanLength() < QApplication.startDragDistance():
                return
            self._begin(self._press.drag())
        if self.gesture is not None:
            self.gesture.move(at, pixel)
        else:
            self._hover(at)

    def _hover(self, at: QPointF) -> None:
        network = self.network
        shape = Qt.CursorShape.ArrowCursor
        item = network.node_at(at)
        stop = network.stop_at(at)
        network.hover_stop(stop)
        fold = self.fold_at(at)
        network.hover_block(fold)
        port = None
        if network.ports_shown and stop is None:
            port = network.port_at(at, self._port_reach)
        if fold or stop is not None or (item is not None and item.fix_at(at) >= 0):
            shape = Qt.CursorShape.PointingHandCursor
        elif port is not None:
            shape = Qt.CursorShape.CrossCursor
        elif item is not None:
            over = None if network.far else item.cell_at(at)
            shape = Qt.CursorShape.PointingHandCursor if over else Qt.CursorShape.OpenHandCursor
        elif network.edge_at(at, self.reach) is not None:
            shape = Qt.CursorShape.CrossCursor
        if self.viewport().cursor().shape() != shape:
            self.viewport().setCursor(shape)
        for other in network.items_by_id.values():
            lit = port[1:] if port is not None and port[0] is other else None
            if other.lit_port != lit:
                other.lit_port = lit
                network.touch(other)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        pixel = event.position().toPoint()
        at = self.to_scene(event.position())
        press, gesture = self._press, self.gesture
        self._press = self.gesture = None
        self.viewport().unsetCursor()
        if gesture is not None:
            gesture.finish(at, pixel)
        elif press is not None:
            press.click()
        event.accept()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        event.accept()
        if self._toggled:
            return  # the first of the two clicks has opened or closed a block already
        item = self.network.node_at(self.to_scene(event.position()))
        if event.button() == Qt.MouseButton.LeftButton and item is not None:
            if item.fix_at(self.to_scene(event.position())) < 0:
                self.open_card(item.facts.id)
        elif event.button() == Qt.MouseButton.LeftButton and (
            frame := self.network.frames_item.at(self.to_scene(event.position()), self.zoom)
        ):
            self.fold_requested.emit(frozenset({frame.path}))
        elif event.button() == Qt.MouseButton.LeftButton:
            self.fit()

    def open_card(self, name: str) -> None:
        """Open a layer, or unfold a block in its place."""
        if folding.path_of(name):
            self.unfold_requested.emit(frozenset({folding.path_of(name)}))
        else:
            self.open_requested.emit(name)

    def wheelEvent(self, event: QWheelEvent) -> None:
        event.accept()
        pixel = event.position().toPoint()
        if event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self._turn_page(pixel, event.angleDelta())
            return
        smooth = event.phase() != Qt.ScrollPhase.NoScrollPhase or not event.pixelDelta().isNull()
        if smooth and not event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            # A trackpad scrolls: two fingers move the picture, a pinch zooms.
            self.pan(event.pixelDelta() if not event.pixelDelta().isNull() else event.angleDelta())
            return
        delta = event.angleDelta().y() or event.angleDelta().x()
        self.set_zoom(self.zoom * WHEEL_STEP**delta, pixel)

    def _turn_page(self, pixel: QPoint, delta: QPoint) -> None:
        item = self.network.node_at(self.to_scene(pixel))
        turn = delta.y() or delta.x()
        if item is not None and turn and item.set_page(item.page + (1 if turn < 0 else -1)):
            self.network.touch(item)

    # ---- drag and drop -----------------------------------------------------------------------

    def _drop_of(self, event: QDropEvent) -> gestures.Drop | None:
        """The gesture of a layer or block that is dragged in; None for anything else."""
        data = event.mimeData()
        try:
            if data.hasFormat(BLOCK_MIME):
                return gestures.DropBlock(self, block_of(data))
            if data.hasFormat(LAYER_MIME):
                plain = json.loads(bytes(data.data(LAYER_MIME).data()).decode("utf-8"))
                return gestures.DropLayer(self, layer_from_dict(plain))
        except (ValueError, AttributeError, TypeError) as error:
            self.say(str(error), "illegal", event.position().toPoint())
        return None

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        drop = self._drop_of(event)
        if drop is None:
            event.ignore()
            return
        self.cancel_gesture()
        self.travel.finish()
        self.gesture = drop
        event.acceptProposedAction()

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        gesture = self.gesture
        if not isinstance(gesture, gestures.Drop):
            event.ignore()
            return
        gesture.move(self.to_scene(event.position()), event.position().toPoint())
        if gesture.accepted:
            event.acceptProposedAction()
        else:
            event.ignore()

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        if isinstance(self.gesture, gestures.Drop):
            self.cancel_gesture()
        event.accept()

    def dropEvent(self, event: QDropEvent) -> None:
        gesture = self.gesture
        self.gesture = None
        if not isinstance(gesture, gestures.Drop):
            event.ignore()
            return
        event.acceptProposedAction()
        self.setFocus(Qt.FocusReason.OtherFocusReason)
        gesture.finish(self.to_scene(event.position()), event.position().toPoint())

    # ---- keyboard, menu, tips ----------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if not press(self, event):
            event.ignore()
            return
        event.accept()

    def reveal(self, node_id: str) -> None:
        """Pan as little as needed to have a card on screen."""
        item = self.network.items_by_id.get(self.network.view.card(node_id))
        if item is None:
            return
        seen = QRectF(
            self.to_scene(QPoint(0, 0)), self.to_scene(self.viewport().rect().bottomRight())
        )
        if not seen.contains(item.scene_rect()):
            self.center_on(node_id)

    def reveal_all(self, ids: Iterable[str]) -> None:
        """Have several cards on screen: by all of the network where that was shown, else by a pan.

        What is larger than the view is made smaller.
        """
        items = self.network.items_by_id
        box = QRectF()
        for name in self.network.view.cards(ids):
            if name in items:
                box = box.united(items[name].scene_rect())
        corner = self.viewport().rect().bottomRight()
        seen = QRectF(self.to_scene(QPoint(0, 0)), self.to_scene(corner))
        if box.isNull() or seen.contains(box):
            return
        if self._fitted:
            self.fit()
        elif box.width() > seen.width() or box.height() > seen.height():
            self.zoom_to(ids)
        else:
            self._centre_on(box.center())

    def fold_at(self, at: QPointF) -> str:
        """The group that a click at a scene point would fold or unfold; "" for none."""
        item = self.network.node_at(at)
        if item is not None:
            folded = not self.network.far and item.fold_at(at)
            return folding.path_of(item.facts.id) if folded else ""
        frame = self.network.frames_item.at(at, self.zoom)
        return frame.path if frame is not None and frame.glyph(self.zoom).contains(at) else ""

    def toggle_block(self, path: str) -> None:
        """Ask to open a folded group, or to fold an open one."""
        folded = folding.card_id(path) in self.network.items_by_id
        (self.unfold_requested if folded else self.fold_requested).emit(frozenset({path}))

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        event.accept()
        at = self.to_scene(event.pos())
        item = self.network.node_at(at)
        edge = None if item is not None else self.network.edge_at(at, self.reach)
        if event.reason() == QContextMenuEvent.Reason.Keyboard:
            chosen = self.network.selection
            first = self.network.view.card(min(chosen)) if chosen else ""
            item = self.network.items_by_id.get(first)
            edge = None
        if item is not None:
            own = self.network.view.ids({item.facts.id})
            if not own <= self.network.selection:
                self.select_requested.emit(own)
        where = event.globalPos()
        if event.reason() == QContextMenuEvent.Reason.Keyboard and item is not None:
            where = self.viewport().mapToGlobal(self.to_pixel(item.scene_rect().center()))
        context_menu(self, item, edge, at).popup(where)

    def viewportEvent(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            text = tip(self.network, self.to_scene(event.pos()), self.reach)
            QToolTip.showText(event.globalPos(), text, self.viewport())
            return True
        if (
            isinstance(event, QNativeGestureEvent)
            and event.gestureType() == Qt.NativeGestureType.ZoomNativeGesture
        ):
            self.set_zoom(self.zoom * (1 + event.value()), event.position().toPoint())
            return True
        return super().viewportEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self.say("")
