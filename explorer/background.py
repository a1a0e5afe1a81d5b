"""Short work beside the window in a thread: reading a large picture, writing a safety copy."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject, QTimer

POLL_MILLISECONDS = 15

_holders: set[int] = set()
"""Those with work under way; only the window's thread touches this."""


def _hold_collection(holder: int) -> None:
    """No cyclic garbage is collected meanwhile.

    A collection runs in whatever thread allocates. In ours it would delete widgets and timers of
    the window that were left over, which only the window's thread may do: the program crashes.
    """
    if not _holders:
        if not gc.isenabled():
            return  # somebody else holds it
        gc.disable()
    _holders.add(holder)


def _release_collection(holder: int) -> None:
    if holder in _holders:
        _holders.remove(holder)
        if not _holders:
            gc.enable()


class Background(QObject):
    """Runs functions in threads, and hands their results over in the window's thread.

    For work that waits for a disk or runs in a library without Python's lock; training has a
    process of its own. No thread outlives ``close``.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._running: list[tuple[threading.Thread, list[Any], Callable[[Any], None]]] = []
        self._timer = QTimer(self)
        self._timer.setInterval(POLL_MILLISECONDS)
        self._timer.timeout.connect(self._poll)

    @property
    def busy(self) -> bool:
        """Whether a function is still running, or its result not handed over yet."""
        return bool(self._running)

    def run(self, function: Callable[[], Any], done: Callable[[Any], None]) -> None:
        """Call ``function`` in a thread, then ``done`` here with its result or its exception."""
        results: list[Any] = []

        def work() -> None:
            try:
                results.append(function())
            except Exception as error:
                results.append(error)

        thread = threading.Thread(target=work, name="background", daemon=True)
        self._running.append((thread, results, done))
        _hold_collection(id(self))
        thread.start()
        self._timer.start()

    def finish(self) -> None:
        """Wait for what is running, and hand its results over."""
        for thread, _, _ in self._running:
            thread.join()
        self._poll()

    def _poll(self) -> None:
        for entry in [e for e in self._running if not e[0].is_alive()]:
            thread, results, done = entry
            self._running.remove(entry)
            thread.join()
            if not self._running:
                self._timer.stop()
                _release_collection(id(self))
            done(results[0] if results else RuntimeError("no result"))

    def close(self) -> None:
        """Wait for what is running; results are not handed over any more."""
        self._timer.stop()
        for thread, _, _ in self._running:
            thread.join()
        self._running = []
        _release_collection(id(self))
