"""All errors of the network in one list, each with its remedy, and lessons behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QFrame, QLabel, QScrollArea, QVBoxLayout, QWidget

from engine.lessons import Advice
from explorer import theme
from explorer.panels.error_card import ErrorCard, text_of


class _Card(ErrorCard):
    """A card that Enter chooses as a click does."""

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self.clicked.emit()
        else:
            super().keyPressEvent(event)


class Problems(QScrollArea):
    """A card for each error and each lesson; a click or Enter selects its node."""

    select_requested = Signal(object)  # frozenset of ids
    fix_requested = Signal(str, object)  # node id, Fix

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._errors: dict[str, str] = {}
        m = theme.metrics()
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWidgetResizable(True)
        self.setAccessibleName(self.tr("Problems"))
        self._content = QWidget()
        self._box = QVBoxLayout(self._content)
        self._box.setContentsMargins(m.space_3, m.space_1, m.space_3, m.space_1)
        self._box.setSpacing(m.space_2)
        self._empty = QLabel(self.tr("No problems: every shape fits."))
        self._empty.setProperty("role", "muted")
        self._empty.setWordWrap(True)
        self._empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._box.addWidget(self._empty)
        self._box.addStretch(1)
        self.setWidget(self._content)
        self._content.setAutoFillBackground(False)  # the dock's own background shows through
        self.viewport().setAutoFillBackground(False)
        self.cards: dict[str, ErrorCard] = {}
        theme.theme().changed.connect(self._rebuild)
        self._source: dict[str, Exception] = {}
        self._advice: tuple[Advice, ...] = ()
        self.lessons: list[ErrorCard] = []

    def minimumSizeHint(self) -> QSize:
        """A line where there is nothing else to show."""
        least = super().minimumSizeHint()
        line = self._content.minimumSizeHint().height() if self.empty else least.height()
        return QSize(least.width(), min(line, least.height()))

    @property
    def empty(self) -> bool:
        """Whether there is neither an error nor a lesson."""
        return not self._errors and not self._advice

    @property
    def count(self) -> int:
        """How many errors are shown."""
        return len(self._errors)

    def set_errors(self, errors: Mapping[str, Exception]) -> None:
        """Errors by node or loss id, as shape inference found them."""
        texts = {node: text_of(error) for node, error in errors.items()}
        self._source = dict(errors)
        if texts != self._errors:
            self._errors = texts
            self._rebuild()

    def set_advice(self, advice: Sequence[Advice]) -> None:
        """What the network does although it can run, and its maker may not have meant."""
        if tuple(advice) != self._advice:
            self._advice = tuple(advice)
            self._rebuild()

    def _rebuild(self) -> None:
        for card in (*self.cards.values(), *self.lessons):
            self._box.removeWidget(card)
            card.hide()
            card.deleteLater()
        self.cards = {}
        for i, (node, error) in enumerate(self._source.items()):
            self.cards[node] = self._put(_Card(error, node, wide=True), node, i)
        self.lessons = []
        for advice in self._advice:
            text = UserWarning(f"{advice.fact} {advice.remedy}")
            card = _Card(text, advice.node, wide=True, tone="warning", fixes=advice.fixes)
            place = len(self.cards) + len(self.lessons)
            self.lessons.append(self._put(card, advice.node, place))
        self._empty.setVisible(self.empty)
        self.updateGeometry()

    def _put(self, card: _Card, node: str, place: int) -> _Card:
        card.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        card.setCursor(Qt.CursorShape.PointingHandCursor)
        card.setToolTip(self.tr("Select {node}").format(node=node))
        card.clicked.connect(lambda: self.select_requested.emit(frozenset((node,))))
        card.fix_requested.connect(lambda fix: self.fix_requested.emit(node, fix))
        self._box.insertWidget(place, card)
        return card
