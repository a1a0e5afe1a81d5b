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
    patch.setattr(socket, "getaddrinfo", _only_local_names(socket.getaddrinfo))
    yield
    patch.undo()


def _only_loopback(original: Any) -> Any:
    def guarded(self: socket.socket, *arguments: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            _refuse_unless_local(arguments[-1][0])
        return original(self, *arguments)

    return guarded


def _only_local_names(original: Any) -> Any:
    def guarded(host: Any, *arguments: Any, **named: Any) -> Any:
        _refuse_unless_local(host)
        return original(host, *arguments, **named)

    return guarded


def _refuse_unless_local(host: Any) -> None:
    name = host.decode() if isinstance(host, bytes) else str(host or "")
    if name not in _LOOPBACK and not name.startswith("127."):
        raise OSError(
            f"A test tried to reach {name}. Tests run without a network: "
            "use a file in tests/, or a server on 127.0.0.1 that the test starts."
        )


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
        # What a thread of Qt's is called once it has run Python; it cannot be joined from here.
        if thread.name.startswith("Dummy-"):
            continue
        thread.join(1.0)
        if thread.is_alive():
            left.append(f"thread {thread.name}")
    if left:
        pytest.fail(
            f"This test left running: {', '.join(left)}. What outlives a test also outlives the "
            "window and disturbs the next test. Close the window (qtbot.addWidget does), stop the "
            "worker and wait for it, or make the thread with a context manager that joins it."
        )
