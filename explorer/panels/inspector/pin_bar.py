"""The head over what is shown of a pinned picture: which one it is, and what is shown beside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from PySide6.QtCore import QSignalBlocker, QSize, Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QTabBar,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from engine.layers.base import Array
from engine.trace import Trace
from explorer import theme
from explorer.narration import percent
from explorer.panels.sample_bar import Thumbnail

Shown = Literal["this", "pinned", "difference"]
SHOWN: tuple[Shown, ...] = ("this", "pinned", "difference")


@dataclass(frozen=True, eq=False)
class PinnedPicture:
    """A second picture and its run.

    ``image`` is (C, H, W) in [0, 1]; ``trace`` its whole run by the network as it is, or None with
    ``note`` saying why there is none. ``prediction`` is (class, share) at the position; a network
    that does not classify has none at any.
    """

    image: Array
    label: int | None
    prediction: tuple[int, float] | None
    labels: tuple[str, ...]
    trace: Trace | None
    note: str = ""
    classifies: bool = True

    def same_as(self, other: PinnedPicture | None) -> bool:
        """Whether both show the same, by identity of picture and run."""
        return (
            other is not None
            and self.image is other.image
            and self.trace is other.trace
            and (self.label, self.prediction, self.labels, self.note, self.classifies)
            == (other.label, other.prediction, other.labels, other.note, other.classifies)
        )

    @property
    def whole(self) -> Trace | None:
        """Its run, where there is one that is true now."""
        return self.trace if not self.note else None


class PinBar(QFrame):
    """Asks for what to show beside the present picture, for one scale, and for unpinning."""

    shown_requested = Signal(str)  # "this", "pinned" or "difference"
    same_scale_requested = Signal(bool)
    unpin_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._picture: PinnedPicture | None = None
        m = theme.metrics()
        self.setAccessibleName(self.tr("Pinned picture"))
        self.thumbnail = Thumbnail()
        self.words = QLabel()
        self.words.setTextFormat(Qt.TextFormat.PlainText)
        self.words.setWordWrap(True)
        self.words.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.tabs = QTabBar()
        self.tabs.setExpanding(False)
        self.tabs.setDrawBase(False)
        self.tabs.setAccessibleName(self.tr("Which picture to show"))
        for shown, text, tip in (
            ("this", self.tr("This"), self.tr("The present picture")),
            ("pinned", self.tr("Pinned"), self.tr("The pinned picture at the same step")),
            (
                "difference",
                self.tr("Difference"),
                self.tr("The present picture's numbers minus those of the pinned one"),
            ),
        ):
            index = self.tabs.addTab(text)
            self.tabs.setTabData(index, shown)
            self.tabs.setTabToolTip(index, tip)
        self.tabs.currentChanged.connect(
            lambda index: self.shown_requested.emit(self.tabs.tabData(index))
        )
        self.same_scale = QToolButton()
        self.same_scale.setText(self.tr("Same scale"))
        self.same_scale.setIcon(theme.icon("scale-shared"))
        self.same_scale.setIconSize(QSize(m.icon_small, m.icon_small))
        self.same_scale.setCheckable(True)
        self.same_scale.setChecked(True)
        self.same_scale.setAccessibleName(self.tr("Same scale for both pictures"))
        self.same_scale.clicked.connect(self.same_scale_requested)
        self.unpin = QToolButton()
        self.unpin.setIcon(theme.icon("close"))
        self.unpin.setIconSize(QSize(m.icon_small, m.icon_small))
        self.unpin.setToolTip(self.tr("Let go of the pinned picture"))
        self.unpin.setAccessibleName(self.tr("Let go of the pinned picture"))
        self.unpin.clicked.connect(self.unpin_requested)
        for button in (self.same_scale, self.unpin):
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        top, low = QHBoxLayout(), QHBoxLayout()
        for row in (top, low):
            row.setSpacing(m.space_1)
        top.addWidget(self.words, 1)
        top.addWidget(self.unpin)
        low.addWidget(self.tabs, 1)
        low.addWidget(self.same_scale)
        column = QVBoxLayout()
        column.setSpacing(0)
        column.addLayout(top)
        column.addLayout(low)
        box = QHBoxLayout(self)
        box.setContentsMargins(m.space_3, m.space_2, m.space_2, 0)
        box.setSpacing(m.space_2)
        box.addWidget(self.thumbnail)
        box.addLayout(column, 1)
        theme.theme().changed.connect(self._say)
        self.set_scale_mode("shared")
        self.hide()

    def set_picture(self, picture: PinnedPicture | None) -> None:
        """Show which picture is pinned and what the network says to it; None hides the bar."""
        self._picture = picture
        if picture is not None:
            self.thumbnail.set_image(picture.image)
        self._say()

    def set_beside(self, beside: bool) -> None:
        """Whether both pictures are in sight at once, so that none need be chosen for "this"."""
        index = SHOWN.index("this")
        if self.tabs.isTabVisible(index) != beside:
            return
        with QSignalBlocker(self.tabs):
            self.tabs.setTabVisible(index, not beside)
            self.tabs.setTabText(index, self.tr("This"))  # the others make room only for a text

    def set_shown(self, shown: Shown) -> None:
        """Which of the pictures is in front."""
        with QSignalBlocker(self.tabs):
            self.tabs.setCurrentIndex(SHOWN.index(shown))

    def set_scale_mode(self, mode: str) -> None:
        """Per channel each picture has its own range."""
        possible = mode != "per channel"
        self.same_scale.setEnabled(possible)
        tip = self.tr("One scale for both pictures: their colours compare")
        if not possible:
            tip = self.tr("Per channel each picture has a range of its own")
        self.same_scale.setToolTip(tip)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """The words on the button give way to the tabs."""
        super().resizeEvent(event)
        style = Qt.ToolButtonStyle
        wide = self.width() >= self.tabs.sizeHint().width() + 5 * self.thumbnail.width()
        self.same_scale.setToolButtonStyle(
            style.ToolButtonTextBesideIcon if wide else style.ToolButtonIconOnly
        )

    def _say(self) -> None:
        picture, tokens = self._picture, theme.current()
        if picture is None:
            return
        parts = []
        if picture.label is not None:
            parts.append(self.tr("shows {0}").format(self._name(picture.label)))
        if picture.prediction is not None:
            guess, share = picture.prediction
            text = self.tr("network: {guess} ({share})")
            parts.append(text.format(guess=self._name(guess), share=percent(share)))
        elif picture.classifies and not picture.note:
            parts.append(self.tr("not predicted yet"))
        colour = tokens.text
        if picture.note:
            parts.append(picture.note)
            colour = tokens.warning
        text = self.tr("Pinned: {0}").format(" · ".join(parts)) if parts else self.tr("Pinned")
        self.words.setText(text)
        self.words.setStyleSheet(f"color: {colour};")

    def _name(self, index: int) -> str:
        labels = self._picture.labels if self._picture is not None else ()
        return labels[index] if 0 <= index < len(labels) else str(index)
