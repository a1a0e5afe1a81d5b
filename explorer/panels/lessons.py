"""A guided course beside the network: a page for each idea, its numbers, and what to press."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from explorer import theme
from explorer.panels.labels import wrapped


class LessonPage(Protocol):
    """What is shown: see ``explorer.lesson_guide.Page``."""

    @property
    def number(self) -> int: ...
    @property
    def title(self) -> str: ...
    @property
    def text(self) -> tuple[str, ...]: ...
    @property
    def doings(self) -> tuple[str, ...]: ...
    @property
    def fact(self) -> str: ...
    @property
    def here(self) -> bool: ...
    @property
    def network(self) -> str: ...


class _Doing(QPushButton):
    """A numbered button, whose words may take two lines."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__()
        m = theme.metrics()
        self.setStyleSheet("QPushButton { padding: 0; }")  # the words have a layout of their own
        self.setAccessibleName(text)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._number, self._label = QLabel(str(number)), wrapped()
        self._label.setText(text)
        self._number.setProperty("role", "muted")
        for label in (self._number, self._label):
            label.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        row = QHBoxLayout(self)
        row.setContentsMargins(m.space_2, m.space_1, m.space_2, m.space_1)
        row.setSpacing(m.space_2)
        row.addWidget(self._number, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self._label, 1)

    def sizeHint(self) -> QSize:
        m = theme.metrics()
        room = max(1, self.width() - 3 * m.space_2 - self._number.sizeHint().width())
        return QSize(m.pad_size, self._label.heightForWidth(room) + 2 * m.space_2)

    def resizeEvent(self, event: object) -> None:
        super().resizeEvent(event)  # type: ignore[arg-type]
        self.setFixedHeight(max(theme.metrics().control_height, self.sizeHint().height()))


class LessonsPanel(QWidget):
    """Shows a page; asks for another one, or for what a button says."""

    page_requested = Signal(int)
    doing_requested = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        m = theme.metrics()
        self.setAccessibleName(self.tr("Lessons"))
        self._page: LessonPage | None = None
        self.chooser = QComboBox()
        self.chooser.setAccessibleName(self.tr("Lesson"))
        self.chooser.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.chooser.setMinimumContentsLength(8)
        self.chooser.setMaxVisibleItems(30)
        self.chooser.activated.connect(self.page_requested)
        self.texts = QVBoxLayout()
        self.texts.setSpacing(m.space_2)
        self.box = QVBoxLayout()
        self.box.setSpacing(m.space_1)
        self.fact_card = QFrame()
        self.fact_card.setObjectName("lesson-fact")
        self.fact_title = wrapped("muted")
        self.fact = wrapped(selectable=True)
        card = QVBoxLayout(self.fact_card)
        card.setContentsMargins(m.space_3, m.space_2, m.space_2, m.space_2)
        card.setSpacing(m.space_1)
        card.addWidget(self.fact_title)
        card.addWidget(self.fact)
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(0, 0, m.space_2, 0)
        column.setSpacing(m.space_3)
        column.addLayout(self.texts)
        column.addLayout(self.box)
        column.addStretch(1)
        self.area = QScrollArea()
        self.area.setFrameShape(QFrame.Shape.NoFrame)
        self.area.setWidgetResizable(True)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.area.setWidget(inner)
        self.area.viewport().setAutoFillBackground(False)
        inner.setAutoFillBackground(False)
        self.earlier = self._turn(self.tr("Back"), self.tr("The lesson before"), -1)
        self.later = self._turn(self.tr("Next lesson"), self.tr("The next lesson"), 1)
        self.later.setProperty("role", "primary")
        self.place = QLabel()
        self.place.setProperty("role", "muted")
        self.place.setAlignment(Qt.AlignmentFlag.AlignCenter)
        feet = QHBoxLayout()
        feet.setSpacing(m.space_2)
        feet.addWidget(self.earlier)
        feet.addWidget(self.place, 1)
        feet.addWidget(self.later)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(m.space_3, m.space_2, m.space_2, m.space_3)
        outer.setSpacing(m.space_2)
        outer.addWidget(self.chooser)
        outer.addWidget(self.area, 1)
        outer.addWidget(self.fact_card)  # in sight however long the page is
        outer.addLayout(feet)
        self.doings: list[QPushButton] = []
        theme.theme().changed.connect(self._restyle)
        self._restyle()

    def _turn(self, text: str, name: str, by: int) -> QToolButton:
        button = QToolButton()
        button.setText(text)
        button.setAccessibleName(name)
        button.setToolTip(name)
        button.clicked.connect(lambda: self._ask_page(by))
        return button

    def _ask_page(self, by: int) -> None:
        if self._page is not None:
            self.page_requested.emit(self._page.number + by)

    def _restyle(self) -> None:
        tokens, m = theme.current(), theme.metrics()
        self.fact_card.setStyleSheet(
            f"QFrame#lesson-fact {{ background: {tokens.surface_raised};"
            f" border-left: {m.space_1}px solid {tokens.accent};"
            f" border-radius: {m.radius_small}px; }}"
            "QFrame#lesson-fact QLabel { background: transparent; }"
        )

    def set_titles(self, titles: Sequence[str]) -> None:
        """The titles of all pages."""
        self.chooser.clear()
        self.chooser.addItems([f"{i}  {title}" for i, title in enumerate(titles, 1)])

    def set_page(self, page: LessonPage) -> None:
        """Show a page; of the one that is shown, only what changed."""
        before = self._page
        if page == before:
            return
        self._page = page
        if before is None or before.number != page.number:
            self._show_text(page)
        self.fact_title.setText(
            self.tr("In this run")
            if page.fact
            else self.tr("Its numbers appear here")
            if page.here
            else self.tr("Another network is open")
        )
        self.fact.setText(page.fact or self._missing(page))

    def _missing(self, page: LessonPage) -> str:
        if page.here:
            return self.tr("as soon as the run has come so far: press the buttons above.")
        return self.tr("A button above opens {0}; your own work is kept.").format(page.network)

    def _show_text(self, page: LessonPage) -> None:
        count = self.chooser.count()
        self.chooser.setCurrentIndex(page.number)
        self.chooser.setToolTip(page.title)
        self.place.setText(self.tr("{0} of {1}").format(page.number + 1, count))
        self.earlier.setEnabled(page.number > 0)
        self.later.setEnabled(page.number < count - 1)
        for layout in (self.texts, self.box):
            while layout.count():
                item = layout.takeAt(0)
                widget = item.widget() if item is not None else None
                if widget is not None:
                    widget.hide()
                    widget.deleteLater()
        for text in page.text:
            label = wrapped(selectable=True)
            label.setText(text)
            self.texts.addWidget(label)
        self.doings = []
        for number, text in enumerate(page.doings):
            button = _Doing(number + 1, text)
            button.clicked.connect(lambda _=False, n=number: self.doing_requested.emit(n))
            self.box.addWidget(button)
            self.doings.append(button)
        self.area.verticalScrollBar().setValue(0)
