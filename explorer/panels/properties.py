"""The settings of one layer, generated from its description, checked while they are typed."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QLabel,
    QLineEdit,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from engine.graph import Graph, GraphError, Loss, Node
from engine.layers.base import Cost, HyperparameterError, Spec
from engine.layers.muted import Muted
from engine.losses import LossFunction
from explorer import theme
from explorer.panels.error_card import ErrorCard, text_of
from explorer.panels.fields import LINE_MARGIN, Field, field_for
from explorer.panels.loss_form import LossForm


def first_sentence(text: str | None) -> str:
    """The first sentence of a docstring, on one line."""
    paragraph = " ".join((text or "").strip().split("\n\n")[0].split())
    end = paragraph.find(". ")
    return paragraph if end < 0 else paragraph[: end + 1]


@dataclass(frozen=True)
class _Shown:
    node: Node | None = None
    inputs: tuple[Spec, ...] = ()
    outputs: tuple[Spec, ...] = ()
    cost: Cost | None = None
    error: str = ""
    origin: str = ""
    end: tuple[str, ...] = ()  # id, title, help and facts of an input or a loss
    loss: Loss | None = None
    losses: tuple[LossFunction, ...] = ()


class Properties(QScrollArea):
    """Edits one node: a valid change is requested at once, an invalid one is explained in place."""

    change_requested = Signal(str, object)  # node id, Layer
    rename_requested = Signal(str, str)
    fix_requested = Signal(str, object)  # node id, Fix
    loss_requested = Signal(str, object)  # loss id, Loss

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._shown = _Shown()
        self._error: Exception | None = None
        self.fields: dict[str, Field] = {}
        self._messages: dict[str, QLabel] = {}
        self.name: QLineEdit | None = None
        self._name_error: QLabel | None = None
        self._facts: QLabel | None = None
        self._card_place: QVBoxLayout | None = None
        self.card: ErrorCard | None = None
        self.loss_form: LossForm | None = None
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.viewport().setAutoFillBackground(False)
        self.setAccessibleName(self.tr("Properties"))
        theme.theme().changed.connect(self._rebuild)
        self._rebuild()

    # ---- what is shown ---------------------------------------------------------------------

    def set_node(
        self,
        node: Node | None,
        inputs: tuple[Spec, ...] = (),
        outputs: tuple[Spec, ...] = (),
        cost: Cost | None = None,
        error: Exception | None = None,
        origin: str = "",
    ) -> None:
        """Show a node with its shapes, its work and what is wrong with it; None for none.

        ``origin`` is what it is called in the file that it came from, where that is another name.

        What is being typed survives as long as the layer itself stays the same.
        """
        shown = _Shown(node, inputs, outputs, cost, text_of(error) if error else "", origin)
        if shown == self._shown:
            return
        before, self._shown, self._error = self._shown, shown, error
        old = before.node
        same = (
            node is not None
            and old is not None
            and node.id == old.id
            and type(node.layer) is type(old.layer)
        )
        if not same:
            self._rebuild()
            return
        assert node is not None and old is not None
        if node.layer != old.layer:
            for name, field in self.fields.items():
                value = getattr(node.layer, name)
                if field.value() != value:
                    field.set_value(value)
                self._say(name, "")
        self._show_facts()
        if shown.error != before.error:
            self._show_error()

    def set_end(
        self,
        end_id: str,
        title: str,
        text: str,
        facts: Mapping[str, str],
        error: Exception | None = None,
        loss: Loss | None = None,
        losses: Sequence[LossFunction] = (),
    ) -> None:
        """Show an input, a folded block or a loss, with what is wrong with it.

        Of ``text`` the first sentence is shown. ``losses`` are the kinds that a loss can be of.
        """
        flat = tuple(word for fact in facts.items() for word in fact)
        message = text_of(error) if error else ""
        shown = _Shown(
            error=message,
            end=(end_id, title, first_sentence(text), *flat),
            loss=loss,
            losses=tuple(losses),
        )
        if shown != self._shown:
            self._shown, self._error = shown, error
            self._rebuild()

    def set_name_error(self, text: str) -> None:
        """Say why a requested name was refused, under the name."""
        if self._name_error is not None and self.name is not None:
            self._name_error.setText(text)
            self._name_error.setVisible(bool(text))
            _outline(self.name, bool(text))

    def message(self, name: str) -> str:
        """What is wrong with a hyper-parameter as it stands in its field; empty if nothing is."""
        label = self._messages.get(name)
        return label.text() if label is not None else ""

    @property
    def facts(self) -> str:
        """Shapes, parameters and work as they stand on the screen."""
        return self._facts.text() if self._facts is not None else ""

    # ---- building --------------------------------------------------------------------------

    def _rebuild(self) -> None:
        m = theme.metrics()
        content = QWidget()
        box = QVBoxLayout(content)
        box.setContentsMargins(m.space_3, m.space_3, m.space_3, m.space_3)
        box.setSpacing(m.space_2)
        self.fields, self._messages = {}, {}
        self.name = self._name_error = self._facts = self._card_place = self.card = None
        self.loss_form = None
        node = self._shown.node
        if self._shown.end:
            self._build_end(box)
        elif node is None:
            empty = _label(self.tr("Select a layer to see and change its settings."), "muted")
            empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
            box.addStretch(1)
            box.addWidget(empty)
            box.addStretch(1)
        else:
            self._build(box, node)
        old = self.takeWidget()
        if old is not None:
            old.hide()
            old.deleteLater()  # not at once: an editor in it may be what led here
        self.setWidget(content)
        content.setAutoFillBackground(False)  # the dock's own background shows through

    def _build_end(self, box: QVBoxLayout) -> None:
        _, title, text, *facts = self._shown.end
        box.addWidget(_label(title, "heading"))
        box.addWidget(_label(text, "muted"))
        self._card_place = QVBoxLayout()
        box.addLayout(self._card_place)
        if self._shown.loss is not None:
            loss_id = self._shown.loss.id
            self.loss_form = LossForm(self._shown.loss, self._shown.losses)
            self.loss_form.change_requested.connect(
                lambda wanted: self.loss_requested.emit(loss_id, wanted)
            )
            box.addWidget(self.loss_form)
        self._facts = _label("", "")
        self._facts.setTextFormat(Qt.TextFormat.RichText)
        self._write_facts(list(zip(facts[::2], facts[1::2], strict=True)))
        box.addWidget(self._facts)
        box.addStretch(1)
        self._show_error()

    def _build(self, box: QVBoxLayout, node: Node) -> None:
        m = theme.metrics()
        layer = node.layer
        title = layer.title or type(layer).__name__
        if isinstance(layer, Muted):
            title = self.tr("{0}, muted").format(layer.layer.title)
        box.addWidget(_label(title, "heading"))
        box.addWidget(_label(first_sentence(type(layer).__doc__), "muted"))
        place = QVBoxLayout()
        box.addLayout(place)
        self._card_place = place
        grid = QGridLayout()
        grid.setHorizontalSpacing(m.space_3)
        grid.setVerticalSpacing(m.space_1)
        grid.setColumnStretch(1, 1)
        name = QLineEdit(node.id)
        name.setTextMargins(LINE_MARGIN, 0, 0, 0)
        name.setAccessibleName(self.tr("Name"))
        name.setToolTip(self.tr("The name of this node; a / puts it into a group"))
        name.textEdited.connect(self._name_typed)
        name.editingFinished.connect(self._name_done)
        self.name = name
        label = QLabel(self.tr("Name"))
        label.setBuddy(name)
        grid.addWidget(label, 0, 0)
        grid.addWidget(name, 0, 1)
        self._name_error = _label("", "error")
        self._name_error.hide()
        grid.addWidget(self._name_error, 1, 1)
        row = 2
        # a muted layer is set when it is back
        descriptions = () if isinstance(layer, Muted) else layer.hyperparameters()
        for description in descriptions:
            field = field_for(description)
            field.set_value(getattr(layer, description.name))
            field.setToolTip(_help(description.help, description.low, description.high))
            for i, part in enumerate(field.boxes()):
                if i == 0 or not part.accessibleName():
                    part.setAccessibleName(part.accessibleName() or description.name)
                part.setAccessibleDescription(description.help)
                if not part.toolTip():
                    part.setToolTip(field.toolTip())
            field.typed.connect(lambda name=description.name: self._check(name))
            field.committed.connect(lambda name=description.name: self._commit(name))
            label = QLabel(description.name)
            label.setToolTip(field.toolTip())
            label.setBuddy(field.boxes()[0])
            message = _label("", "error")
            message.hide()
            grid.addWidget(label, row, 0, Qt.AlignmentFlag.AlignTop)
            label.setFixedHeight(m.control_height)
            grid.addWidget(field, row, 1)
            grid.addWidget(message, row + 1, 1)
            self.fields[description.name] = field
            self._messages[description.name] = message
            row += 2
        box.addLayout(grid)
        if isinstance(layer, Muted):
            text = self.tr("Unmute it (Ctrl+M) to have it back with its weights and settings.")
            box.addWidget(_label(text, "muted"))
        elif not descriptions:
            box.addWidget(_label(self.tr("This layer has nothing to set."), "muted"))
        line = QFrame()
        line.setFrameShape(QFrame.Shape.HLine)
        line.setForegroundRole(line.palette().ColorRole.Mid)
        box.addSpacing(m.space_1)
        box.addWidget(line)
        self._facts = _label("", "")
        self._facts.setTextFormat(Qt.TextFormat.RichText)
        box.addWidget(self._facts)
        box.addStretch(1)
        self._show_facts()
        self._show_error()

    def _show_facts(self) -> None:
        if self._facts is None:
            return
        shown = self._shown
        entering = ", ".join(map(str, shown.inputs)) or self.tr("not known")
        leaving = ", ".join(map(str, shown.outputs)) or self.tr("not known yet")
        rows = [(self.tr("Input"), entering), (self.tr("Output"), leaving)]
        if shown.node is not None and shown.node.params:
            rows.append((self.tr("Weights"), self.tr("those of {0}").format(shown.node.params)))
        if shown.cost is not None:
            rows.append((self.tr("Parameters"), f"{shown.cost.parameters:,}"))
            rows.append((self.tr("Multiply-adds"), f"{shown.cost.multiply_adds:,}"))
        if shown.origin:
            rows.append((self.tr("In the file"), html.escape(shown.origin)))
        self._write_facts(rows)

    def _write_facts(self, rows: Sequence[tuple[str, str]]) -> None:
        assert self._facts is not None
        muted, pad = theme.current().text_muted, theme.metrics().space_3
        text = "".join(
            f'<tr><td style="color:{muted}; padding-right:{pad}px">{name}</td><td>{value}</td></tr>'
            for name, value in rows
        )
        self._facts.setText(f"<table cellspacing=0 cellpadding=2>{text}</table>")
        self._facts.setAccessibleName(", ".join(f"{name}: {value}" for name, value in rows))

    def _show_error(self) -> None:
        if self._card_place is None:
            return
        if self.card is not None:
            self._card_place.removeWidget(self.card)
            self.card.hide()
            self.card.deleteLater()  # not at once: a click on its button may be what led here
            self.card = None
        shown, error = self._shown, self._error
        shown_id = shown.node.id if shown.node is not None else "".join(shown.end[:1])
        if error is not None and shown_id:
            card = ErrorCard(error)
            card.fix_requested.connect(lambda fix: self.fix_requested.emit(shown_id, fix))
            self._card_place.addWidget(card)
            self.card = card

    # ---- editing ---------------------------------------------------------------------------

    def _say(self, name: str, text: str) -> None:
        label = self._messages[name]
        label.setText(text)
        label.setVisible(bool(text))
        self.fields[name].set_invalid(bool(text))

    def _check(self, name: str) -> object | None:
        """The layer with the field's value, or None after saying why there is none.

        Fields that are wrong by themselves are left out: each is told about its own mistake.
        """
        node = self._shown.node
        if node is None:
            return None
        value = self.fields[name].value()
        if value is None:
            self._say(name, self.tr("Expected a number, received none. Type one."))
            return None
        # What stands elsewhere and was refused may be mended by this value: take both along.
        pending = {
            other: field.value()
            for other, field in self.fields.items()
            if other != name and field.value() not in (None, getattr(node.layer, other))
        }
        for changes in ({**pending, name: value}, {name: value}):
            try:
                layer = replace(node.layer, **changes)
            except HyperparameterError as error:
                message = str(error)
                continue
            for done in changes:
                self._say(done, "")
            return layer
        self._say(name, message)
        return None

    def _commit(self, name: str) -> None:
        node = self._shown.node
        layer = self._check(name)
        if node is not None and layer is not None and layer != node.layer:
            self.change_requested.emit(node.id, layer)

    def _name_typed(self, text: str) -> None:
        node = self._shown.node
        if node is None:
            return
        try:
            Graph().add(replace(node, id=text.strip()))
        except GraphError as error:
            self.set_name_error(str(error))
        else:
            self.set_name_error("")

    def _name_done(self) -> None:
        node = self._shown.node
        if node is None or self.name is None or self._name_error is None:
            return
        text = self.name.text().strip()
        if text != node.id and not self._name_error.text():
            self.rename_requested.emit(node.id, text)


def _help(text: str, low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return text
    return f"{text} ({low:g} … {high:g})"


def _label(text: str, role: str) -> QLabel:
    label = QLabel(text)
    label.setWordWrap(True)
    if role:
        label.setProperty("role", role)
    return label


def _outline(box: QWidget, invalid: bool) -> None:
    if bool(box.property("invalid")) != invalid:
        box.setProperty("invalid", invalid)
        box.style().unpolish(box)
        box.style().polish(box)
