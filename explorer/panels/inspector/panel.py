"""One node from inside: its tensors forward and backward, its weights, its paths, its numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QFrame,
    QHBoxLayout,
    QPushButton,
    QScrollArea,
    QStackedWidget,
    QTabBar,
    QVBoxLayout,
    QWidget,
)

from engine.cell import Cell
from engine.explain import Direction, Place, Weight
from engine.fields import Fields
from engine.graph import Graph, Inference, Node, Ref
from engine.layers.base import Array
from engine.other_pooling import OtherPooling, has_other
from engine.trace import Gains, Key, Trace
from explorer import theme
from explorer.narration import strongest
from explorer.panels.gains import GainsBox
from explorer.panels.inspector.channel_zoom import ChannelZoom
from explorer.panels.inspector.compared import Compared, arrangement_for, common, difference
from explorer.panels.inspector.lens import Lens, is_kind, name_of
from explorer.panels.inspector.mark_legend import Entry, MarkLegend
from explorer.panels.inspector.marks_in_sight import mark_entries, place_entries
from explorer.panels.inspector.numbers import class_rows, tensor_rows
from explorer.panels.inspector.numbers_table import NumbersTable
from explorer.panels.inspector.other_pool import OtherPoolBox, PoolPair
from explorer.panels.inspector.paths_box import PathsBox
from explorer.panels.inspector.pin_bar import PinBar, PinnedPicture, Shown
from explorer.panels.inspector.pooling import (
    choice_of,
    padding_of,
    readers_of,
    window_at,
    winner_of,
)
from explorer.panels.labels import wrapped
from explorer.panels.properties import first_sentence
from explorer.tensors.marks import Marks, Window
from explorer.tensors.pair import TensorPair
from explorer.tensors.scales import Kind as ScaleKind
from explorer.tensors.scales import Mode, Scale, format_number, scale_for

MOST_MARKS = 20_000  # more at once would take longer than a frame
OUTPUT, INPUT, WEIGHTS, STATISTICS, ABOUT = "output", "input", "weights", "statistics", "about"


def formula_of(text: str | None) -> str:
    """The formula of a layer's docstring: its second paragraph, as one line per equation."""
    paragraphs = [p for p in (text or "").strip().split("\n\n") if p.strip()]
    for paragraph in paragraphs[1:]:
        plain = " ".join(paragraph.split())
        if plain.startswith(("Gradient:", "Source:")):
            break
        if "=" in plain:
            return plain
    return ""


