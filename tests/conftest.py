"""What every test gets: an offscreen screen, its own settings folder, no network, no leftovers."""

import multiprocessing
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Before any Qt import: the platform is chosen once a process. A run under Xvfb sets xcb itself.
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

_LOOPBACK = {"localhost", "::1", "", "0.0.0.0", "::"}


@pytest.fixture(scope="session", autouse=True)
def no_network() -> Iterator[None]:
    """Refuse every connection that leaves this machine, for the whole session."""
    patch = pytest.MonkeyPatch()
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        patch.delenv(name)
    for method in ("connect", "connect_ex", "sendto"):
        patch.setattr(socket.socket, method, _only_loopback(getattr(socket.socket, method)))
    yield
    patch.undo()


def _only_loopback(original: Any) -> Any:
    def guarded(self: socket.socket, *arguments: Any) -> Any:
        address = arguments[-1]
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = str(address[0])
            if host not in _LOOPBACK and not host.startswith("127."):
                raise OSError(
                    f"A test tried to reach {host}:{address[1]}. Tests run without a network: "
                    "use a file in tests/, or a server on 127.0.0.1 that the test starts."
                )
        return original(self, *arguments)

    return guarded


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Point every settings, data and cache folder at tmp_path, so that no test touches a user's.

    Returns the folder that stands for the user's home.
    """
    home = tmp_path / "home"
    for name, folder in (
        ("HOME", home),
        ("USERPROFILE", home),
        ("XDG_CONFIG_HOME", home / "config"),
        ("XDG_DATA_HOME", home / "data"),
        ("XDG_CACHE_HOME", home / "cache"),
        ("XDG_STATE_HOME", home / "state"),
        ("GRADIENT_FLOW_HOME", home / "gradient-flow"),
    ):
        folder.mkdir(parents=True, exist_ok=True)
        monkeypatch.setenv(name, str(folder))
    return home


@pytest.fixture(autouse=True)
def nothing_left_running(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves a thread or a child process behind."""
    threads = set(threading.enumerate())
    children = {child.pid for child in multiprocessing.active_children()}
    yield
    left: list[str] = []
    for child in multiprocessing.active_children():
        if child.pid not in children:
            child.join(1.0)
            if child.is_alive():
                left.append(f"process {child.name} (pid {child.pid})")
                child.kill()
                child.join()
    for thread in set(threading.enumerate()) - threads:
        thread.join(1.0)
        if thread.is_alive():
            left.append(f"thread {thread.name}")
    if left:
        pytest.fail(
            f"This test left running: {', '.join(left)}. What outlives a test also outlives the "
            "window and disturbs the next test. Close the window (qtbot.addWidget does), stop the "
            "worker and wait for it, or make the thread with a context manager that joins it."
        )
