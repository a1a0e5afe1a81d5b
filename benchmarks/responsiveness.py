"""How soon the window answers while a network trains: in the worker's process, and in a thread.

In turns, in one run: the window idle; training in a process of its own, and the same training in
a thread of the window's process, both with nothing shown, to compare the two; and the program as
it is, which trains in a process and shows the curves and the picture with the newest weights.
Measured:

event loop   how late a timer of 5 ms comes, which is how long a key or a click waits
repaint      the canvas drawn anew, from the call to its end, ten times a second

Each round has all four, so that a busy moment of the machine meets all; ratios are to idle.

    python benchmarks/responsiveness.py --rounds 3 --seconds 5
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # a spawned process reads this file again and must stay light
    from explorer.window import Window

ROOT = Path(__file__).resolve().parents[1]
TICK_MILLISECONDS = 5
REPAINT_EVERY = 20
LIMIT_MILLISECONDS = 50.0
"""No wait may be longer, but for one in a hundred: the rule for the window's thread."""
CONDITIONS = ("idle", "process", "thread", "program")

Times = dict[str, list[float]]


def watch(window: Window, seconds: float, until: Callable[[], bool], into: Times) -> None:
    """Measure for some seconds, from the moment when ``until`` is true; append milliseconds."""
    from PySide6.QtCore import QEventLoop, Qt, QTimer

    loop = QEventLoop()
    timer = QTimer()
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.setInterval(TICK_MILLISECONDS)
    viewport = window.canvas.viewport()
    state: dict[str, Any] = {"count": 0, "began": None, "last": time.perf_counter()}

    def tick() -> None:
        now = time.perf_counter()
        late = (now - state["last"]) * 1e3 - TICK_MILLISECONDS
        if state["began"] is None:
            if until():
                state["began"] = now
        elif now - state["began"] > seconds:
            loop.quit()
        else:
            into["event loop"].append(max(0.0, late))
            state["count"] += 1
            if state["count"] % REPAINT_EVERY == 0:
                began = time.perf_counter()
                viewport.repaint()
                into["repaint"].append((time.perf_counter() - began) * 1e3)
        state["last"] = time.perf_counter()

    timer.timeout.connect(tick)
    timer.start()
    loop.exec()
    timer.stop()


def measure(rounds: int, seconds: float, batch_size: int) -> dict[str, Times]:
    """Milliseconds by condition and by what was measured."""
    import threading

    from PySide6.QtCore import QCoreApplication

    from engine.data import catalogue
    from engine.optimizers import SGD
    from engine.train import Trainer, TrainSettings
    from explorer.app import application
    from explorer.settings import Settings
    from explorer.window import Window
    from explorer.worker import Worker
    from explorer.worker_child import TrainTask

    application()
    found: dict[str, Times] = {c: {"event loop": [], "repaint": []} for c in CONDITIONS}
    speeds: dict[str, list[float]] = {c: [] for c in CONDITIONS[1:]}
    settings = TrainSettings(epochs=10_000, batch_size=batch_size, optimizer=SGD(lr=0.001))
    with tempfile.TemporaryDirectory() as folder:
        window = Window(Settings(Path(folder) / "settings.json"))
        window.resize(1600, 900)
        window.show()
        window.controller.start(None)
        window.use_workspace("train")
        d, session = window.document, window.training
        assert d.preprocessing is not None
        training, _ = catalogue.load("digits", d.preprocessing)
        watch(window, 1.0, lambda: True, {"event loop": [], "repaint": []})  # not counted
        for _ in range(rounds):
            watch(window, seconds, lambda: True, found["idle"])

            worker = Worker()
            newest: list[Any] = []
            worker.reported.connect(newest.append)
            worker.start(TrainTask(d.graph, d.parameters, "digits", d.preprocessing, settings))
            watch(window, seconds, partial(any, newest), found["process"])
            speeds["process"].append(newest[-1].samples_per_second)
            worker.close()

            ended, steps = threading.Event(), [0.0]
            # without validation, which the other does too rarely to matter
            trainer = Trainer(d.graph, d.parameters, training, None, settings)

            def train(
                trainer: Trainer = trainer,
                ended: threading.Event = ended,
                steps: list[float] = steps,
            ) -> None:
                for report in trainer.reports():
                    steps[0] = report.samples_per_second
                    if ended.is_set():
                        return

            thread = threading.Thread(target=train)
            thread.start()
            watch(window, seconds, partial(any, steps), found["thread"])
            ended.set()
            thread.join()
            speeds["thread"].append(steps[0])

            session.start(settings, "digits")
            watch(window, seconds, lambda: bool(session.reports), found["program"])
            speeds["program"].append(session.reports[-1].samples_per_second)
            session.stop()
            while session.worker.busy:
                QCoreApplication.processEvents()
                time.sleep(0.005)
        window.close()
    for name, values in speeds.items():
        print(f"training, {name}: {sum(values) / len(values):,.0f} samples/s")
    return found


def report(found: dict[str, Times]) -> int:
    """Print percentiles and their ratios to idle; return 0 if the rule is kept, else 1."""
    import numpy as np

    print(f"{'':22s}{'p50':>16s}{'p99':>18s}{'max':>18s}   (ms, ×idle)")
    for what in ("event loop", "repaint"):
        idle = np.percentile(found["idle"][what], (50, 99, 100))
        for condition in CONDITIONS:
            values = np.percentile(found[condition][what], (50, 99, 100))
            cells = "".join(
                f"{value:10.2f} {f'×{value / max(base, 1e-3):.1f}':>7s}"
                for value, base in zip(values, idle, strict=True)
            )
            print(f"{what:12s}{condition:10s}{cells}   n={len(found[condition][what]):,}")
    worst = float(np.percentile(found["program"]["event loop"], 99))
    verdict = "kept" if worst <= LIMIT_MILLISECONDS else "MISSED"
    print(f"p99 of waits at most {LIMIT_MILLISECONDS:.0f} ms while training: {verdict}")
    return 0 if worst <= LIMIT_MILLISECONDS else 1


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3, help="rounds of all four (default 3)")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each (default 5)")
    parser.add_argument("--batch-size", type=int, default=32, help="of training (default 32)")
    chosen = parser.parse_args()
    if chosen.rounds < 1 or chosen.seconds <= 0 or chosen.batch_size < 1:
        parser.error("expected --rounds, --seconds and --batch-size above 0")
    sys.path.insert(0, str(ROOT))
    screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    os.environ.setdefault("QT_QPA_PLATFORM", "xcb" if screen else "offscreen")
    with tempfile.TemporaryDirectory() as home:
        os.environ["GRADIENT_FLOW_HOME"] = home
        print(
            f"{chosen.rounds} rounds of {chosen.seconds:g} s, {os.cpu_count()} cores, "
            f"{os.environ['QT_QPA_PLATFORM']} platform, LeNet-5 on digits, "
            f"batches of {chosen.batch_size}"
        )
        return report(measure(chosen.rounds, chosen.seconds, chosen.batch_size))


if __name__ == "__main__":
    sys.exit(main())