class Inspector(QWidget):
    """Shows what the trace holds at a position around one node; asks for cells to be selected."""

    focus_requested = Signal(object)  # Cell
    weight_requested = Signal(object)  # Place of a weight, its value or its gradient
    gain_requested = Signal(str, int, float)  # an Add, its input, its factor
    value_requested = Signal(object, float)  # Cell of the picture, another number
    scale_mode_requested = Signal(str)  # "shared", "per channel" or "frozen"
    side_requested = Signal(object, str)  # Cell clicked in a pinned picture's maps, and its side
    picture_requested = Signal(object, str)  # QImage of maps made later, and a name
    unpin_requested = Signal()
    compare_requested = Signal(str)  # pooling layer to be compared with its other kind; "": none

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._lens = Lens()
        self._focus: Cell | None = None
        self._signatures: dict[int, object] = {}
        self._weight: Weight | None = None
        self._weight_view: tuple[int, ...] | None = None
        self._told_weight: Weight | None = None
        self.marks: tuple[Marks | None, Marks | None] = (None, None)
        self._twin_marks: tuple[Marks | None, Marks | None] = (None, None)
        self._channel_of: tuple[str, int, bool] = ("", 0, False)
        self._channel_told = 0
        self._channel: int | None = None  # whose winners are marked; None: of all
        self._channel_focus: Cell | None = None
        self._outlined = ""  # what the cells are that are outlined for the focused one
        self._twin_shows: Shown = "this"
        self._phase = ""  # of the step shown last
        self._weightless = False
        self._follows = True  # the page comes to the front that the step wrote
        m = theme.metrics()
        self.setAccessibleName(self.tr("Inspector"))
        self.title = wrapped("heading")
        self.kind = wrapped("muted")
        self.formula = wrapped(selectable=True)
        self.tabs = QTabBar()
        self.tabs.setExpanding(False)
        self.tabs.setUsesScrollButtons(True)
        self.tabs.setElideMode(Qt.TextElideMode.ElideNone)
        self.tabs.setDrawBase(False)
        self.tabs.setAccessibleName(self.tr("What to show of the layer"))
        self.tabs.currentChanged.connect(self._tab_changed)
        self.which = QComboBox()
        self.which.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.which.setMinimumContentsLength(8)
        self.which.currentIndexChanged.connect(lambda _: self._show_page())
        self.compare = QPushButton()
        self.compare.setCheckable(True)
        self.compare.setAutoDefault(False)
        self.compare.toggled.connect(self._compare_toggled)
        self.other_pool: OtherPoolBox | None = None  # made when it is first wanted
        self._pool_place = QWidget()
        QVBoxLayout(self._pool_place).setContentsMargins(0, 0, 0, 0)
        self._pool_place.hide()
        self._comparison: tuple[OtherPooling | None, str] = (None, "")
        self._compared_node = ""
        self._windows: tuple[Window, ...] = ()
        self.output = TensorPair()
        self.source = TensorPair()  # the input of a pooling, above its output
        self.input = TensorPair()
        self.weights = TensorPair()
        self.table = NumbersTable()
        self.table.setAccessibleName(self.tr("Statistics"))
        self.about = wrapped(selectable=True)
        self.about.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.pool_note = wrapped("muted")
        self.pool_note.setContentsMargins(m.space_2, 0, m.space_2, m.space_1)
        self.pool_route = wrapped(selectable=True)
        self.pool_route.setContentsMargins(m.space_2, 0, m.space_2, 0)
        self.pool_route.hide()
        self._compared = {
            pair: Compared(pair, self._connecter(pair))
            for pair in (self.output, self.source, self.input, self.weights)
        }
        self.pin_bar = PinBar()
        self.pin_bar.shown_requested.connect(self._pin_shown_chosen)
        self.pin_bar.same_scale_requested.connect(self._same_scale_chosen)
        self.pin_bar.unpin_requested.connect(self.unpin_requested)
        self._pin: PinnedPicture | None = None
        self._pin_shown: Shown = "this"
        self._same_scale = True
        self._difference_scales: dict[TensorPair, tuple[Scale, Scale]] = {}
        self._twin_zooms: dict[TensorPair, ChannelZoom] = {}
        self._zooms = tuple(
            ChannelZoom(pair.forward_grid, pair.gradient_grid)
            for pair in (self.source, self.output)
        )
        self.source_legend, self.input_legend = MarkLegend(), MarkLegend()
        self._zooms[0].changed.connect(self._show_mark_legend)
        self._fields: Fields | None = None
        self.join, self.fork = PathsBox(), PathsBox()
        self.gains = GainsBox()
        self.gains.setContentsMargins(m.space_3, 0, m.space_2, m.space_2)
        self.gains.gain_requested.connect(self.gain_requested)
        self._gains: Gains = {}
        self.empty = wrapped("muted")
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.stack = QStackedWidget()
        self._pages: dict[str, int] = {}
        self._add_page(
            OUTPUT,
            self.join,
            self.gains,
            self.fork,
            self._pool_place,
            self._compared[self.source],
            self.source_legend,
            self.pool_route,
            self.pool_note,
            self._compared[self.output],
        )
        self._add_page(INPUT, self._compared[self.input], self.input_legend)
        self._add_page(WEIGHTS, self._compared[self.weights])
        self._pages[STATISTICS] = self.stack.addWidget(self.table)
        self._add_page(ABOUT, self.about)
        head = QVBoxLayout()
        head.setContentsMargins(m.space_3, m.space_3, m.space_3, 0)
        head.setSpacing(m.space_1)
        for widget in (self.title, self.kind, self.formula):
            head.addWidget(widget)
        chooser = QHBoxLayout()
        chooser.setContentsMargins(m.space_3, m.space_2, m.space_3, 0)
        chooser.setSpacing(m.space_2)
        chooser.addWidget(self.which, 1)
        chooser.addWidget(self.compare)
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(0)
        box.addLayout(head)
        box.addSpacing(m.space_2)
        box.addWidget(self.tabs)
        box.addWidget(self.pin_bar)
        box.addLayout(chooser)
        box.addWidget(self.stack, 1)
        box.addWidget(self.empty, 1)
        for pair in (self.output, self.source, self.input):
            pair.focus_requested.connect(self.focus_requested)
            pair.forward_grid.value_requested.connect(self.value_requested)
        for pair in (self.source, self.input):
            for grid in (pair.forward_grid, pair.gradient_grid):
                grid.view_changed.connect(self._show_mark_legend)
        self.weights.forward_grid.selected.connect(lambda c: self._weight_chosen(c, "forward"))
        self.weights.gradient_grid.selected.connect(lambda c: self._weight_chosen(c, "gradient"))
        for pair in (self.output, self.source, self.input, self.weights):
            pair.scale_mode_requested.connect(self.scale_mode_requested)
        self.stack.installEventFilter(self)
        theme.theme().changed.connect(self._restyle)
        self._restyle()
        self._show()

    def _add_page(self, name: str, *widgets: QWidget) -> None:
        page = QWidget()
        box = QVBoxLayout(page)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(0)
        for widget in widgets:
            box.addWidget(widget, 1 if isinstance(widget, Compared) else 0)
        if not any(isinstance(widget, Compared) for widget in widgets):
            m = theme.metrics()
            box.setContentsMargins(m.space_3, m.space_3, m.space_3, m.space_3)
            box.addStretch(1)
        area = QScrollArea()
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setWidgetResizable(True)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(page)
        area.viewport().setAutoFillBackground(False)
        page.setAutoFillBackground(False)
        self._pages[name] = self.stack.addWidget(area)

    # ---- what is shown ---------------------------------------------------------------------

    def set_run(
        self,
        graph: Graph,
        inference: Inference,
        trace: Trace | None,
        position: int,
        node_id: str | None,
        port: int = 0,
    ) -> None:
        """Show a node, an input or a loss as it is when ``position`` steps have run."""
        known = min(position, len(trace)) if trace is not None else 0
        lens = Lens(graph, inference, trace, position, node_id or "", port, known)
        before, self._lens = self._lens, lens
        if lens.same_as(before):
            return
        if trace is not before.trace:
            self._signatures.clear()
        phase = lens.step.phase if lens.step is not None else ""
        if phase in ("forward", "backward") and phase != self._phase:
            self._phase, self._follows = phase, True
        if lens.node_id != before.node_id or graph != before.graph:
            self._show()
        else:
            self._follow()
            self._show_page()

    def set_weightless(self, on: bool) -> None:
        """Whether nothing can be computed because the network has no weights."""
        if on != self._weightless:
            self._weightless = on
            self._show_page()

    def _absences(self) -> dict[str, str]:
        """What is said in place of an array that no step brings; nothing where one does."""
        if self._weightless:
            return {
                "forward_empty": self.tr("No weights yet: Train → New random weights makes them."),
                "gradient_empty": self.tr("No gradient without weights."),
            }
        if not self._lens.graph.losses:
            text = self.tr("No gradient: no loss judges this network. Edit → Add a loss adds one.")
            return {"gradient_empty": text}
        return {}

    def set_focus(self, cell: Cell | None) -> None:
        """Mark the one focus wherever its tensor is shown."""
        if cell != self._focus:
            self._focus = cell
            if self.which.isVisibleTo(self) and self.tab == OUTPUT:
                self._show_page()  # another channel may come into sight
            else:
                self._show_focus()

    def set_weight(self, weight: Weight | None) -> None:
        """Mark a weight that is asked about, and bring it to the front once its node is shown."""
        if weight != self._told_weight:
            self._told_weight = self._weight = weight
            self._show_weight()

    def set_fields(self, fields: Fields | None) -> None:
        """Outline what the focused cell sees and changes in the maps shown; None: nothing."""
        for pair in self._with_twins(self.output, self.source, self.input):
            pair.set_fields(fields)
        self._fields = fields
        self._show_mark_legend()

    def set_gains(self, gains: Gains) -> None:
        """The what-if, of which the factors at the Add in sight are shown."""
        self._gains = gains
        self.gains.set_join(self._lens.graph, self._lens.node_id, gains)

    def set_scale_mode(self, mode: Mode) -> None:
        """Colour all tensors here by one scale, one per channel, or the present one."""
        for pair in self._with_twins(*self._compared):
            pair.set_scale_mode(mode)
        self._difference_scales.clear()
        self._show_comparison()
        self.pin_bar.set_scale_mode(mode)
        if self._pin is not None:
            self._signatures.clear()
            self._show_page()

    def set_pinned(self, picture: PinnedPicture | None) -> None:
        """A picture to be shown beside the present one, at the same step; None: none."""
        before = self._pin
        if picture is None if before is None else before.same_as(picture):
            return
        self._pin = picture
        if before is None or picture is None:
            self._pin_shown = "this"
            for compared in self._compared.values():
                compared.set_pinned(picture is not None)
        self.pin_bar.set_picture(picture)
        run_changed = before is None or picture is None or before.whole is not picture.whole
        noted = before is not None and picture is not None and before.note != picture.note
        if run_changed or noted:
            self._difference_scales.clear()
            self._signatures.clear()
            self._show_page()

    def twin_of(self, pair: TensorPair) -> TensorPair | None:
        """The maps of the pinned picture beside those of ``pair``; None while there are none."""
        return self._compared[pair].twin if self._pin is not None else None

    def scroll_to_top(self) -> None:
        """Begin at the head of every page, as another project does."""
        for area in self.stack.findChildren(QScrollArea):
            area.verticalScrollBar().setValue(0)

    def show_tab(self, name: str) -> None:
        """Bring "output", "input", "weights", "statistics" or "about" to the front, if there."""
        for i in range(self.tabs.count()):
            if self.tabs.tabData(i) == name:
                self.tabs.setCurrentIndex(i)

    @property
    def tab(self) -> str:
        """The name of the tab in front."""
        return str(self.tabs.tabData(self.tabs.currentIndex()) or "")

    # ---- the other kind of pooling -----------------------------------------------------------

    def set_comparison(self, found: OtherPooling | None, note: str) -> None:
        """What the other kind makes of the layer that was asked for; None: ``note`` says why."""
        self._comparison = found, note
        self._show_comparison()
        self._show_focus()

    def _compare_toggled(self) -> None:
        self._show_page()

    def _ask_comparison(self, node: Node | None) -> None:
        """Offer to compare at a pooling, and ask for it where that is wanted."""
        offered = node is not None and has_other(node.layer)
        self.compare.setVisible(offered)
        if offered and node is not None:
            text, tip = self.tr("Beside average"), self.tr("Pool the same windows by average too")
            if not is_kind(node, "MaxPool2d"):
                text, tip = self.tr("Beside max"), self.tr("Pool the same windows by maximum too")
            icon = "pool-average" if is_kind(node, "MaxPool2d") else "pool-max"
            self.compare.setText(text)
            self.compare.setToolTip(tip)
            self.compare.setIcon(theme.icon(icon))
        wanted = node.id if offered and node is not None and self.compare.isChecked() else ""
        if wanted != self._compared_node:
            self._compared_node = wanted
            self.compare_requested.emit(wanted)
        self._show_comparison()

    def _show_comparison(self) -> None:
        node, lens = self._lens.node, self._lens
        wanted = node is not None and node.id == self._compared_node
        self._pool_place.setVisible(wanted)
        ref = node.inputs[0] if node is not None and node.inputs else None
        if not wanted or node is None or ref is None:
            return
        found, note = self._comparison
        sent = lens.sent(node, 0, ref)
        maxed = is_kind(node, "MaxPool2d")
        names = (self.tr("Max"), self.tr("Average"))
        names = names if maxed else (names[1], names[0])
        pair = PoolPair(
            node.id,
            ref,
            names,
            lens.value((node.id, 0)),
            lens.array(sent),
            None if sent is None else lens.array(lens.key("grad", (node.id, 0))),
            found,
            note,
            self._channel if maxed else None,
            padding_of(node.layer),
        )
        marks = self.marks[0] if maxed else None
        x = lens.value(ref)
        argmax = None if found is None else found.argmax
        if found is not None and argmax is not None and x is not None and argmax.size <= MOST_MARKS:
            marks = choice_of(found.layer, x, found.y, argmax).marks
        box = self._pool_box()
        box.set_pair(pair, marks, self.output.scale_mode)
        box.set_focus(self._focus, self._windows)

    def _pool_box(self) -> OtherPoolBox:
        place = self._pool_place.layout()
        if self.other_pool is None and place is not None:
            self.other_pool = OtherPoolBox()
            self.other_pool.focus_requested.connect(self.focus_requested)
            self.other_pool.side_requested.connect(self.side_requested)
            for row in (self.other_pool.outputs, self.other_pool.gradients):
                for grid in row.grids:
                    grid.picture_requested.connect(self.picture_requested)
            place.addWidget(self.other_pool)
            self.other_pool.show()
        assert self.other_pool is not None
        return self.other_pool

    # ---- the pinned picture ----------------------------------------------------------------

    def _with_twins(self, *pairs: TensorPair) -> tuple[TensorPair, ...]:
        twins = (self._compared[pair].twin for pair in pairs)
        return (*pairs, *(twin for twin in twins if twin is not None))

    def _connecter(self, pair: TensorPair) -> Callable[[TensorPair], None]:
        """What connects the twin of a pair, when it is made."""

        def connect(twin: TensorPair) -> None:
            forward, gradient = twin.forward_grid, twin.gradient_grid
            if pair is self.weights:
                forward.selected.connect(lambda c: self._weight_chosen(c, "forward"))
                gradient.selected.connect(lambda c: self._weight_chosen(c, "gradient"))
            else:
                twin.focus_requested.connect(self.focus_requested)
                forward.selected.connect(lambda c: self.side_requested.emit(c, "forward"))
                gradient.selected.connect(lambda c: self.side_requested.emit(c, "gradient"))
                twin.set_fields(self._fields)
            for grid in (forward, gradient):
                grid.picture_requested.connect(self.picture_requested)
            twin.scale_mode_requested.connect(self.scale_mode_requested)
            if pair is self.source:
                for grid in (forward, gradient):
                    grid.view_changed.connect(self._show_mark_legend)
            if pair in (self.source, self.output):
                self._twin_zooms[pair] = ChannelZoom(forward, gradient)
                self._twin_zooms[pair].changed.connect(self._show_mark_legend)

        return connect

    def _pin_shown_chosen(self, shown: Shown) -> None:
        self._pin_shown = shown
        self._signatures.clear()
        self._show_page()

    def _same_scale_chosen(self, on: bool) -> None:
        self._same_scale = on
        self._signatures.clear()
        self._show_page()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Resize:
            self._arrange_pictures()
        return super().eventFilter(watched, event)

    def _arrange_pictures(self) -> None:
        """Both pictures beside each other, one below the other, or one at a time."""
        pairs = 2 if self.tab == OUTPUT and is_kind(self._lens.node, "MaxPool2d") else 1
        arrangement = arrangement_for(self.stack.width(), self.stack.height(), pairs)
        both = arrangement != "tabs"
        shown = "pinned" if both and self._pin_shown == "this" else self._pin_shown
        self.pin_bar.set_beside(both)
        self.pin_bar.set_shown(shown)
        refill = self._pin is not None and shown != self._twin_shows
        self._twin_shows = shown
        for compared in self._compared.values():
            compared.arrange(arrangement, shown)
        if refill:
            self._signatures.clear()
            self._show_page()

    def _fill_twin(
        self,
        pair: TensorPair,
        keys: tuple[Key | None, Key | None],
        view: tuple[int, ...] | None,
        words: dict[str, Any],
    ) -> None:
        """The pinned picture's arrays of the same names, or the difference to them."""
        twin, pin = self._compared[pair].twin, self._pin
        if twin is None or pin is None:
            return
        mode, own = pair.scale_mode, words.get("title", "")
        run = pin.whole
        lens = replace(self._lens, trace=run)
        found = [lens.array(key) if run is not None and key in run else None for key in keys]
        if view is not None:
            found = [None if a is None else a.reshape(view) for a in found]
        mine = self._arrays(keys, view)
        if any(
            a is not None and b is not None and a.shape != b.shape
            for a, b in zip(found, mine, strict=True)
        ):
            found = [None, None]
        words = dict(words)
        if run is None:
            words |= {"forward_empty": pin.note, "gradient_empty": pin.note}
        if self._twin_shows == "difference":
            found = [difference(a, b) for a, b in zip(mine, found, strict=True)]
            name = self.tr("This − pinned")
            words["forward_kind"] = "diverging"
        else:
            name = self.tr("Pinned")
        twin.set_tensors(*found, **words | {"title": f"{name} · {own}" if own else name})
        if mode == "per channel":
            pass  # each map has its own range: nothing to share
        elif self._twin_shows == "difference":
            scales = self._difference_scales.get(pair) if mode == "frozen" else None
            if scales is None:
                one, other = (scale_for(array, "diverging") for array in found)
                scales = self._difference_scales[pair] = one, other
            twin.set_scales(*scales, self.tr("this minus pinned"))
        elif self._same_scale and mode == "frozen":
            twin.set_scales(pair.forward_grid.scale, pair.gradient_grid.scale, "")
        elif self._same_scale and run is not None:
            forward = common(pair.forward_grid.scale, twin.forward_grid.scale)
            gradient = common(pair.gradient_grid.scale, twin.gradient_grid.scale)
            for one_of_both in (pair, twin):
                one_of_both.set_scales(forward, gradient, self.tr("one scale for both pictures"))
        self._compared[pair].level()

    # ---- the frame -------------------------------------------------------------------------

    def _restyle(self) -> None:
        self.formula.setFont(theme.font("code"))

    def _show(self) -> None:
        """Title, tabs and the page, for another node."""
        node, loss = self._lens.node, self._lens.loss
        there = self._lens.exists
        for widget in (self.title, self.kind, self.tabs, self.stack):
            widget.setVisible(there)
        self.pin_bar.setVisible(there and self._pin is not None)
        self.empty.setVisible(not there)
        self.formula.hide()
        self.which.hide()
        if not there:
            self.empty.setText(
                self.tr(
                    "Select a layer on the canvas or in the outline: its maps, its gradient and "
                    "its weights appear here."
                )
            )
            return
        self.title.setText(self._lens.node_id)
        tabs: list[tuple[str, str]] = [(OUTPUT, self.tr("Output"))]
        if node is not None:
            doc = type(node.layer).__doc__
            kind = node.layer.title or type(node.layer).__name__
            tabs.append((INPUT, self.tr("Input")))
            if self._lens.parameters(node):
                tabs.append((WEIGHTS, self.tr("Weights")))
        elif loss is not None:
            doc, kind = type(loss.function).__doc__, loss.function.title
            tabs = [(OUTPUT, self.tr("Scores"))]
        else:
            doc = None
            kind = self.tr("Input of the network")
        tabs.append((STATISTICS, self.tr("Statistics")))
        if doc:
            tabs.append((ABOUT, self.tr("About")))
        formula = formula_of(doc)
        self.formula.setText(formula)
        self.formula.setVisible(bool(formula))
        sentence = first_sentence(doc)
        self.kind.setText(f"{kind} · {sentence}" if sentence else kind)
        self.about.setText(
            "\n\n".join(" ".join(p.replace("``", "").split()) for p in (doc or "").split("\n\n"))
        )
        before = self.tab
        self.tabs.blockSignals(True)
        while self.tabs.count():
            self.tabs.removeTab(0)
        for name, text in tabs:
            self.tabs.setTabData(self.tabs.addTab(text), name)
            if name == before:
                self.tabs.setCurrentIndex(self.tabs.count() - 1)
        self.tabs.blockSignals(False)
        self._follow()
        self._weight = self._told_weight
        self._show_page()
        self._show_weight()

    def _tab_changed(self) -> None:
        """What the user chose stays until the run turns round."""
        self._follows = False
        self._show_page()

    def _follow(self) -> None:
        """Bring what the step in sight wrote to the front, in place of the other side of it."""
        lens = self._lens
        if not self._follows or self.tab not in (OUTPUT, INPUT):
            return
        if lens.step is None and not lens.both_sides:
            return
        self.tabs.blockSignals(True)
        self.show_tab(INPUT if lens.wrote_input else OUTPUT)
        self.tabs.blockSignals(False)

    def _show_page(self) -> None:
        if not self._lens.node_id or self.tabs.count() == 0:
            return
        name = self.tab
        if name not in self._pages:
            return
        self.stack.setCurrentIndex(self._pages[name])
        self.pin_bar.setVisible(
            self._pin is not None and self._lens.exists and name in (OUTPUT, INPUT, WEIGHTS)
        )
        self._arrange_pictures()
        builders: dict[str, Callable[[], None]] = {
            OUTPUT: self._show_output,
            INPUT: self._show_input,
            WEIGHTS: self._show_weights,
            STATISTICS: self._show_statistics,
        }
        node = self._lens.node
        pooling = name == OUTPUT and is_kind(node, "MaxPool2d")
        if name not in (INPUT, WEIGHTS) and not pooling:
            self.which.hide()
        if not pooling:
            for zoom in (*self._zooms, *self._twin_zooms.values()):
                zoom.set_channel(None)
        builders.get(name, lambda: None)()
        self._ask_comparison(node if name == OUTPUT else None)
        self._show_focus()

    def _kind_of(self, ref: Ref) -> ScaleKind:
        return "grey" if ref[0] in self._lens.graph.input_ids else "sequential"

    def _fill(
        self,
        pair: TensorPair,
        value: Key | None,
        gradient: Key | None,
        *,
        view: tuple[int, ...] | None = None,
        **words: Any,
    ) -> None:
        """Give a pair its arrays, unless it shows them already; ``view`` is another shape."""
        words = self._absences() | {name: word for name, word in words.items() if word is not None}
        signature = (value, gradient, view, tuple(sorted(words.items())))
        if self._signatures.get(id(pair)) == signature:
            return
        self._signatures[id(pair)] = signature
        pair.forward_grid.set_editable(words.get("node") in self._lens.graph.input_ids)
        own = words.get("title", "")
        named = self.tr("This picture") if not own else self.tr("This · {0}").format(own)
        title = {"title": named} if self._pin is not None else {}
        pair.set_tensors(*self._arrays((value, gradient), view), **words | title)
        self._fill_twin(pair, (value, gradient), view, words)

    def _arrays(
        self, keys: tuple[Key | None, Key | None], view: tuple[int, ...] | None
    ) -> list[Array | None]:
        found = [self._lens.array(key) for key in keys]
        return found if view is None else [None if a is None else a.reshape(view) for a in found]

    # ---- pages -----------------------------------------------------------------------------

    def _show_output(self) -> None:
        node, loss = self._lens.node, self._lens.loss
        ref: Ref = (self._lens.node_id, self._lens.port)
        if loss is not None:
            ref = loss.input
        pooling = is_kind(node, "MaxPool2d")
        self._fill(
            self.output,
            self._lens.key("value", ref),
            self._lens.key("grad", ref),
            node=ref[0],
            port=ref[1],
            title=self.tr("Output") if pooling else "",
            forward_kind=self._kind_of(ref),
        )
        self._compared[self.source].setVisible(pooling)
        self.source.chooser.hide()
        self.pool_note.setVisible(pooling)
        if pooling and node is not None:
            self._show_pooling(node)
        self.join.show_join(self._lens, node)
        self.gains.set_join(self._lens.graph, self._lens.node_id, self._gains)
        self.fork.show_fork(self._lens, ref if loss is None else None)

    def _show_pooling(self, node: Node) -> None:
        ref = node.inputs[0]
        if ref is None:
            self._fill(self.source, None, None, title=self.tr("Input"))
            self._mark(None, None)
            self.pool_note.setText(self.tr("Connect an input to see which cells are chosen."))
            return
        sent = self._lens.sent(node, 0, ref)
        self._fill(
            self.source,
            self._lens.key("value", ref),
            sent,
            node=ref[0],
            port=ref[1],
            title=self.tr("Input {name}").format(name=name_of(ref)),
            forward_kind=self._kind_of(ref),
        )
        argmax = self._lens.key("saved", (node.id, "argmax"))
        output = self._lens.key("value", (node.id, 0))
        # the sentence of the backward step tells of the strongest gradient: look at the same one
        upstream = self._lens.array(self._lens.key("grad", (node.id, 0)))
        told = self._lens.array(output) if sent is None else upstream
        channel = self._choose_channel(node, ref, told, backward=sent is not None)
        self._channel = channel
        signature = ("marks", argmax, output, sent, channel)
        if self._signatures.get(-1) == signature:
            return
        self._signatures[-1] = signature
        x, y = self._lens.array(self._lens.key("value", ref)), self._lens.array(output)
        if self._lens.trace is None or argmax is None or x is None or y is None:
            self._mark(None, None)
            self.pool_note.setText(
                self.tr("Step forward through {node} to see which cell each window keeps.").format(
                    node=node.id
                )
            )
            return
        choice = choice_of(node.layer, x, y, self._lens.trace.at(argmax)[0])
        marks = choice.marks if channel is None else choice.of_channel(channel)
        if len(marks.windows) > MOST_MARKS:
            self._mark(None, None)
            self.pool_note.setText(self.tr("Choose one channel to see its marks."))
            return
        self._mark(marks, marks if sent is not None else None)
        notes = []
        dx = self._lens.array(sent)
        if dx is not None:
            notes.append(
                self.tr("{zeros} of {count} cells of the input get exactly zero.").format(
                    zeros=int((dx == 0).sum()), count=dx.size
                )
            )
        if choice.overlaps:
            notes.append(
                self.tr("{count} cells won more than one window (their gradients add).").format(
                    count=choice.overlaps
                )
            )
        if choice.ties:
            notes.append(
                self.tr(
                    "{count} windows in all had a tie (square marks): the first cell wins."
                ).format(count=choice.ties)
            )
        text = " ".join(notes) or self.tr("No ties and no overlaps.")
        self.pool_note.setText(self._of_this(text))

    def _say_route(self, cell: Cell, winner: Cell, dy: Array | None) -> None:
        """Where the number of a pooled cell came from, and where its gradient went."""
        index = ", ".join(map(str, cell.index))
        if dy is None:
            text = self.tr("{cell} came from row {row}, column {column} of {source}.")
        else:
            text = self.tr(
                "The gradient {gradient} of {cell} goes to row {row}, column {column} of {source}."
            )
        told = text.format(
            gradient="" if dy is None else format_number(float(dy[cell.index])),
            cell=f"{cell.node} [{index}]",
            row=winner.row,
            column=winner.column,
            source=name_of((winner.node, winner.port)),
        )
        self.pool_route.setText(self._of_this(told))
        self.pool_route.show()

    def _of_this(self, text: str) -> str:
        """What is told of the present picture, said so while another is shown beside it."""
        return self.tr("This picture: {0}").format(text) if self._pin is not None else text

    def _mark(self, forward: Marks | None, gradient: Marks | None) -> None:
        self.marks = (forward, gradient)
        self.source.set_marks(forward, gradient)
        twin = self._compared[self.source].twin
        if twin is not None:
            theirs = self._pinned_marks() if forward is not None else None
            self._twin_marks = (theirs, theirs if gradient is not None else None)
            twin.set_marks(*self._twin_marks)

    def _pinned_marks(self) -> Marks | None:
        """The winners in the pinned picture, of the channel in sight; none on a difference."""
        node, pin = self._lens.node, self._pin
        run = pin.whole if pin is not None else None
        ref = node.inputs[0] if node is not None else None
        if node is None or run is None or ref is None or self._twin_shows == "difference":
            return None
        lens = replace(self._lens, trace=run)
        x, y = lens.value(ref), lens.value((node.id, 0))
        argmax = lens.array(lens.key("saved", (node.id, "argmax")))
        if x is None or y is None or argmax is None:
            return None
        choice = choice_of(node.layer, x, y, argmax[0])
        channel = self._channel
        return choice.marks if channel is None else choice.of_channel(channel)

    def _choose_channel(
        self, node: Node, ref: Ref, told: Array | None, backward: bool
    ) -> int | None:
        """Look at one channel, so that its marks are large enough to see; None for all of them."""
        spec = self._lens.inference.specs.get(ref)
        channels = spec.shape[1] if spec is not None and len(spec.shape) == 4 else 0
        texts = [
            self.tr("all channels"),
            *(self.tr("channel {0}").format(c) for c in range(channels)),
        ]
        chosen = self._choices(texts)
        fresh = self._channel_of[:2] != (node.id, channels)
        # what the program chose follows the direction; what the user chose stays
        fresh |= self._channel_of[2] != backward and chosen == self._channel_told
        if fresh and told is not None:
            # The channel with the strongest number has something to see.
            best = strongest(told, signed=backward)
            chosen = 1 + best[0] if best is not None else 1
            self._channel_of = (node.id, channels, backward)
            self._channel_told = chosen
        elif fresh:
            chosen = min(1, channels)
        cell = self._focus
        if (
            cell is not None
            and cell != self._channel_focus
            and len(cell.index) == 3
            and (cell.node, cell.port) in ((node.id, 0), ref)
            and cell.channel < channels
        ):
            chosen = chosen and 1 + cell.channel
        self._channel_focus = cell
        self.which.blockSignals(True)
        self.which.setCurrentIndex(chosen)
        self.which.blockSignals(False)
        for zoom, (name, port) in zip(self._zooms, (ref, (node.id, 0)), strict=True):
            zoom.set_channel(Cell(name, port, (chosen - 1, 0, 0)) if chosen else None)
        for pair, (name, port) in ((self.source, ref), (self.output, (node.id, 0))):
            if pair in self._twin_zooms:
                cell = Cell(name, port, (chosen - 1, 0, 0)) if chosen else None
                self._twin_zooms[pair].set_channel(cell)
        return chosen - 1 if chosen else None

    def _choices(self, texts: list[str]) -> int:
        """Offer a choice where there is one; the index that is chosen."""
        self.which.blockSignals(True)
        if [self.which.itemText(i) for i in range(self.which.count())] != texts:
            self.which.clear()
            self.which.addItems(texts)
        self.which.blockSignals(False)
        self.which.setVisible(len(texts) > 1)
        return max(0, self.which.currentIndex())

    def _show_input(self) -> None:
        node = self._lens.node
        refs = [(slot, r) for slot, r in enumerate(node.inputs if node else ()) if r is not None]
        if node is None or not refs:
            self.which.hide()
            self._fill(self.input, None, None)
            return
        names = [self.tr("from {name}").format(name=name_of(r)) for _, r in refs]
        slot, ref = refs[self._choices(names)]
        self._fill(
            self.input,
            self._lens.key("value", ref),
            self._lens.sent(node, slot, ref),
            node=ref[0],
            port=ref[1],
            title=self.tr("From {name}").format(name=name_of(ref)) if len(refs) == 1 else "",
            forward_kind=self._kind_of(ref),
        )

    def _show_weights(self) -> None:
        node = self._lens.node
        if node is None:
            return
        names = self._lens.parameters(node)
        if not names:
            return
        name = names[min(self._choices(list(names)), len(names) - 1)]
        value = self._lens.key("param", (node.owner, name)) or self._lens.key(
            "statistic", (node.owner, name)
        )
        gradient = self._lens.key("param_part", (node.id, name)) or self._lens.key(
            "param_grad", (node.owner, name)
        )
        statistic = value is not None and value.kind == "statistic"
        view = self._lens.as_maps(node) if name == "weight" else None
        self._weight_view = view
        self.weights.set_scale_mode(self.output.scale_mode)
        self._fill(
            self.weights,
            value,
            gradient,
            node=f"{node.owner}.{name}",
            title=name if len(names) == 1 else "",
            forward_kind="sequential" if statistic else "diverging",
            gradient_empty=self.tr("Measured, not trained: it has no gradient.")
            if statistic
            else None,
            view=view,
        )

    def _show_statistics(self) -> None:
        loss = self._lens.loss
        if loss is not None:
            self.table.set_rows(*class_rows(self._lens, loss))
        else:
            self.table.set_rows(*tensor_rows(self._lens))

    # ---- focus -----------------------------------------------------------------------------

    def _weight_chosen(self, cell: Cell, side: Direction) -> None:
        """A weight was clicked: it is marked at once, and asked about."""
        node = self._lens.node
        if node is None:
            return
        index, shape = cell.index, self._weight_shape(node)
        if self._weight_view is not None and shape is not None:
            flat = np.ravel_multi_index(index, self._weight_view)
            index = tuple(int(i) for i in np.unravel_index(flat, shape))
        self._weight = Weight(node.owner, cell.node.removeprefix(f"{node.owner}."), index)
        self._show_focus()
        self.weight_requested.emit(Place(self._weight, side))

    def _weight_shape(self, node: Node) -> tuple[int, ...] | None:
        array = self._lens.array(self._lens.key("param", (node.owner, "weight")))
        return None if array is None else array.shape

    def _show_weight(self) -> None:
        """Bring the page and the parameter of the weight to the front, where this is its node."""
        node, weight = self._lens.node, self._weight
        if node is None or weight is None or weight.owner != node.owner:
            self._show_focus()
            return
        names = self._lens.parameters(node)
        if weight.name in names:
            self.show_tab(WEIGHTS)
            self._show_page()
            if self.which.count() == len(names):
                self.which.setCurrentIndex(names.index(weight.name))
            self._show_focus()

    def _weight_cell(self) -> Cell | None:
        """The marked weight as a cell of the maps in which its parameter is drawn."""
        node, weight = self._lens.node, self._weight
        if node is None or weight is None or weight.owner != node.owner:
            return None
        index, shape = weight.index, self._weight_shape(node)
        if self._weight_view is not None and weight.name == "weight" and shape is not None:
            flat = np.ravel_multi_index(index, shape)
            index = tuple(int(i) for i in np.unravel_index(flat, self._weight_view))
        return Cell(f"{weight.owner}.{weight.name}", 0, index)

    def _show_focus(self) -> None:
        """The ring, the window of the focused output cell, and what a focused input cell feeds."""
        for pair in self._with_twins(self.output, self.source, self.input):
            pair.set_focus(self._focus)
            pair.set_windows(())
            pair.set_highlights(())
        for pair in self._with_twins(self.weights):
            pair.set_focus(self._weight_cell())
        self.pool_route.setText("")
        self.pool_route.hide()
        self._outlined = ""
        self._windows = ()
        self._show_places()
        if self.other_pool is not None:
            self.other_pool.set_focus(self._focus, self._windows)
        self._show_mark_legend()

    def _show_places(self) -> None:
        """The window of a focused output cell, and the cells that belong to the focused one."""
        node, cell = self._lens.node, self._focus
        if node is None or node.inputs[:1] in ((), (None,)):
            return
        layer = node.layer
        if getattr(layer, "window", None) is None:
            return
        ref = node.inputs[0]
        inputs = self._with_twins(self.source, self.input)
        windows: tuple[Window, ...] = ()
        if cell is not None and (cell.node, cell.port) == (node.id, 0) and len(cell.index) == 3:
            window = window_at(layer, cell.row, cell.column)
            windows = (window,) if window is not None else ()
            self._windows = windows
            winner = winner_of(self._lens, node, cell)
            twin, pin = self._compared[self.source].twin, self._pin
            if twin is not None and pin is not None and self._twin_shows == "pinned":
                theirs = winner_of(replace(self._lens, trace=pin.whole), node, cell)
                twin.set_highlights(() if theirs is None else (theirs,))
            if winner is not None:
                self.source.set_highlights((winner,))
                self._outlined = self.tr("the cell that won it")
                self._say_route(
                    cell, winner, self._lens.array(self._lens.key("grad", (node.id, 0)))
                )
        elif cell is not None and ref is not None and (cell.node, cell.port) == ref:
            y = self._lens.array(self._lens.key("value", (node.id, 0)))
            if y is not None and type(layer).__name__ != "Conv2d":
                for pair in self._with_twins(self.output):
                    pair.set_highlights(readers_of(layer, cell, node.id, (y.shape[1], y.shape[2])))
        for pair in inputs:
            pair.set_windows(windows, padding_of(layer))

    def _show_mark_legend(self) -> None:
        """Explain the marks that are in sight, and no others."""
        node = self._lens.node
        ref = node.inputs[0] if node is not None and node.inputs else None
        entries: dict[MarkLegend, tuple[Entry, ...]] = {
            self.source_legend: (),
            self.input_legend: (),
        }
        if node is not None and ref is not None:
            padding = ""
            if any(padding_of(node.layer)):
                pooling = is_kind(node, "MaxPool2d")
                padding = self.tr("padding: never wins") if pooling else self.tr("padding")
            legend, pair = self.input_legend, self._compared[self.input].front
            marks: tuple[Entry, ...] = ()
            if self.tab == OUTPUT and is_kind(node, "MaxPool2d"):
                legend, pair = self.source_legend, self._compared[self.source].front
                own = pair is self.source
                zoom = pair.forward_grid.view.zoom
                marks = mark_entries(zoom, *(self.marks if own else self._twin_marks))
            places = place_entries(
                pair,
                ref,
                self._fields,
                window=self._windows[0].number if self._windows else None,
                outline=self._outlined,
                padding=padding,
            )
            entries[legend] = marks + places
            # what is said of this picture is not said under another
            alone = self._compared[self.output].front is self.output
            self.pool_note.setVisible(alone and is_kind(node, "MaxPool2d"))
            self.pool_route.setVisible(alone and bool(self.pool_route.text()))
        for legend, found in entries.items():
            legend.set_entries(found)
