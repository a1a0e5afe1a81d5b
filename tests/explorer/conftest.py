"""What every test of the explorer gets, and a controller with a small network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QCoreApplication, QEvent
from pytestqt.qtbot import QtBot

from engine.graph import Graph, Input, Loss, Node
from engine.layers.conv2d import Conv2d
from engine.layers.flatten import Flatten
from engine.layers.linear import Linear
from engine.layers.relu import ReLU
from engine.losses import CrossEntropy
from engine.project_file import Project, save
from explorer.controller import Controller
from explorer.document import Document
from explorer.notices import Notice
from explorer.settings import Settings


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a run of a small network finish at once, a frame be whole, and cards be where they go.

    The window cuts long runs and the composing of pictures into slices by the clock, and lets
    cards travel for a while; a test of that sets the time itself.
    """
    # windows of tests in which no event was handled would all be styled anew by the next
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
    monkeypatch.setattr("explorer.stepping.FIRST_SECONDS", 60.0)
    monkeypatch.setattr("explorer.canvas.scene.SLICE", 60.0)
    monkeypatch.setattr("explorer.canvas.travel.MILLISECONDS", 0)


def tiny_network(channels: int = 2, shape: tuple[int, ...] = (1, 8, 8), classes: int = 10) -> Graph:
    return Graph(
        inputs=(Input("image", shape),),
        nodes=(
            Node("conv1", Conv2d(channels, kernel_size=3, padding=1), (("image", 0),)),
            Node("relu1", ReLU(), (("conv1", 0),)),
            Node("flatten1", Flatten(), (("relu1", 0),)),
            Node("linear1", Linear(out_features=classes), (("flatten1", 0),)),
        ),
        outputs=(("logits", ("linear1", 0)),),
        losses=(Loss("loss", CrossEntropy(), ("linear1", 0)),),
        name="tiny",
    )


class Bench:
    """A controller with its document, and every notice that it gave."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.document = Document()
        self.controller = Controller(self.document, Settings(folder / "settings.json"))
        self.notices: list[Notice] = []
        self.controller.notice.connect(self.notices.append)

    def open(self, graph: Graph, name: str = "tiny.gflow", **more: Any) -> Path:
        path = self.folder / name
        document = Document()
        document.load(Project(graph, **more), {}, None)
        save(document.project(), path)
        assert self.controller.projects.open(path)
        self.notices.clear()
        return path


@pytest.fixture
def bench(qtbot: QtBot, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    bench.open(tiny_network())
    yield bench
    bench.controller.close()
    # runs that were given up are deleted while their owner is still there
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)


@pytest.fixture
def network() -> Callable[..., Graph]:
    """Makes the network of ``bench``, or one like it."""
    return tiny_network


@pytest.fixture
def another(tmp_path: Path) -> Callable[[], Bench]:
    """Makes a second controller with the same settings, as a later start of the program."""
    return lambda: Bench(tmp_path)
