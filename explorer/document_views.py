"""What the views show of the document: each of its changes goes to those that show it."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication, QObject
from PySide6.QtGui import QKeySequence

from engine.explain import Weight, touching
from explorer.canvas import Canvas
from explorer.canvas.card import StopMark
from explorer.commands import Actions
from explorer.controller import Controller
from explorer.document import Document
from explorer.fields import FieldsInSight
from explorer.keyboard import Keyboard
from explorer.narration import Sentence, Text, crumbs, finish_text, inside_sentence, sentence
from explorer.panels import Inspector, Narration, Properties, SampleBar, Timeline
from explorer.panels.inspector import PinnedPicture
from explorer.samples import prediction
from explorer.selected_form import selected_block, show_selected
from explorer.status import Status
from explorer.stepping import Stepping
from explorer.what_if import WhatIfBar


@dataclass(frozen=True)
class Views:
    """The views that are there from the start."""

    canvas: Canvas
    narration: Narration
    timeline: Timeline
    inspector: Inspector
    properties: Properties
    sample_bar: SampleBar
    what_if: WhatIfBar
    status: Status


class DocumentViews(QObject):
    """Follows the document, and says to the views and commands what there is to show."""

    def __init__(
        self,
        document: Document,
        controller: Controller,
        fields: FieldsInSight,
        views: Views,
        actions: Actions,
        keyboard: Keyboard,
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._document, self._controller, self._actions = document, controller, actions
        self._keyboard, self._views = keyboard, views
        self._properties_seen = False
        d = document
        controller.stepping.question_changed.connect(self._show_position)
        d.network_changed.connect(self._show_network)
        d.folded_changed.connect(self._show_folded)
        d.parameters_changed.connect(self._show_selected)
        d.run_changed.connect(self._show_run)
        d.position_changed.connect(self._show_position)
        d.selection_changed.connect(self._show_selected)
        d.focus_changed.connect(self._show_focus)
        fields.shown_changed.connect(views.canvas.set_fields)
        fields.shown_changed.connect(views.inspector.set_fields)
        d.breakpoints_changed.connect(self._show_breakpoints)
        d.what_if_changed.connect(self._show_what_if)
        controller.asking.trail_changed.connect(self._show_trail)
        self._show_trail()
        d.sample_changed.connect(self._show_sample)
        d.sample_changed.connect(self._show_what_if)
        compared = controller.pool_comparison
        compared.changed.connect(
            lambda: views.inspector.set_comparison(compared.found, compared.note)
        )
        controller.pinned.changed.connect(self._show_pinned)
        self._show_pinned()

    def set_properties_seen(self, seen: bool) -> None:
        """A form that is not in sight is made when it comes to the front: it takes a while."""
        self._properties_seen = seen
        if seen:
            show_selected(self._views.properties, self._document)

    # ---- network ---------------------------------------------------------------------------

    def _show_folded(self) -> None:
        d = self._document
        self._views.canvas.set_network(d.graph, d.layout, d.inference, d.costs, d.folded)

    def _show_network(self) -> None:
        d = self._document
        self._show_folded()
        self._show_selected()
        self._views.status.set_network(d.costs, d.inference)

    def _show_selected(self) -> None:
        d = self._document
        self._views.canvas.set_selection(d.selection)
        if self._properties_seen:
            show_selected(self._views.properties, d)
        self._show_inspected()

    def _show_what_if(self) -> None:
        d = self._document
        self._views.what_if.set_what_if(d.graph, d.gains, d.pixels)
        self._views.inspector.set_gains(d.gains)
        self._actions["focus.reset"].setEnabled(bool(d.gains or d.pixels))

    def _show_breakpoints(self) -> None:
        """Dots on the ticks of the timeline and on the cards of the canvas."""
        d = self._document
        on: set[int] = set()
        off: set[int] = set()
        for point in d.breakpoints:
            (on if point.on else off).update(point.operations(d.operations))
        self._views.timeline.set_breakpoints(frozenset(on), frozenset(off - on))
        marks: dict[str, StopMark] = {}
        for point in d.breakpoints:
            if point.kind == "node" and marks.get(point.node) != "on":
                marks[point.node] = "on" if point.on else "off"
        self._views.canvas.set_breakpoints(marks)

    # ---- run -------------------------------------------------------------------------------

    def _show_run(self) -> None:
        self._views.timeline.set_operations(self._document.operations)
        self._show_touched()
        self._show_breakpoints()
        self._show_position()

    def _show_position(self) -> None:
        d, views, stepping = self._document, self._views, self._controller.stepping
        views.timeline.set_weightless(d.lacks_weights)
        views.timeline.set_position(d.position, len(d.trace) if d.trace else 0)
        views.canvas.set_run(d.trace, d.position)
        sheet, asked = stepping.sheet, stepping.question
        views.canvas.set_current(d.step if sheet is None else sheet.step)
        if asked is not None and d.trace is not None:
            views.canvas.set_current(d.trace.steps[asked.operation])
        views.narration.set_sentence(_told(d, stepping))
        views.narration.set_question(asked)
        self._keyboard.set_answering(asked is not None)
        self._show_way_in()
        self._show_inspected()
        self._show_sample()
        self._show_pinned()
        running = bool(d.operations)
        for command_id, on in (
            ("step.start", d.position > 0),
            ("step.back", d.position > 0 or sheet is not None),
            ("step.next", d.position < len(d.operations)),
            ("step.inside", running),
            ("step.finish", d.position < len(d.operations)),
            ("step.end", d.position < len(d.operations)),
            ("step.play", running),
        ):
            self._actions[command_id].setEnabled(on)

    def _show_way_in(self) -> None:
        """The call stack: network, blocks, layer, and the place inside of it."""
        d, stepping = self._document, self._controller.stepping
        sheet, asked = stepping.sheet, stepping.question
        if asked is not None:
            node = d.operations[asked.operation].node
        else:
            node = sheet.owner if sheet is not None else d.step.node if d.step else ""
        self._views.narration.set_crumbs(crumbs(d.title, node, sheet, d.inside))
        finish = self._actions["step.finish"]
        if sheet is not None and d.inside is not None:
            finish.setText(finish_text(d.inside.level, sheet.levels))
        else:
            finish.setText(finish_text(None))

    def _show_inspected(self) -> None:
        d, inspector = self._document, self._views.inspector
        inspected = _inspected(d, self._controller.stepping)
        inspector.set_weightless(d.lacks_weights)
        inspector.set_run(d.graph, d.inference, d.trace, d.position, inspected, 0)
        inspector.set_focus(d.focus)

    def _show_sample(self) -> None:
        d, bar = self._document, self._views.sample_bar
        bar.set_labels(d.graph.labels)
        bar.set_classifies(d.graph.answering is not None)
        bar.set_weightless(d.lacks_weights)
        bar.set_drawing(d.sample.drawing if d.sample is not None else None)
        if d.sample is None:
            bar.set_sample(None, None, None, "")
            return
        bar.set_sample(
            d.sample.image,
            d.sample.label,
            prediction(d.graph, d.trace, d.position),
            d.sample.origin,
        )
        bar.set_target(d.sample.label)
        channels = d.preprocessing.channels if d.preprocessing else 0
        bar.draw.setEnabled(channels == 1)

    def _show_pinned(self) -> None:
        """The picture beside the present one, at the same position in its own run."""
        d, pinned, views = self._document, self._controller.pinned, self._views
        action = self._actions["sample.pin"]
        action.setChecked(pinned.sample is not None)
        key = action.shortcut().toString(QKeySequence.SequenceFormat.NativeText)
        views.sample_bar.set_pinned(pinned.sample is not None, key)
        picture = None
        if pinned.sample is not None:
            picture = PinnedPicture(
                pinned.sample.image,
                pinned.sample.label,
                prediction(d.graph, pinned.trace, d.position),
                d.graph.labels,
                pinned.trace,
                self._pinned_note(),
                classifies=d.graph.answering is not None,
            )
        views.inspector.set_pinned(picture)

    def _pinned_note(self) -> str:
        """Why the pinned picture has no numbers now; empty where it has."""
        pinned = self._controller.pinned
        return {
            "stale": self.tr("stale: runs again, as the network is now"),
            "unfit": self.tr("the network as it is cannot run it"),
            "failed": self.tr("its run failed: {0}").format(pinned.error),
        }.get(pinned.state, "")

    # ---- what is asked about ---------------------------------------------------------------

    def _show_focus(self) -> None:
        focus = self._document.focus
        self._views.canvas.set_focus(focus)
        self._views.narration.set_focus(focus)
        self._views.inspector.set_focus(focus)

    def _show_trail(self) -> None:
        place = self._controller.asking.place
        asked = place.source if place is not None else None
        self._views.inspector.set_weight(asked if isinstance(asked, Weight) else None)
        self._show_touched()
        self._actions["focus.back"].setEnabled(self._controller.asking.can_go_back)
        self._actions["focus.forward"].setEnabled(self._controller.asking.can_go_forward)

    def _show_touched(self) -> None:
        """Which ticks of the timeline wrote or read what is asked about."""
        d = self._document
        self._views.timeline.set_touched(
            touching(d.graph, d.operations, self._controller.asking.place)
        )


def _told(d: Document, stepping: Stepping) -> Sentence:
    """The sentence of the position: a question, a place inside, or the step."""
    sheet, asked = stepping.sheet, stepping.question
    if asked is not None and d.trace is not None:
        return Sentence(asked.text, d.trace.steps[asked.operation].phase)
    if sheet is not None and d.inside is not None:
        told = inside_sentence(sheet, d.inside)
        return Sentence((*d.answered, *told.parts), told.phase)
    if d.trace is None and stepping.compiling:
        text = QCoreApplication.translate("DocumentViews", "{0} is being made ready to run.")
        return Sentence((Text(text.format(d.title)),))
    if d.lacks_weights:
        return Sentence((Text(d.structure_text()),))
    return sentence(
        d.graph,
        d.trace,
        d.position,
        d.graph.labels,
        assumed=d.run is not None and d.run.assumed_target,
        broken=tuple(d.inference.errors),
        stop=d.stop,
        answered=d.answered,
        ends=d.position == len(d.operations),
    )


def _inspected(d: Document, stepping: Stepping) -> str:
    """The node that the inspector shows: the selected one, else the one just computed."""
    if len(d.selection) == 1:
        return next(iter(d.selection))
    block = selected_block(d)
    if block is not None:
        return block.outputs[0][0]
    if stepping.question is not None:
        return d.operations[stepping.question.operation].node
    if d.step is not None:
        return d.step.node
    return d.graph.inputs[0].id if d.graph.inputs else ""
