"""The picture that is shown to the network, what it says, and what is taken as right."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import QPoint, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QImage, QKeyEvent, QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import (
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLayout,
    QPushButton,
    QSizePolicy,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from engine.data.strokes import Drawing
from engine.layers.base import Array
from explorer import theme
from explorer.narration import percent
from explorer.panels.labels import ElidedLabel
from explorer.tensors.pad import DrawPad

GUESS = -1
"""The target that stands for the network's own guess."""


class Thumbnail(QWidget):
    """A picture of any size as sharp squares."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._image: Array | None = None
        self._picture = QImage()
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(self.tr("Picture"))
        theme.theme().changed.connect(self.updateGeometry)

    def set_image(self, image: Array | None) -> None:
        """(C, H, W) in [0, 1], grey for one channel, colour for three; None for no picture."""
        self._image = image
        self._picture = QImage()
        if image is not None and image.size:
            shown = image[:3] if len(image) >= 3 else np.repeat(image[:1], 3, 0)
            pixels = np.nan_to_num(np.clip(shown, 0, 1), nan=0.0)
            data = np.ascontiguousarray((pixels * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0))
            height, width = data.shape[:2]
            self._picture = QImage(
                data.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888
            ).copy()
            self.setAccessibleDescription(
                self.tr("{height} by {width} pixels").format(height=height, width=width)
            )
        self.update()

    def sizeHint(self) -> QSize:
        side = theme.metrics().control_height + theme.metrics().space_4
        return QSize(side, side)

    def paintEvent(self, event: QPaintEvent) -> None:
        tokens, m = theme.current(), theme.metrics()
        painter = QPainter(self)
        frame = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        if self._picture.isNull():
            pen = QPen(QColor(tokens.border_strong), m.hairline)
            pen.setDashPattern([3, 3])
            painter.setPen(pen)
            painter.drawRect(frame)
        else:
            size = self._picture.size().scaled(self.size(), Qt.AspectRatioMode.KeepAspectRatio)
            target = QRectF(
                (self.width() - size.width()) / 2,
                (self.height() - size.height()) / 2,
                size.width(),
                size.height(),
            )
            painter.drawImage(target, self._picture, QRectF(self._picture.rect()))
            painter.setPen(QPen(QColor(tokens.border_strong), m.hairline))
            painter.drawRect(target.adjusted(0.5, 0.5, -0.5, -0.5))
        painter.end()


class PadPopup(QFrame):
    """The drawing pad in a small window of its own, with clear and undo; Escape closes it."""

    opened = Signal()
    closed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, Qt.WindowType.Tool | Qt.WindowType.FramelessWindowHint)
        m = theme.metrics()
        self.setProperty("role", "card")
        self.setAccessibleName(self.tr("Draw your own digit"))
        box = QVBoxLayout(self)
        box.setContentsMargins(m.space_3, m.space_3, m.space_3, m.space_3)
        box.setSpacing(m.space_2)
        heading = QLabel(self.tr("Draw a digit: the network looks after each stroke"))
        heading.setWordWrap(True)
        self.verdict = QLabel()
        self.verdict.setTextFormat(Qt.TextFormat.PlainText)
        self.verdict.setWordWrap(True)
        self.pad = DrawPad()
        row = QHBoxLayout()
        row.setSpacing(m.space_2)
        self.undo = self._button("undo", self.tr("Undo"))
        self.clear = self._button("clear", self.tr("Clear"))
        self.done = self._button("check", self.tr("Done"))
        self.undo.clicked.connect(self.pad.undo)
        self.clear.clicked.connect(self.pad.clear)
        self.done.clicked.connect(self.hide)
        for button in (self.undo, self.clear):
            row.addWidget(button)
        row.addStretch(1)
        row.addWidget(self.done)
        box.addWidget(heading)
        box.addWidget(self.pad, 1)
        box.addWidget(self.verdict)
        box.addLayout(row)
        theme.theme().changed.connect(self._restyle)
        self._restyle()

    def _restyle(self) -> None:
        m = theme.metrics()
        self.pad.setMinimumSize(m.pad_size, m.pad_size)
        self.verdict.setFont(theme.font("title"))

    def say(self, text: str, colour: str) -> None:
        """What the network says to the drawing; nothing while the sheet is empty."""
        drawn = bool(self.pad.drawing.strokes)
        self.verdict.setText(text if drawn else "")
        self.verdict.setStyleSheet(f"color: {colour};")

    def _button(self, icon: str, text: str) -> QPushButton:
        button = QPushButton(theme.icon(icon), text)
        button.setAutoDefault(False)
        return button

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.hide()
        else:
            super().keyPressEvent(event)

    def showEvent(self, event: object) -> None:
        self.opened.emit()

    def hideEvent(self, event: object) -> None:
        self.closed.emit()


class AnswerChoice(QComboBox):
    """The choice of the right answer; where it is narrow, the chosen one in fewer words."""

    FORMS = Qt.ItemDataRole.UserRole + 1
    LETTERS, MOST, FEWEST = 18, 24, 8

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(self.LETTERS)

    def add(self, forms: tuple[str, str, str], value: int) -> None:
        """One answer: in full as in the list, shorter, and as short as it can be."""
        self.addItem(forms[0], value)
        self.setItemData(self.count() - 1, forms, self.FORMS)

    def width_of(self, form: int | None) -> int:
        """How wide it is with the chosen answer in its form 0, 1 or 2; None: with any, as a rule.

        In its shortest form a long name is cut.
        """
        full, letter = self.sizeHint().width(), self.fontMetrics().horizontalAdvance("X")
        # its own hint has room for an icon, which no answer has
        frame = full - self.LETTERS * letter - self.iconSize().width() - theme.metrics().space_1
        words = self.fontMetrics().horizontalAdvance(self._forms()[form or 0])
        words = min(words, (self.FEWEST if form == 2 else self.MOST) * letter)
        exact = frame + words + theme.metrics().space_2
        return max(full, exact) if form is None else exact

    @property
    def shown_text(self) -> str:
        """The chosen answer as it is seen: the longest form that there is room for."""
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        field = self.style().subControlRect(
            QStyle.ComplexControl.CC_ComboBox,
            option,
            QStyle.SubControl.SC_ComboBoxEditField,
            self,
        )
        metrics, forms = self.fontMetrics(), self._forms()
        for form in forms:
            if metrics.horizontalAdvance(form) <= field.width():
                return form
        return metrics.elidedText(forms[-1], Qt.TextElideMode.ElideRight, field.width())

    def _forms(self) -> tuple[str, ...]:
        forms = self.currentData(self.FORMS)
        return tuple(forms) if forms else ("", "", "")

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QStylePainter(self)
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        option.currentText = self.shown_text
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)
        painter.end()


class SampleBar(QWidget):
    """Steps through pictures, chooses the right answer, opens the drawing pad.

    In a presentation only the picture and what the network says, in large type.
    """

    previous_requested = Signal()
    next_requested = Signal()
    target_requested = Signal(int)  # a class, or GUESS for the network's own guess
    drawing_requested = Signal(object)  # Drawing, after each stroke
    pin_requested = Signal()  # keep this picture beside the next one, or let go of the pinned one
    pad_toggled = Signal(bool)  # the drawing pad was opened or closed

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._labels: tuple[str, ...] = ()
        self._shown: tuple[object, ...] = ()
        self._classifies, self._weightless = True, False
        m = theme.metrics()
        self.setAccessibleName(self.tr("Picture and answer"))
        self.previous = self._tool("image-previous", self.tr("Previous picture"))
        self.next = self._tool("image-next", self.tr("Next picture"))
        self.previous.clicked.connect(self.previous_requested)
        self.next.clicked.connect(self.next_requested)
        self.pin = self._tool("pin", self.tr("Pin this picture"))
        self.pin.setCheckable(True)
        self.pin.clicked.connect(self._pin_clicked)
        self._pinned = False
        self.thumbnail = Thumbnail()
        self.origin = ElidedLabel()
        self.origin.setProperty("role", "small")
        self.answer = ElidedLabel()
        self.answer.setFont(theme.font("strong"))
        self.target = AnswerChoice()
        self.target.setAccessibleName(self.tr("The right answer"))
        self.target.activated.connect(self._target_chosen)
        self.draw = QPushButton(theme.icon("pen"), self.tr("Draw your own digit"))
        self.draw.setToolTip(self.tr("Draw your own digit"))
        self.draw.setAccessibleName(self.tr("Draw your own digit"))
        self.draw.setCheckable(True)
        self.draw.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.draw.clicked.connect(self._toggle_pad)
        self._popup: PadPopup | None = None
        words = QVBoxLayout()
        words.setSpacing(m.space_1)
        words.addStretch(1)
        words.addWidget(self.answer)
        words.addWidget(self.origin)
        words.addStretch(1)
        row = QHBoxLayout(self)
        row.setSizeConstraint(QLayout.SizeConstraint.SetNoConstraint)
        row.setContentsMargins(m.space_2, m.space_1, m.space_2, m.space_1)
        row.setSpacing(m.space_2)
        row.addWidget(self.previous)
        row.addWidget(self.thumbnail)
        row.addWidget(self.next)
        row.addWidget(self.pin)
        row.addLayout(words, 1)
        row.addWidget(self.target)
        row.addWidget(self.draw)
        theme.theme().changed.connect(self._restyle)
        self.set_labels(())
        self.set_pinned(False)
        self.set_sample(None, None, None, "")
        self._arrange()

    def _tool(self, icon: str, text: str) -> QToolButton:
        button = QToolButton()
        button.setIcon(theme.icon(icon))
        button.setToolTip(text)
        button.setAccessibleName(text)
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # a click leaves the keys to the canvas
        return button

    def _restyle(self) -> None:
        self._say_answer()
        self._arrange()

    def _arrange(self) -> None:
        presenting = theme.theme().presentation
        for widget in (self.previous, self.next, self.pin, self.origin, self.draw):
            widget.setVisible(not presenting)
        self.target.setVisible(self._classifies and not presenting)
        self.answer.setVisible(bool(self.answer.text()))
        self.answer.setFont(theme.font("title" if presenting else "strong"))

    # ---- what is shown ---------------------------------------------------------------------

    def set_labels(self, labels: Sequence[str]) -> None:
        """The names of the classes, in order."""
        if tuple(labels) == self._labels and self.target.count():
            return
        self._labels = tuple(labels)
        chosen = self.target.currentData()
        self.target.clear()
        own = (self.tr("Right answer: its own guess"), self.tr("Own guess"), self.tr("Own"))
        self.target.add(own, GUESS)
        for i, label in enumerate(self._labels):
            texts = (self.tr("Right answer: {label}"), self.tr("Right: {label}"), "{label}")
            full, shorter, shortest = (text.format(label=label) for text in texts)
            self.target.add((full, shorter, shortest), i)
        view = self.target.view()
        view.setMinimumWidth(view.sizeHintForColumn(0) + 2 * theme.metrics().space_3)
        self.set_target(chosen if isinstance(chosen, int) else None)

    def set_sample(
        self,
        image: Array | None,
        label: int | None,
        prediction: tuple[int, float] | None,
        origin: str,
    ) -> None:
        """Show a picture (C, H, W) in [0, 1] with what it shows, if known, and where it is from.

        ``prediction`` is (class, probability); None while it is not computed.
        """
        shown = (image, label, prediction, origin)
        if self._shown and shown[0] is self._shown[0] and shown[1:] == self._shown[1:]:
            return
        if not self._shown or image is not self._shown[0]:
            self.thumbnail.set_image(image)
        self._shown = shown
        self.origin.setText(origin or self.tr("No picture yet"))
        self.origin.setToolTip(origin)
        self._say_answer()

    def set_target(self, target: int | None) -> None:
        """Which class is taken as right; None for the network's own guess."""
        index = self.target.findData(GUESS if target is None else target)
        self.target.setCurrentIndex(index if index >= 0 else 0)
        self._make_room()

    def set_pinned(self, pinned: bool, key: str = "") -> None:
        """Whether a picture is pinned; ``key`` is the shortcut, for the tooltip."""
        self._pinned = pinned
        self.pin.setChecked(pinned)
        tip = self.tr("Let go of the pinned picture")
        if not pinned:
            tip = self.tr("Pin this picture: the inspector shows it beside the next one")
        self.pin.setToolTip(f"{tip} ({key})" if key else tip)

    def set_classifies(self, on: bool) -> None:
        """Whether the network answers with a class, of which one can be right."""
        if on != self._classifies:
            self._classifies = on
            self._restyle()

    def set_weightless(self, on: bool) -> None:
        """Whether nothing can be predicted because the network has no weights."""
        if on != self._weightless:
            self._weightless = on
            self._restyle()

    def set_drawing(self, drawing: Drawing | None) -> None:
        """What the network reads: the sheet is empty where it holds another drawing."""
        if self._popup is not None and drawing != self._popup.pad.drawing:
            self._popup.pad.set_drawing(Drawing())
            self._say_answer()

    @property
    def drawing(self) -> bool:
        """Whether the drawing pad is open."""
        return self._popup is not None and self._popup.isVisible()

    def close_pad(self) -> None:
        """Put the drawing pad away; nothing happens where it is not open."""
        if self._popup is not None:
            self._popup.hide()

    @property
    def popup(self) -> PadPopup:
        """The window of the pad; made when it is first asked for."""
        return self._pad()

    def _name(self, index: int) -> str:
        return self._labels[index] if 0 <= index < len(self._labels) else str(index)

    def _say_answer(self) -> None:
        image, label, prediction, _ = self._shown
        tokens = theme.current()
        colour, tip, shorter = tokens.text, "", ""
        if image is None:
            text = self.tr("Choose a picture, or draw one")
            colour = tokens.text_muted
        elif not isinstance(prediction, tuple):
            # without classes nothing is predicted, neither now nor later
            text = self.tr("Not predicted yet") if self._classifies else ""
            if self._weightless:
                text = self.tr("No weights yet")
            if isinstance(label, int):
                shows = self.tr("Shows {label}").format(label=self._name(label))
                text = " · ".join(filter(None, (shows, text[:1].lower() + text[1:])))
        else:
            guess, share = prediction
            says = self.tr("Network: {guess} ({share})").format(
                guess=self._name(guess), share=percent(share)
            )
            shorter = says.removeprefix(self.tr("Network: "))
            if not isinstance(label, int):
                text = says
            elif label == guess:
                text = self.tr("✓ {says}").format(says=says)
                shorter = self.tr("✓ {says}").format(says=shorter)
                tip = self.tr("{says}; that is right").format(says=says)
                colour = tokens.success
            else:
                wrong = self.tr("✗ {says}, shows {label}")
                text, shorter = (
                    wrong.format(says=words, label=self._name(label)) for words in (says, shorter)
                )
                tip = self.tr("{says}, but the picture shows {label}").format(
                    says=says, label=self._name(label)
                )
                colour = tokens.error
        self.answer.shorter = shorter
        self.answer.setText(text)
        self.answer.setVisible(bool(text))
        self.answer.setToolTip(tip or text)
        self.answer.setStyleSheet(f"color: {colour};")
        if self._popup is not None:
            self._popup.say(text, colour)
        self._make_room()

    def _make_room(self) -> None:
        """The answer comes before the words on the button and the choice: these give way."""
        row, m = self.layout(), theme.metrics()
        if row is None or not self._shown:
            return
        words = self.answer.fontMetrics().horizontalAdvance(self.answer.text())
        for text, form, spacing in (
            (self.tr("Draw your own digit"), None, m.space_2),
            (self.tr("Draw"), None, m.space_2),
            (self.tr("Draw"), 0, m.space_2),
            ("", 0, m.space_2),
            ("", 1, m.space_2),
            ("", 1, m.space_1),
            ("", 2, m.space_1),
        ):
            self.draw.setText(text)
            row.setSpacing(spacing)
            choice = self.target.width_of(form)
            # as wide as its neighbours where it has no words
            draw = self.draw.sizeHint().width() if text else self.next.sizeHint().width()
            end = draw + (choice if self._classifies else 0)
            if self._taken(end, spacing) + words <= self.width():
                break
        self.target.setFixedWidth(choice)
        what = self.tr("What the error is measured against")
        self.target.setToolTip(f"{self.target.currentText()}\n{what}")
        self.draw.setFixedWidth(draw)

    def _taken(self, end: int, spacing: int) -> int:
        """How wide all but the words is; ``end`` is the width of choice and button."""
        row = self.layout()
        assert row is not None
        margins = row.contentsMargins()
        shown = (self.previous, self.thumbnail, self.next, self.pin)
        tools = sum(w.sizeHint().width() for w in shown)
        return tools + end + 6 * spacing + margins.left() + margins.right()

    def minimumSizeHint(self) -> QSize:
        """That of its narrowest form, so that it is let become that narrow."""
        hint = super().minimumSizeHint()
        if not theme.theme().presentation:
            end = self.target.width_of(2) + self.next.sizeHint().width()
            hint.setWidth(min(hint.width(), self._taken(end, theme.metrics().space_1)))
        return hint

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._make_room()

    # ---- requests --------------------------------------------------------------------------

    def _pin_clicked(self) -> None:
        self.pin.setChecked(self._pinned)  # until the request is granted
        self.pin_requested.emit()

    def _target_chosen(self, index: int) -> None:
        value = self.target.itemData(index)
        if value is not None:
            self.target_requested.emit(int(value))

    def _pad(self) -> PadPopup:
        if self._popup is None:
            self._popup = PadPopup(self)
            self._popup.pad.drawing_changed.connect(self.drawing_requested)
            self._popup.opened.connect(lambda: self.pad_toggled.emit(True))
            self._popup.closed.connect(self._pad_closed)
        return self._popup

    def _pad_closed(self) -> None:
        self.draw.setChecked(False)
        self.pad_toggled.emit(False)

    def _toggle_pad(self, on: bool) -> None:
        popup = self._pad()
        if not on:
            popup.hide()
            return
        popup.adjustSize()
        # The button is not in sight in a presentation: then under the end of the bar.
        under = self if self.draw.isHidden() else self.draw
        corner = under.mapToGlobal(
            QPoint(under.width() - popup.width(), under.height() + theme.metrics().space_1)
        )
        screen = self.screen().availableGeometry()
        corner.setX(max(screen.left(), min(corner.x(), screen.right() - popup.width())))
        corner.setY(max(screen.top(), min(corner.y(), screen.bottom() - popup.height())))
        popup.move(corner)
        popup.show()
        popup.pad.setFocus()
