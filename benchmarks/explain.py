"""How soon a number is explained, a step is on the screen, and a gradient is taken apart.

Measured in the program's window, each from the request to the end of the last repaint:

explain   500 random numbers of a network after its run (cells of any tensor, elements of any
          weight, values and gradients): the number becomes the focus, its terms are asked of the
          layer, and every panel in sight, the one with the terms among them, shows it
step      the key for the next operation, over a whole run of LeNet-5 with one picture
paths     the next picture in the residual network: from the end of its run until the bars of its
          gradient by branches crossed are painted (always by the clock: a thread works them out)

    python benchmarks/explain.py --count 500 --rounds 5

It ends with code 1 where a limit is missed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

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


def explain(
    window: Window, name: str, count: int, seed: int, clock: Callable[[], float]
) -> list[float]:
    """Milliseconds of each explanation."""
    import numpy as np

    from explorer.panels import CellPanel

    open_network(window, name)
    window.controller.stepping.to_end()
    document = window.document
    wait(lambda: 0 < len(document.operations) == document.position)
    window.docks["cell"].show()
    window.docks["cell"].raise_()
    settle()
    panel = window.panel("cell")
    assert isinstance(panel, CellPanel)
    times = []
    for place in places(window, count, np.random.default_rng(seed)):
        began = clock()
        window.controller.asking.focus(place)
        settle()
        times.append((clock() - began) * 1e3)
        assert panel.place is not None and panel.explanation is not None, place
        assert panel.place.source == place.source
    return times


def step(window: Window, rounds: int, clock: Callable[[], float]) -> list[float]:
    """Milliseconds from each press of the key to the painted window."""
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    open_network(window, "lenet5")
    window.canvas.setFocus()
    times = []
    for round in range(rounds + 1):
        window.controller.stepping.to_start()
        settle()
        for _ in window.document.operations:
            before = window.document.position
            began = clock()
            QTest.keyClick(window.canvas, Qt.Key.Key_F10)
            settle()
            if round:  # the first is for warming up
                times.append((clock() - began) * 1e3)
            assert window.document.position == before + 1
    return times


def paths(window: Window, rounds: int) -> list[float]:
    """Milliseconds from the end of each next picture's run to the painted bars."""
    from PySide6.QtCore import QCoreApplication

    from explorer.panels import PathsPanel

    open_network(window, "resnet-digits")
    window.use_workspace("flow")
    window.docks.bring("paths")
    panel = window.panel("paths")
    assert isinstance(panel, PathsPanel)
    wait(lambda: panel.shown is not None)
    times = []
    for round in range(4 * rounds + 1):
        before = panel.shown
        window.controller.pictures.next()
        began = None
        while panel.shown is before:
            if began is None and window.document.run is not None and window.document.run.complete:
                began = time.perf_counter()
            QCoreApplication.processEvents()
            time.sleep(0.001)  # as in an event loop: the thread has its turn
        settle()
        assert began is not None
        if round:
            times.append((time.perf_counter() - began) * 1e3)
    window.use_workspace("step")
    return times


def measure(count: int, rounds: int, seed: int, cpu: bool) -> dict[str, list[float]]:
    """Milliseconds by what was measured."""
    from explorer.app import application
    from explorer.settings import Settings
    from explorer.window import Window

    application()
    clock = time.thread_time if cpu else time.perf_counter
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        window = Window(Settings(Path(folder) / "settings.json"))
        window.resize(1600, 900)
        window.show()
        window.controller.start(None)
        window.use_workspace("step")
        settle()
        for name in NETWORKS:
            found[f"explain {name}"] = explain(window, name, count, seed, clock)
        found["step lenet5"] = step(window, rounds, clock)
        found["paths resnet-digits"] = paths(window, rounds)
        window.close()
    return found


def report(found: dict[str, list[float]]) -> int:
    """Print the percentiles; return 0 if the limits are kept, else 1."""
    import numpy as np

    print(f"{'':26s}{'p50':>8s}{'p95':>8s}{'p99':>8s}{'max':>8s}   (ms)")
    missed = False
    for name, times in found.items():
        values = np.percentile(times, (50, 95, 99, 100))
        middle = name.startswith(("step", "paths"))
        limit, value = (EXPLAIN_LIMIT, values[2])
        if middle:
            limit, value = STEP_LIMIT if name.startswith("step") else PATHS_LIMIT, values[0]
        kept = value <= limit
        missed |= not kept
        cells = "".join(f"{v:8.1f}" for v in values)
        rule = f"{'p50' if middle else 'p99'} at most {limit:.0f} ms"
        print(f"{name:26s}{cells}   n={len(times):,}   {rule}: {'kept' if kept else 'MISSED'}")
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
        help="on a busy machine: processor time of the window's thread",
    )
    chosen = parser.parse_args()
    if chosen.count < 1 or chosen.rounds < 1:
        parser.error("expected --count and --rounds above 0")
    sys.path.insert(0, str(ROOT))
    screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    os.environ.setdefault("QT_QPA_PLATFORM", "xcb" if screen else "offscreen")
    with tempfile.TemporaryDirectory() as home:
        os.environ["GRADIENT_FLOW_HOME"] = home
        return report(measure(chosen.count, chosen.rounds, chosen.seed, chosen.cpu))


if __name__ == "__main__":
    sys.exit(main())
