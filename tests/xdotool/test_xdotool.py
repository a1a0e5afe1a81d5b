"""Every gesture by real X events: runs session.py on a screen of its own."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SESSION = Path(__file__).parent / "session.py"
SECONDS = 240
"""On a machine that does much else; alone it takes a quarter of this."""

missing = [name for name in ("Xvfb", "xdotool") if shutil.which(name) is None]
pytestmark = pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


@pytest.fixture(scope="module")
def screen() -> Iterator[str]:
    """An X server with nothing on it, on a display that it chooses itself."""
    reader, writer = os.pipe()
    server = subprocess.Popen(
        [
            *("Xvfb", "-displayfd", str(writer), "-screen", "0", "1600x1000x24"),
            *("-nolisten", "tcp", "-noreset"),
        ],
        pass_fds=(writer,),
        stderr=subprocess.DEVNULL,
    )
    os.close(writer)
    try:
        with os.fdopen(reader) as pipe:
            number = pipe.readline().strip()
        assert number, "Xvfb ended without a display"
        yield f":{number}"
    finally:
        server.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(5)
        if server.poll() is None:
            server.kill()
            server.wait()


@pytest.fixture(scope="module")
def session(
    screen: str, tmp_path_factory: pytest.TempPathFactory
) -> subprocess.CompletedProcess[str]:
    """What the session printed."""
    home = tmp_path_factory.mktemp("home")
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("QT_", "XDG_", "WAYLAND_", "GRADIENT_FLOW_"))
    }
    environment |= {"DISPLAY": screen, "HOME": str(home), "XDG_CONFIG_HOME": str(home)}
    return subprocess.run(
        [sys.executable, str(SESSION)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )


def gestures() -> list[str]:
    """The names of the gestures in the order in which the script has them."""
    found = re.findall(r'^@gesture\("\w+"\)\ndef (\w+)', SESSION.read_text("utf-8"), re.MULTILINE)
    return [name.replace("_", " ") for name in found]


@pytest.mark.parametrize("name", gestures())
def test_gesture(name: str, session: subprocess.CompletedProcess[str]) -> None:
    lines = session.stdout.splitlines()
    wrong = [line for line in lines if line.startswith(f"failed {name}:")]
    assert not wrong, wrong[0]
    assert f"ok {name}" in lines, session.stdout + session.stderr


def test_the_session_ends_well_and_nothing_is_printed_on_stderr(
    session: subprocess.CompletedProcess[str],
) -> None:
    assert session.stderr == ""
    assert session.returncode == 0, session.stdout
    assert len(session.stdout.splitlines()) == len(gestures())


def test_there_is_a_gesture_for_each_thing_that_a_person_does() -> None:
    text = " ".join(gestures())
    for word in (
        *("next", "back", "play", "timeline", "scrub", "wheel", "pan", "select", "band", "shift"),
        *("moves", "copy", "edge", "canvas", "card", "connects", "reconnects", "disconnects"),
        *("delete", "undo", "travel", "nudges", "double click", "arrows", "drawn", "spin box"),
        *("command box", "train", "export", "saves", "closes", "reopens"),
    ):
        assert word in text, word
