"""How long the first picture takes, against a bare PySide6 + pyqtgraph window.

Each round starts both, one after the other, each in a fresh process, so that a busy moment of the
machine meets both; the figures are ratios within a round. A last pair of measurements tells what
``./start`` adds to a program that is already set up.

The clock runs from just before the process is made to the end of the paint event that shows the
first feature maps: a program that finds GRADIENT_FLOW_FIRST_PICTURE in its environment writes
time.time_ns() of that moment to the file of this name.

    python benchmarks/startup.py --rounds 7
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MARK = "GRADIENT_FLOW_FIRST_PICTURE"
GOAL = 3.0
PATIENCE = 60.0


def bare_window() -> int:
    """Show an empty plot in a main window, note the end of its first paint, and leave."""
    import pyqtgraph
    from PySide6.QtCore import QTimer
    from PySide6.QtGui import QPaintEvent
    from PySide6.QtWidgets import QApplication, QMainWindow

    class Plot(pyqtgraph.PlotWidget):
        def paintEvent(self, event: QPaintEvent) -> None:
            super().paintEvent(event)
            mark = Path(os.environ[MARK])
            if not mark.exists():
                mark.write_text(str(time.time_ns()), encoding="ascii")
                QTimer.singleShot(0, app.quit)

    app = QApplication([])
    window = QMainWindow()
    window.setCentralWidget(Plot())
    window.resize(1280, 800)
    window.show()
    return app.exec()


def first_picture(command: Sequence[str | Path], folder: Path) -> float:
    """Start the command; return the seconds until it notes its first picture; then end it.

    Raises RuntimeError if it ends, or a minute passes, without a picture.
    """
    mark = folder / "first-picture"
    mark.unlink(missing_ok=True)
    settings = {
        name: str(folder / name.lower())
        for name in (
            "GRADIENT_FLOW_HOME",
            "XDG_CONFIG_HOME",
            "XDG_DATA_HOME",
            "XDG_CACHE_HOME",
            "XDG_STATE_HOME",
        )
    }
    environment = {**os.environ, **settings, MARK: str(mark)}
    started = time.time_ns()
    process = subprocess.Popen([str(word) for word in command], env=environment, cwd=folder)
    try:
        while not (mark.exists() and mark.read_text(encoding="ascii")):
            if process.poll() is not None:
                raise RuntimeError(
                    f"{command[-1]} ended with code {process.returncode}, no picture"
                )
            if time.time_ns() - started > PATIENCE * 1e9:
                raise RuntimeError(f"{command[-1]} showed no picture in {PATIENCE:.0f} s")
            time.sleep(0.005)
    finally:
        process.terminate()
        process.wait(10)
    return (int(mark.read_text(encoding="ascii")) - started) / 1e9


def run_time(command: Sequence[str | Path]) -> float:
    """The seconds that the command takes to its end."""
    started = time.perf_counter()
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def spread(values: Sequence[float], unit: str, scale: float = 1.0) -> str:
    """The median with the least and the greatest value."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle * scale:8.2f} {unit:2}  ({low * scale:.2f} to {high * scale:.2f})"


def measure(rounds: int) -> int:
    """Print the measurements; return 0 if the goal is met, else 1."""
    bare: list[float] = []
    program: list[float] = []
    direct: list[float] = []
    by_start: list[float] = []
    start = ROOT / "start"
    has_start = os.name != "nt"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if has_start:
            # Sets up where needed: the second start is what is measured.
            subprocess.run([start, "--version"], check=True, stdout=subprocess.DEVNULL)
        # The first round fills the file cache and the bytecode caches; it is not counted.
        for counted in [False] + [True] * rounds:
            one = first_picture([sys.executable, Path(__file__), "--bare-window"], folder)
            two = first_picture([sys.executable, ROOT / "main.py"], folder)
            if counted:
                bare.append(one)
                program.append(two)
            if has_start:
                plain = run_time([ROOT / ".venv" / "bin" / "python", ROOT / "main.py", "--version"])
                through = run_time([start, "--version"])
                if counted:
                    direct.append(plain)
                    by_start.append(through)
    ratios = [two / one for one, two in zip(bare, program, strict=True)]
    ratio = statistics.median(ratios)
    print(f"{rounds} rounds, {os.environ['QT_QPA_PLATFORM']} platform; median (least to greatest)")
    print(f"bare PySide6 + pyqtgraph window  {spread(bare, 'ms', 1e3)}")
    print(f"program, first feature maps      {spread(program, 'ms', 1e3)}")
    print(f"ratio, program / bare            {spread(ratios, '')}  goal: at most {GOAL}")
    if has_start:
        added = [b - a for a, b in zip(direct, by_start, strict=True)]
        print(f"./start adds, on a second start  {spread(added, 'ms', 1e3)}")
    verdict = "met" if ratio <= GOAL else "MISSED"
    print(f"goal {verdict}")
    return 0 if ratio <= GOAL else 1


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7, help="measured rounds (default 7)")
    parser.add_argument("--bare-window", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.bare_window:
        return bare_window()
    if chosen.rounds < 1:
        parser.error("--rounds: expected at least 1")
    screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen" if not screen else "xcb")
    return measure(chosen.rounds)


if __name__ == "__main__":
    sys.exit(main())
