"""Starts the application and its window."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from PySide6.QtCore import QObject, QTimer
from PySide6.QtWidgets import QApplication

from explorer import theme

FIRST_PICTURE = "GRADIENT_FLOW_FIRST_PICTURE"
"""Environment variable: a file that gets the time of the first painted feature maps."""


def application() -> QApplication:
    """The one QApplication, made and styled when there is none yet."""
    existing = QApplication.instance()
    if isinstance(existing, QApplication):
        return existing
    app = QApplication(sys.argv[:1])
    app.setApplicationName("Gradient Flow Explorer")
    app.setDesktopFileName("gradient-flow-explorer")
    theme.apply(app)
    return app


def run(words: list[str]) -> int:
    """Open the window, with the project in ``words`` if there is one; return the exit code."""
    app = application()
    from explorer.window import Window

    window = Window()
    window.show()
    window.controller.start(Path(words[0]) if words else None)
    # Ctrl-C in the terminal closes the window as its button does; so does the end of the
    # session. Not at once: the signal may come in the middle of painting.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: QTimer.singleShot(0, window, window.close))
    waker = QTimer(window)
    waker.start(500)
    waker.timeout.connect(lambda: None)
    mark = os.environ.get(FIRST_PICTURE)
    if mark:
        _note_first_picture(window, window.canvas.viewport(), Path(mark))
    return app.exec()


def _note_first_picture(owner: QObject, viewport: QObject, mark: Path) -> None:
    """Write the time of the first paint of the canvas; its network has run by then."""
    from PySide6.QtCore import QEvent

    class Watch(QObject):
        def eventFilter(self, watched: QObject, event: QEvent) -> bool:
            if event.type() == QEvent.Type.Paint:
                viewport.removeEventFilter(self)
                QTimer.singleShot(0, lambda: mark.write_text(str(time.time_ns())))
            return False

    viewport.installEventFilter(Watch(owner))
