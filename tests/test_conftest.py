"""The guards around every test can fail."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

LEAVES = """\
import multiprocessing, threading, time

END = threading.Event()

def test_thread():
    threading.Thread(target=END.wait, args=(20,), name="forgotten", daemon=True).start()

def test_process():
    multiprocessing.get_context("spawn").Process(
        target=time.sleep, args=(20,), name="left", daemon=True).start()

def test_neat():
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()

def test_qt_warning(qtbot):
    from PySide6.QtCore import qWarning
    qWarning("a message of Qt's")
"""


def test_a_test_that_leaves_something_running_fails(tmp_path: Path) -> None:
    root = Path(__file__).parents[1]
    shutil.copy(root / "tests" / "conftest.py", tmp_path)
    shutil.copy(root / "pyproject.toml", tmp_path)
    (tmp_path / "test_leaves.py").write_text(LEAVES, encoding="utf-8")
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", "test_leaves.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "left running: thread forgotten." in result.stdout
    assert "left running: process left (pid " in result.stdout
    assert "a message of Qt's" in result.stdout
    # A test whose end fails has itself passed: the guards speak in its teardown.
    assert "1 failed, 3 passed, 2 errors" in result.stdout


@pytest.mark.parametrize("host", ["192.0.2.1", "example.org"])
def test_a_connection_to_another_machine_is_refused(host: str) -> None:
    with pytest.raises(OSError, match=f"tried to reach {host}"):
        socket.create_connection((host, 80), timeout=1)


def test_a_connection_within_this_machine_works() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname(), timeout=5) as client,
    ):
        assert client.getpeername() == server.getsockname()


def test_settings_go_to_the_tests_own_folder(own_settings: Path, tmp_path: Path) -> None:
    assert own_settings.is_relative_to(tmp_path)
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "GRADIENT_FLOW_HOME"):
        assert Path(os.environ[name]).is_relative_to(own_settings)
