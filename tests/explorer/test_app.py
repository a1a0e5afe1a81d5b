"""The program as a process: it starts, shows its first picture, ends when asked, says nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine import project_file
from explorer import session

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 30.0
NEEDS_SIGNALS = pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to one process")


def environment(home: Path, **more: str) -> dict[str, str]:
    """What a user's shell gives, without a screen."""
    kept = {
        k: v
        for k, v in os.environ.items()
        if k not in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    }
    return kept | {"HOME": str(home), "GRADIENT_FLOW_HOME": str(home / "settings")} | more


class Program:
    """A running program; ``wait`` gives its exit code and what it printed."""

    def __init__(self, home: Path, *words: str) -> None:
        self.mark = home / "first-picture"
        self.started = time.time_ns()
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "main.py"), *words],
            cwd=home,
            env=environment(
                home,
                QT_QPA_PLATFORM="offscreen",
                GRADIENT_FLOW_FIRST_PICTURE=str(self.mark),
            ),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def first_picture(self) -> int:
        """The time of the first picture, in nanoseconds, once it is there."""
        end = time.monotonic() + SECONDS
        while not (self.mark.exists() and self.mark.read_text()):
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < end, "no first picture"
            try:
                self.process.wait(0.02)
            except subprocess.TimeoutExpired:
                continue
        return int(self.mark.read_text())

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> tuple[int, str, str]:
        """Ask it to end, as Ctrl-C does; (exit code, stdout, stderr)."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, out, err


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    running: list[Program] = []

    def run(*words: str) -> Program:
        running.append(Program(tmp_path, *words))
        return running[-1]

    yield run
    for program in running:
        if program.process.poll() is None:
            program.process.kill()
            program.process.communicate()


@NEEDS_SIGNALS
class TestProcess:
    def test_it_starts_shows_a_picture_and_ends_on_ctrl_c(
        self, start: Callable[..., Program]
    ) -> None:
        program = start()
        shown = program.first_picture()
        assert program.started < shown < time.time_ns()
        asked = time.monotonic()
        assert program.interrupt() == (0, "", "")
        assert time.monotonic() - asked < 5

    def test_it_ends_well_when_the_session_ends(self, start: Callable[..., Program]) -> None:
        program = start()
        program.first_picture()
        assert program.interrupt(signal.SIGTERM) == (0, "", "")

    def test_a_second_start_with_the_places_of_the_first_says_nothing_either(
        self, start: Callable[..., Program], tmp_path: Path
    ) -> None:
        for _ in range(2):
            program = start()
            program.first_picture()
            program.mark.unlink()
            assert program.interrupt() == (0, "", "")
        assert (tmp_path / "settings" / "settings.json").exists()

    def test_it_opens_the_file_that_it_is_given(
        self, start: Callable[..., Program], tmp_path: Path
    ) -> None:
        path = tmp_path / "mine.gflow"
        project_file.save(session.shipped("resnet-digits"), path)
        program = start(str(path))
        program.first_picture()
        assert program.interrupt() == (0, "", "")
        settings = (tmp_path / "settings" / "settings.json").read_text()
        assert "mine.gflow" in settings  # among the recent ones: it was opened

    def test_a_file_that_is_no_project_is_no_reason_not_to_start(
        self, start: Callable[..., Program], tmp_path: Path
    ) -> None:
        path = tmp_path / "notes.txt"
        path.write_text("no project")
        program = start(str(path))
        program.first_picture()
        assert program.interrupt() == (0, "", "")
        assert path.read_text() == "no project"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems have a screen")
def test_without_a_screen_it_names_the_tour(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, str(ROOT / "main.py")],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert ran.returncode == 1
    assert ran.stdout == ""
    assert ran.stderr.count("\n") == 1
    assert "no screen" in ran.stderr and "tour --out" in ran.stderr
