"""How soon a number is explained, a step is on the screen, and a gradient is taken apart.

Measured in the program's window, each from the request to the end of the last repaint:

explain   500 random numbers of a network after its run (cells of any tensor, elements of any
          weight, values and gradients): the number becomes the focus, its terms are asked of the
          layer, and every panel in sight, the one with the terms among them, shows it
hover     the mouse moved onto a random cell of a card and of the grids of its layer, until what is
          outlined is painted and the sentence of the tooltip is there
step      the key for the next operation, over a whole run of LeNet-5 with one picture
paths     the next picture in the residual network: from the end of its run until the bars of its
          gradient by branches crossed are painted (the limit is always by the clock)
beat      how long the window's thread is away while a ResNet-50 at 224×224 is stepped forward and
          back, numbers of its largest maps are explained, and layers are selected: of each of
          these the longest time between two ticks of a timer

Each is given twice: as time on the clock, and as processor time, the program's (of the beat: that
of the window's thread, since the network is computed beside it), which other work on the machine
makes little longer. With --cpu the limits count for the latter.

    python benchmarks/explain.py --count 500 --rounds 5
    python benchmarks/explain.py --only beat

It ends with code 1 where a limit is missed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from PySide6.QtCore import QPointF
    from PySide6.QtWidgets import QWidget

    from engine.explain import Place
    from explorer.window import Window

ROOT = Path(__file__).resolve().parents[1]
NETWORKS = ("lenet5", "resnet-digits", "googlenet-digits", "densenet-digits")
SHIPPED = frozenset(("lenet5", "resnet-digits"))
EXPLAIN_LIMIT = 50.0
"""Milliseconds for 99 of 100 explanations."""
PATHS_LIMIT = 100.0
"""Milliseconds for the middle picture."""
STEP_LIMIT = 16.0
"""Milliseconds for the middle step: a frame of a screen with 60 of them a second."""
BEAT_LIMIT = 50.0
"""Milliseconds that the window's thread may be away, but for one in a hundred times."""
BEAT = 2
PARTS = ("explain", "hover", "step", "paths", "beat")

Times = list[tuple[float, float]]
"""Milliseconds on the clock and of processor time."""


@contextlib.contextmanager
def timed(into: Times) -> Iterator[None]:
    """Append what the block takes."""
    began, cpu = time.perf_counter(), time.process_time()
    yield
    into.append(((time.perf_counter() - began) * 1e3, (time.process_time() - cpu) * 1e3))


def settle() -> None:
    """Handle what was asked for, until nothing is left to do or to paint."""
    from PySide6.QtCore import QCoreApplication

    for _ in range(4):
        QCoreApplication.processEvents()


def wait(until: Callable[[], bool], seconds: float = 30.0) -> None:
    """Handle what happens until something is true; raises TimeoutError."""
    end = time.perf_counter() + seconds
    while not until():
        settle()
        if time.perf_counter() > end:
            raise TimeoutError(f"expected it within {seconds:g} s")


def open_network(window: Window, name: str) -> None:
    """Show another network, made beside the window or read from its file, and its first run."""
    projects, before = window.controller.projects, window.document.run
    projects.open_shipped(name) if name in SHIPPED else projects.open_architecture(name)
    wait(lambda: window.document.run not in (None, before) and window.document.position > 0)
    settle()


def places(window: Window, count: int, rng: np.random.Generator) -> list[Place]:
    """Random numbers that the run of the window has recorded."""
    from engine.cell import Cell
    from engine.explain import Place, Weight

    document = window.document
    trace = document.trace
    assert trace is not None
    known = {
        kind: [
            k.ref for k in tuple(trace.keys()) if k.kind == kind and k.ref[0] in document.known_ids
        ]
        for kind in ("value", "grad", "param_grad")
    }
    found: list[Place] = []
    while len(found) < count:
        kind = ("value", "grad", "grad", "value", "param_grad")[len(found) % 5]
        refs = known[kind]
        ref = refs[rng.integers(len(refs))]
        array = trace.look(kind, ref)  # type: ignore[arg-type]
        assert array is not None
        shape = array.shape if kind == "param_grad" else array.shape[1:]
        index = tuple(int(rng.integers(size)) for size in shape)
        source = Weight(*ref, index) if kind == "param_grad" else Cell(*ref, index)
        found.append(Place(source, "forward" if kind == "value" else "gradient"))
    return found


def to_the_end(window: Window) -> None:
    """Carry out the whole run, and bring the panel with the terms to the front."""
    window.controller.stepping.to_end()
    document = window.document
    wait(lambda: 0 < len(document.operations) == document.position, 300)
    window.docks["cell"].show()
    window.docks["cell"].raise_()
    settle()


def explain(window: Window, name: str, count: int, seed: int) -> Times:
    """Of each explanation."""
    import numpy as np

    from explorer.panels import CellPanel

    open_network(window, name)
    to_the_end(window)
    panel = window.panel("cell")
    assert isinstance(panel, CellPanel)
    times: Times = []
    for place in places(window, count, np.random.default_rng(seed)):
        with timed(times):
            window.controller.asking.focus(place)
            settle()
        assert panel.place is not None and panel.explanation is not None, place
        assert panel.place.source == place.source
    return times


