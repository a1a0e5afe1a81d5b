"""The sentence under the canvas: what the last step did, with its numbers as links."""

from __future__ import annotations

import math
from html import escape
from typing import Any

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, QUrl, Signal
from PySide6.QtGui import (
    QColor,
    QFontMetricsF,
    QKeyEvent,
    QPainter,
    QPaintEvent,
    QResizeEvent,
    QTextLine,
)
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QTextBrowser,
    QVBoxLayout,
    QWidget,
)

from engine.cell import Cell
from explorer import theme
from explorer.narration import Crumb, Link, Question, Sentence, phase_name
from explorer.narration.questions import MOST


class _Words(QTextBrowser):
    """A browser that never navigates: its links are numbers of the present sentence."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._marked: frozenset[str] = frozenset()
        self._needed = 0
        self.setOpenLinks(False)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.document().setDocumentMargin(0)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def sizeHint(self) -> QSize:
        line = QFontMetricsF(theme.font("title")).lineSpacing()
        usual = round(2 * line) + theme.metrics().space_2
        return QSize(12 * theme.metrics().strip_height, max(usual, self._needed))

    def minimumSizeHint(self) -> QSize:
        hint = self.sizeHint()
        return QSize(4 * theme.metrics().strip_height, hint.height())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter follows the link that Tab has marked, and the mark stays for the next Tab."""
        cursor = self.textCursor()
        link = cursor.charFormat().anchorHref() if cursor.hasSelection() else ""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and link:
            self.anchorClicked.emit(QUrl(link))
        else:
            super().keyPressEvent(event)

    def mark(self, links: frozenset[str]) -> None:
        """Draw the ring of the focus around these links."""
        if links != self._marked:
            self._marked = links
            self.viewport().update()

    def rects_of(self, link: str) -> list[QRectF]:
        """Where a link stands, in the viewport's coordinates: a rectangle for each line."""
        found, document = [], self.document()
        offset = QPointF(self.horizontalScrollBar().value(), self.verticalScrollBar().value())
        block = document.begin()
        while block.isValid():
            layout, corner = block.layout(), document.documentLayout().blockBoundingRect(block)
            it = block.begin()
            while not it.atEnd():
                piece = it.fragment()
                it += 1
                if piece.charFormat().anchorHref() != link:
                    continue
                start = piece.position() - block.position()
                end = start + piece.length()
                for i in range(layout.lineCount()):
                    line = layout.lineAt(i)
                    first = max(start, line.textStart())
                    last = min(end, line.textStart() + line.textLength())
                    if first < last:
                        left, right = (_x_of(line, place) for place in (first, last))
                        rect = QRectF(left, line.y(), right - left, line.height())
                        found.append(rect.translated(corner.topLeft() - offset))
            block = block.next()
        return found

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if not self._marked:
            return
        painter = QPainter(self.viewport())
        for link in self._marked:
            for rect in self.rects_of(link):
                for pen in theme.focus_pens():
                    painter.setPen(pen)
                    painter.drawRect(rect.adjusted(-1, 1, 1, -1))
        painter.end()

    def fit(self) -> None:
        """Take the largest size at which the whole sentence is in sight.

        A sentence that is too long for the smallest one, such as one behind a check, needs room.
        """
        m = theme.metrics()
        for size in range(m.text_title, m.text_body - 1, -1):
            font = theme.font("title")
            font.setPixelSize(size)
            self.document().setDefaultFont(font)
            self.document().setTextWidth(self.viewport().width())
            height = math.ceil(self.document().size().height())
            if height <= self.viewport().height():
                break
        needed = height if size == m.text_body else 0
        if needed != self._needed:
            self._needed = needed
            self.updateGeometry()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.fit()


class _Way(QLabel):
    """A label that says when it has another width."""

    resized = Signal()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.resized.emit()


def _x_of(line: QTextLine, place: int) -> float:
    found: Any = line.cursorToX(place)
    return float(found[0] if isinstance(found, tuple) else found)  # with the place beside it


