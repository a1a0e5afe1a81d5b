"""Work beside the window: results come back, and nothing of the window is touched meanwhile."""

from __future__ import annotations

import gc
import threading
import weakref

from PySide6.QtCore import QObject, QTimer
from pytestqt.qtbot import QtBot

from explorer.background import Background


def leftover(deleted_in: list[str]) -> None:
    """A timer in a reference cycle, as closed panels leave them, and who will delete it."""
    timer = QTimer()
    timer.setInterval(1000)
    timer.start()
    holder: list[object] = [timer]
    holder.append(holder)
    weakref.finalize(timer, lambda: deleted_in.append(threading.current_thread().name))


def many_containers() -> int:
    """Allocates more than enough for a collection of every generation."""
    return sum(len([[i]]) for i in range(2000) for _ in [[[j] for j in range(100)]])


def test_garbage_of_the_window_is_not_collected_in_a_thread(qtbot: QtBot) -> None:
    background, deleted_in, results = Background(), list[str](), []
    leftover(deleted_in)
    kept = []

    def work() -> int:
        kept.extend([[i] for i in range(200_000)])
        return many_containers()

    background.run(work, results.append)
    qtbot.waitUntil(lambda: not background.busy)
    assert results == [2000]
    assert "background" not in deleted_in
    assert gc.isenabled()
    gc.collect()
    assert deleted_in == [threading.main_thread().name]


def test_collection_goes_on_when_the_last_of_several_is_done(qtbot: QtBot) -> None:
    first, second = Background(), Background()
    go = threading.Event()
    results: list[object] = []
    first.run(go.wait, results.append)
    second.run(lambda: 2, results.append)
    qtbot.waitUntil(lambda: not second.busy)
    assert results == [2] and not gc.isenabled()
    go.set()
    qtbot.waitUntil(lambda: not first.busy)
    assert results == [2, True] and gc.isenabled()
    first.run(lambda: 3, results.append)
    first.close()
    assert gc.isenabled() and results == [2, True]


def test_a_failure_is_handed_over(qtbot: QtBot) -> None:
    parent = QObject()
    background, results = Background(parent), []

    def fail() -> None:
        raise OSError("no such disk")

    background.run(fail, results.append)
    qtbot.waitUntil(lambda: not background.busy)
    assert [str(error) for error in results] == ["no such disk"]