def point_at(widget: QWidget, at: QPointF) -> None:
    """Move the mouse onto a point of a widget, and rest there until the tooltip is asked for."""
    from PySide6.QtCore import QCoreApplication, QEvent, Qt
    from PySide6.QtGui import QHelpEvent, QMouseEvent

    none, where = Qt.MouseButton.NoButton, widget.mapToGlobal(at)
    plain = Qt.KeyboardModifier.NoModifier
    moved = QMouseEvent(QEvent.Type.MouseMove, at, where, none, none, plain)
    QCoreApplication.sendEvent(widget, moved)
    helped = QHelpEvent(QEvent.Type.ToolTip, at.toPoint(), where.toPoint())
    QCoreApplication.sendEvent(widget, helped)
    settle()


def hover(window: Window, count: int, seed: int) -> Times:
    """Of each move of the mouse, in the network that ``explain`` has opened."""
    import numpy as np
    from PySide6.QtCore import QPointF
    from PySide6.QtWidgets import QToolTip

    rng = np.random.default_rng(seed)
    canvas, pair = window.canvas, window.inspector.output
    items = [item for item in canvas.network.items_by_id.values() if item.has_array("value")]
    times: Times = []
    while len(times) < count:
        item = items[rng.integers(len(items))]
        window.controller.asking.focus(item.facts.shows[0])  # selects it
        canvas.set_zoom(1.0)
        canvas.center_on(item.facts.id)
        settle()
        rect = item.scene_rect()
        for _ in range(20):  # until a point lies on a cell
            x, y = rng.random(2)
            at = QPointF(rect.left() + x * rect.width(), rect.top() + y * rect.height())
            if item.place_at(at) is not None:
                with timed(times):
                    point_at(canvas.viewport(), QPointF(canvas.to_pixel(at)))
                assert QToolTip.text(), item.facts.id
                break
        for grid in (pair.forward_grid, pair.gradient_grid):
            at = QPointF(*(rng.random(2) * (grid.width() - 1, grid.height() - 1)))
            if grid.isVisible() and grid.cell_at(at) is not None:
                with timed(times):
                    point_at(grid, at)
                assert QToolTip.text(), item.facts.id
    QToolTip.hideText()
    return times


def step(window: Window, rounds: int) -> Times:
    """From each press of the key to the painted window."""
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    open_network(window, "lenet5")
    window.canvas.setFocus()
    times: Times = []
    for round in range(rounds + 1):
        window.controller.stepping.to_start()
        settle()
        for _ in window.document.operations:
            before = window.document.position
            with timed(times if round else []):  # the first round is for warming up
                QTest.keyClick(window.canvas, Qt.Key.Key_F10)
                settle()
            assert window.document.position == before + 1
    return times


def paths(window: Window, rounds: int) -> Times:
    """From the end of each next picture's run to the painted bars."""
    from PySide6.QtCore import QCoreApplication

    from explorer.panels import PathsPanel

    open_network(window, "resnet-digits")
    window.use_workspace("flow")
    window.docks.bring("paths")
    panel = window.panel("paths")
    assert isinstance(panel, PathsPanel)
    wait(lambda: panel.shown is not None)
    times: Times = []
    for round in range(4 * rounds + 1):
        before = panel.shown
        window.controller.pictures.next()
        measured = contextlib.ExitStack()
        begun = False
        while panel.shown is before:
            run = window.document.run
            if not begun and run is not None and run.complete:
                begun = True
                measured.enter_context(timed(times if round else []))
            QCoreApplication.processEvents()
            time.sleep(0.001)  # as in an event loop: the thread has its turn
        settle()
        assert begun
        measured.close()
    window.use_workspace("step")
    return times


def beats(actions: Sequence[Callable[[], object]], pause: int) -> Times:
    """After each action, how long the event loop was away at most between two ticks."""
    from PySide6.QtCore import QEventLoop, Qt, QTimer

    times: Times = []
    gaps: Times = []
    last: list[tuple[float, float]] = []
    loop, left = QEventLoop(), iter(actions)

    def tick() -> None:
        now = time.perf_counter(), time.thread_time()
        if last:
            was = last.pop()
            gaps.append(((now[0] - was[0]) * 1e3 - BEAT, (now[1] - was[1]) * 1e3))
        last.append(now)

    def begin() -> None:
        gaps.clear()
        act()

    def act() -> None:
        if gaps:
            times.append((max(clock for clock, _ in gaps), max(cpu for _, cpu in gaps)))
            gaps.clear()
        action = next(left, None)
        if action is None:
            loop.quit()
        else:
            action()
            QTimer.singleShot(pause, act)

    timer = QTimer()
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.timeout.connect(tick)
    timer.start(BEAT)
    QTimer.singleShot(pause, begin)
    loop.exec()
    timer.stop()
    return times