class Narration(QWidget):
    """Shows one sentence; a link asks for the cell or node that it names."""

    link_requested = Signal(object)  # Cell, or the id of a node
    link_hovered = Signal(object)  # the same, or None when the pointer leaves
    answer_requested = Signal(int)  # the number of a choice
    reveal_requested = Signal()
    crumb_requested = Signal(object)  # Crumb of the way that leads to the present operation

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._sentence = Sentence()
        self._crumbs: tuple[Crumb, ...] = ()
        self._question: Question | None = None
        self._focus: Cell | None = None
        m = theme.metrics()
        box = QVBoxLayout(self)
        box.setContentsMargins(m.space_4 + m.space_1, m.space_2, m.space_4, m.space_2)
        box.setSpacing(m.space_1)
        self._phase = QLabel()
        self._phase.setTextFormat(Qt.TextFormat.RichText)
        self.words = _Words()
        self.words.setAccessibleName(self.tr("What this step did"))
        self.words.anchorClicked.connect(self._clicked)
        self.words.highlighted.connect(self._hovered)
        self.way = _Way()
        self.way.setTextFormat(Qt.TextFormat.RichText)
        self.way.setAccessibleName(self.tr("Where this step is in the network"))
        self.way.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.way.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.way.setTextInteractionFlags(
            Qt.TextInteractionFlag.LinksAccessibleByMouse
            | Qt.TextInteractionFlag.LinksAccessibleByKeyboard
        )
        self.way.resized.connect(self._show_crumbs)
        self.way.linkActivated.connect(
            lambda link: self.crumb_requested.emit(self._crumbs[int(link)])
        )
        head = QHBoxLayout()
        head.setSpacing(m.space_4)
        head.addWidget(self._phase)
        head.addWidget(self.way, 1)
        self.choices: tuple[QPushButton, ...] = tuple(QPushButton() for _ in range(MOST))
        self.reveal = QPushButton(self.tr("Reveal"))
        self.reveal.setToolTip(self.tr("Show it without an answer (F10)"))
        self.reveal.setFlat(True)
        self.reveal.clicked.connect(self.reveal_requested)
        self.answers = QWidget()
        answers = QHBoxLayout(self.answers)
        answers.setContentsMargins(0, 0, 0, 0)
        answers.setSpacing(m.space_2)
        for number, button in enumerate(self.choices):
            button.clicked.connect(lambda _=False, i=number: self.answer_requested.emit(i))
            answers.addWidget(button)
        answers.addWidget(self.reveal)
        answers.addStretch(1)
        self.answers.hide()
        box.addLayout(head)
        box.addWidget(self.words, 1)
        box.addWidget(self.answers)
        self.setFocusProxy(self.words)
        self.setAccessibleName(self.tr("Narration"))
        theme.theme().changed.connect(self._show)
        self._show()

    @property
    def sentence(self) -> Sentence:
        return self._sentence

    def set_sentence(self, sentence: Sentence) -> None:
        """Show another sentence; an equal one changes nothing."""
        if sentence != self._sentence:
            self._sentence = sentence
            self._show()

    def set_focus(self, cell: Cell | None) -> None:
        """Ring the numbers of the sentence that are the focused cell's."""
        if cell != self._focus:
            self._focus = cell
            self._mark()

    def _mark(self) -> None:
        self.words.mark(
            frozenset(
                f"#{i}"
                for i, part in enumerate(self._sentence.parts)
                if self._focus is not None and isinstance(part, Link) and part.target == self._focus
            )
        )

    def set_question(self, asked: Question | None) -> None:
        """Offer the choices of a question, which the sentence asks; None: nothing is asked."""
        if asked == self._question:
            return
        self._question = asked
        self.answers.setVisible(asked is not None)
        for number, button in enumerate(self.choices):
            there = asked is not None and number < len(asked.choices)
            button.setVisible(there)
            if asked is not None and there:
                button.setText(f"{number + 1}   {asked.choices[number]}")
                button.setAccessibleName(asked.choices[number])

    def set_crumbs(self, crumbs: tuple[Crumb, ...]) -> None:
        """The way to the present operation: network, blocks, layer, and the place inside."""
        if crumbs != self._crumbs:
            self._crumbs = crumbs
            self._show_crumbs()

    def _show_crumbs(self) -> None:
        tokens = theme.current()
        first = self._first_crumb()
        parts = [f'<span style="color:{tokens.text_muted}">…</span>'] if first else []
        for i, crumb in enumerate(self._crumbs[first:], first):
            text = escape(crumb.text).replace(" ", "&nbsp;")
            last = i == len(self._crumbs) - 1
            colour = tokens.text if last else tokens.text_muted
            link = f'<a href="{i}" style="color:{colour}; text-decoration:none">{text}</a>'
            parts.append(link)
        between = f' <span style="color:{tokens.text_muted}">▸</span> '
        self.way.setText(between.join(parts) if len(parts) > 1 else "")
        self.way.setToolTip(" ▸ ".join(c.text for c in self._crumbs) if first else "")

    def _first_crumb(self) -> int:
        """The first part of the way for which there is room; the last one always stands."""
        metrics = self.way.fontMetrics()
        between = metrics.horizontalAdvance(" ▸ ")
        room, last = self.way.width(), len(self._crumbs) - 1
        widths = [metrics.horizontalAdvance(c.text) for c in self._crumbs]
        if sum(widths) + last * between <= room:
            return 0
        taken = metrics.horizontalAdvance("…")
        for i in range(last, -1, -1):
            taken += between + widths[i]
            if taken > room:
                return min(i + 1, last)
        return 0

    def _show(self) -> None:
        tokens = theme.current()
        self._show_crumbs()
        html = "".join(
            f'<a href="#{i}" style="color:{tokens.accent}">{escape(part.text)}</a>'
            if isinstance(part, Link)
            else escape(part.text)
            for i, part in enumerate(self._sentence.parts)
        )
        self.words.viewport().setAutoFillBackground(False)
        self.words.setStyleSheet(
            f"QTextBrowser {{ background: transparent; color: {tokens.text}; border: none;"
            " padding: 0; }"
        )
        self.words.setHtml(html)
        self.words.fit()
        self._mark()
        self.words.setAccessibleDescription(self._sentence.text)
        if self._sentence.phase:
            plain, word = phase_name(self._sentence.phase)
            colour = tokens.phase(self._sentence.phase)
        else:
            plain, word, colour = self.tr("Ready"), "", tokens.text_muted
        self._phase.setFont(theme.font("strong"))
        self._phase.setText(
            f'<span style="color:{colour}">{escape(plain)}</span>'
            f'&nbsp; <span style="color:{tokens.text_muted}; font-weight:400">{escape(word)}</span>'
        )
        self.update()

    def _target(self, url: QUrl) -> object:
        number = url.fragment()
        part = self._sentence.parts[int(number)] if number.isdigit() else None
        return part.target if isinstance(part, Link) else None

    def _clicked(self, url: QUrl) -> None:
        target = self._target(url)
        if target is not None:
            self.link_requested.emit(target)

    def _hovered(self, url: QUrl) -> None:
        self.link_hovered.emit(self._target(url))

    def paintEvent(self, event: QPaintEvent) -> None:
        """A bar in the colour of the phase down the left side."""
        tokens, m = theme.current(), theme.metrics()
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(tokens.surface))
        if self._sentence.phase:
            painter.fillRect(
                0, 0, m.space_1, self.height(), QColor(tokens.phase(self._sentence.phase))
            )
        painter.end()
