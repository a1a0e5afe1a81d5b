"""Cards that go from where they were to where an edit has put them, and then stand still."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from PySide6.QtCore import QElapsedTimer, QObject, QPointF, QRectF, Qt, QTimer, Signal
from PySide6.QtWidgets import QApplication, QStyle

if TYPE_CHECKING:
    from explorer.canvas.node_item import NodeItem
    from explorer.canvas.view import Canvas

MILLISECONDS = 240
"""How long cards are under way; 0: never."""
FRAME = 16
NUDGE = 40.0
"""A card that is moved no further is at its new place at once: keys repeat."""
MOST = 100
"""With more cards in sight on their way they stand at their new places at once."""
LARGE = 300
"""In a network of more cards none travels: to find out which are in sight takes too long."""
LATE = 60
"""Milliseconds between two frames after which the rest is left out: a jump is better than jolts."""


def system_moves() -> bool:
    """Whether the system wants things to move; False for a user who asked for reduced motion."""
    if sys.platform == "win32":
        import ctypes

        moves = ctypes.c_int(1)
        # SPI_GETCLIENTAREAANIMATION
        ctypes.windll.user32.SystemParametersInfoW(0x1042, 0, ctypes.byref(moves), 0)
        return bool(moves.value)
    style = QApplication.style()
    return style.styleHint(QStyle.StyleHint.SH_Widget_Animation_Duration) > 0


class Travel(QObject):
    """One journey at a time of the cards in sight; the others are at their places at once."""

    _due = Signal()

    def __init__(self, canvas: Canvas) -> None:
        super().__init__(canvas)
        self._canvas = canvas
        self._wanted: bool | None = None
        self._from: dict[str, QPointF] = {}
        self._to: dict[str, QPointF] = {}
        self._clock = QElapsedTimer()
        self._last = 0
        self._held = False
        # A queued call comes before the next paint, which a timer would not.
        self._due.connect(self._start, Qt.ConnectionType.QueuedConnection)
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(FRAME)
        self._timer.timeout.connect(self._move)

    @property
    def under_way(self) -> bool:
        """Whether cards are not yet where they belong."""
        return bool(self._to)

    def set_wanted(self, wanted: bool | None) -> None:
        """Whether cards travel; None: as the system has it."""
        self._wanted = wanted
        self.finish()

    def hold(self) -> None:
        """The next network is another one: its cards do not come from those that are shown."""
        self.finish()
        self._held = True

    def places(self) -> dict[str, QPointF]:
        """Where cards are seen, to begin from; ends a journey that is under way there."""
        cards = self._cards() if len(self._cards()) <= LARGE else {}
        found = {name: QPointF(item.pos()) for name, item in cards.items()}
        self._stop()
        return found

    def begin(self, before: Mapping[str, QPointF]) -> None:
        """From there to where the cards were put by now, before the next frame is painted."""
        held, self._held = self._held, False
        wanted = system_moves() if self._wanted is None else self._wanted
        if held or not before or not wanted or not MILLISECONDS or not self._canvas.isVisible():
            return
        ways = {
            name: (start - item.pos()).manhattanLength()
            for name, item in self._cards().items()
            if (start := before.get(name)) is not None
        }
        if max(ways.values(), default=0.0) > NUDGE:
            self._from = {name: before[name] for name, way in ways.items() if way}
            # Whoever put the cards there shows all of the network next, and needs their new places.
            self._due.emit()

    def finish(self) -> None:
        """Stand still at once, at the new places."""
        if self._to:
            network, known = self._canvas.network, self._cards()
            network.move_items({name: p for name, p in self._to.items() if name in known})
            network.settle()
        self._stop()

    def _stop(self) -> None:
        self._timer.stop()
        self._from, self._to = {}, {}

    def _cards(self) -> dict[str, NodeItem]:
        return self._canvas.network.items_by_id

    def _start(self) -> None:
        canvas = self._canvas
        rect = canvas.viewport().rect()
        seen = QRectF(canvas.to_scene(rect.topLeft()), canvas.to_scene(rect.bottomRight()))
        chosen = {}
        for name, start in self._from.items():
            item = self._cards().get(name)
            if item is not None:
                there = item.scene_rect()
                if seen.intersects(there) or seen.intersects(there.translated(start - item.pos())):
                    chosen[name] = QPointF(item.pos())
        if not chosen or len(chosen) > MOST:
            self._stop()
            return
        self._to = chosen
        self._clock.start()
        self._last = 0
        self._move()
        self._timer.start()

    def _move(self) -> None:
        now = self._clock.elapsed()
        late, self._last = now - self._last > LATE, now
        if now >= MILLISECONDS or late:
            self.finish()
            return
        rest = (1 - now / MILLISECONDS) ** 3
        self._canvas.network.move_items(
            {name: end + (self._from[name] - end) * rest for name, end in self._to.items()}
        )