def big(window: Window, folder: Path, count: int, seed: int) -> dict[str, Times]:
    """Of a ResNet-50 at 224×224 with starting weights, by what is done."""
    import numpy as np
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    from engine.architectures import ARCHITECTURES
    from engine.cell import Cell
    from engine.explain import Place
    from engine.parameters import initial_parameters
    from engine.project_file import Project, save

    rng = np.random.default_rng(seed)
    graph = ARCHITECTURES["resnet50"].build()
    save(Project(graph, initial_parameters(graph, seed)), folder / "resnet50.gflow")
    document, control, before = window.document, window.controller, window.document.run
    control.projects.open(folder / "resnet50.gflow")
    wait(lambda: document.run not in (None, before) and document.position > 0, 300)
    window.canvas.setFocus()

    def forward() -> None:
        QTest.keyClick(window.canvas, Qt.Key.Key_F10)

    found = {"beat stepping forward": beats([forward] * count, 30)}
    to_the_end(window)
    found["beat stepping back"] = beats([control.stepping.back] * count, 30)
    to_the_end(window)
    shapes = {ref: spec.shape[1:] for ref, spec in document.inference.specs.items()}
    large = [ref for ref, shape in shapes.items() if np.prod(shape) > 400_000]

    def ask(number: int) -> Callable[[], None]:
        ref = large[rng.integers(len(large))]
        cell = Cell(*ref, tuple(int(rng.integers(size)) for size in shapes[ref]))
        place = Place(cell, "gradient" if number % 2 else "forward")
        return lambda: control.asking.focus(place)

    found["beat explaining"] = beats([ask(number) for number in range(count)], 60)
    names = [node.id for node in graph.nodes]

    def select() -> None:
        control.select({names[rng.integers(len(names))]})

    found["beat selecting"] = beats([select] * count, 60)
    return found


def measure(count: int, rounds: int, seed: int, parts: Sequence[str]) -> dict[str, Times]:
    """Clock and processor time by what was measured."""
    from explorer.app import application
    from explorer.settings import Settings
    from explorer.window import Window

    application()
    found: dict[str, Times] = {}
    with tempfile.TemporaryDirectory() as folder:
        window = Window(Settings(Path(folder) / "settings.json"))
        window.resize(1600, 900)
        window.show()
        window.controller.start(None)
        window.use_workspace("step")
        settle()
        for name in NETWORKS:
            if "explain" in parts or "hover" in parts:
                asked = explain(window, name, count if "explain" in parts else 1, seed)
            if "explain" in parts:
                found[f"explain {name}"] = asked
            if "hover" in parts:
                found[f"hover {name}"] = hover(window, count, seed)
        if "step" in parts:
            found["step lenet5"] = step(window, rounds)
        if "paths" in parts:
            found["paths resnet-digits"] = paths(window, rounds)
        if "beat" in parts:
            found |= big(window, Path(folder), min(count, 100), seed)
        window.close()
    return found


def report(found: dict[str, Times], cpu: bool = False) -> int:
    """Print the percentiles; return 0 if the limits are kept (by the clock, or CPU), else 1."""
    import numpy as np

    print(f"{'':26s}{'':6s}{'p50':>8s}{'p95':>8s}{'p99':>8s}{'max':>8s}   (ms)")
    missed = False
    for name, times in found.items():
        kind = name.split()[0]
        which, limit = {
            "step": (0, STEP_LIMIT),
            "paths": (0, PATHS_LIMIT),
            "beat": (2, BEAT_LIMIT),
        }.get(kind, (2, EXPLAIN_LIMIT))
        rule = f"{('p50', 'p95', 'p99')[which]} at most {limit:.0f} ms"
        for column, clock in enumerate(("clock", "CPU")):
            values = np.percentile([pair[column] for pair in times], (50, 95, 99, 100))
            kept = values[which] <= limit
            missed |= not kept and (cpu and kind != "paths") == (clock == "CPU")
            cells = "".join(f"{v:8.1f}" for v in values)
            count = f"n={len(times):,}   {rule}: " if not column else " " * 4
            print(
                f"{name if not column else '':26s}{clock:6s}{cells}   {count}"
                f"{'kept' if kept else 'MISSED'}"
            )
    return 1 if missed else 0


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=500, help="numbers a network (default 500)")
    parser.add_argument("--rounds", type=int, default=5, help="runs that are stepped through")
    parser.add_argument("--seed", type=int, default=0, help="which numbers (default 0)")
    parser.add_argument(
        "--cpu",
        action="store_true",
        help="on a busy machine: the limits count for processor time",
    )
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, default=PARTS, help="what to measure (default: all)"
    )
    chosen = parser.parse_args()
    if chosen.count < 1 or chosen.rounds < 1:
        parser.error("expected --count and --rounds above 0")
    sys.path.insert(0, str(ROOT))
    screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    os.environ.setdefault("QT_QPA_PLATFORM", "xcb" if screen else "offscreen")
    with tempfile.TemporaryDirectory() as home:
        os.environ["GRADIENT_FLOW_HOME"] = home
        return report(measure(chosen.count, chosen.rounds, chosen.seed, chosen.only), chosen.cpu)


if __name__ == "__main__":
    sys.exit(main())
