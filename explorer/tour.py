"""The tour: the program's real window, drawn offscreen through one forward and backward pass.

Writes numbered PNG pictures and an index.html that tells them in order.
"""

from __future__ import annotations

import argparse
import html
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QBuffer, QByteArray, QIODevice, Qt
from PySide6.QtWidgets import QApplication

from engine.atomic_file import replacing
from engine.graph import Graph
from engine.trace import Operation
from explorer.app import application
from explorer.settings import Settings
from explorer.window import Window

SIZE = (1600, 900)


@dataclass(frozen=True)
class Stop:
    """One picture: which network, after how many operations, what is selected, and why."""

    network: str
    position: int
    selected: str
    title: str
    text: str


def lenet_stops(graph: Graph, operations: tuple[Operation, ...]) -> Iterator[Stop]:
    """One digit forward and backward through LeNet-5."""
    first_loss = next(i for i, o in enumerate(operations) if o.phase == "loss")
    yield Stop(
        "lenet5",
        0,
        graph.inputs[0].id,
        "A digit, before anything is computed",
        "The network is drawn from left to right. Nothing has run yet, so the layers are empty.",
    )
    texts = {
        "Conv2d": "Each kernel slides over all positions with the same weights.",
        "ReLU": "What is negative becomes zero.",
        "MaxPool2d": "Of each window only the largest number stays. The marks on the input say "
        "which cell won.",
        "Flatten": "The maps are written into one row of numbers.",
        "Linear": "Every number is connected with every output.",
    }
    for i, operation in enumerate(operations):
        kind = (
            type(graph.node(operation.node).layer).__name__
            if (operation.node in graph.by_id)
            else ""
        )
        if operation.phase == "forward":
            yield Stop(
                "lenet5", i + 1, operation.node, f"Predict: {operation.node}", texts.get(kind, "")
            )
    yield Stop(
        "lenet5",
        first_loss + 1,
        operations[first_loss].node,
        "Measure error",
        "The scores become shares that add up to 1. The error is small when the right answer "
        "has a large share.",
    )
    back = {
        "MaxPool2d": "All of the gradient goes to the cells that won in forward; every other "
        "cell gets an exact zero.",
        "ReLU": "The gradient passes where the number was positive.",
        "Conv2d": "The gradient of one kernel is a sum over all positions.",
        "Linear": "Each input collects from every output in proportion to its weight.",
    }
    for i, operation in enumerate(operations):
        if operation.phase == "backward":
            kind = (
                type(graph.node(operation.node).layer).__name__
                if (operation.node in graph.by_id)
                else ""
            )
            yield Stop(
                "lenet5",
                i + 1,
                operation.node,
                f"Send blame back: {operation.node}",
                back.get(kind, "The gradient travels against the arrows."),
            )
    yield Stop(
        "lenet5",
        len(operations),
        next(n.id for n in graph.nodes),
        "Adjust",
        "Every weight moves a little against its gradient.",
    )


def residual_stops(graph: Graph, operations: tuple[Operation, ...]) -> Iterator[Stop]:
    """How a residual block splits the gradient: at the Add, and at the fork where it is summed."""
    kinds = {n.id: type(n.layer).__name__ for n in graph.nodes}
    adds = [n.id for n in graph.nodes if kinds[n.id] == "Add"]
    last = adds[-1]
    forward = next(i for i, o in enumerate(operations) if o.phase == "forward" and o.node == last)
    yield Stop(
        "resnet-digits",
        forward + 1,
        last,
        f"A skip meets its branch: {last}",
        "The tensor went two ways: unchanged over the skip, and through the branch. Here both "
        "are added.",
    )
    for i, operation in enumerate(operations):
        if operation.phase == "backward" and operation.node == last:
            yield Stop(
                "resnet-digits",
                i + 1,
                last,
                f"The gradient parts at {last}",
                "Both inputs receive all of the gradient, unchanged. The norms of skip and "
                "branch stand beside the edges.",
            )
            rest = [j for j, o in enumerate(operations) if j > i and o.phase == "accumulate"]
            if rest:
                j = rest[0]
                yield Stop(
                    "resnet-digits",
                    j + 1,
                    operations[j].node,
                    f"Add up at {operations[j].node}",
                    "Where the tensor forked, the gradients of skip and branch meet again and "
                    "are added, in a step of its own.",
                )
    yield Stop(
        "resnet-digits",
        len(operations),
        graph.inputs[0].id,
        "Back at the picture",
        "The gradient of the error with respect to every pixel.",
    )


def run(chosen: argparse.Namespace) -> int:
    """Draw the tour into ``chosen.out``; raises OSError when the folder cannot be written."""
    out: Path = chosen.out
    out.mkdir(parents=True, exist_ok=True)
    application()
    with tempfile.TemporaryDirectory() as home:
        window = offscreen_window(Settings(Path(home) / "settings.json"), Path(home))
        pages: list[tuple[Stop, str, str]] = []
        stops = []
        for name, plan in (("lenet5", lenet_stops), ("resnet-digits", residual_stops)):
            window.controller.open_shipped(name)
            document = window.document
            stops += list(plan(document.graph, document.operations))
        opened = ""
        for number, stop in enumerate(stops, 1):
            if stop.network != opened:
                window.controller.open_shipped(stop.network)
                opened = stop.network
                settle()
                window.canvas.fit()
            window.controller.go_to(stop.position)
            window.controller.select({stop.selected})
            settle()
            name = f"{number:02d}-{stop.network}-{stop.selected.replace('/', '-')}.png"
            save_picture(window, out / name)
            pages.append((stop, name, window.narration.sentence.text))
            print(f"[{number}/{len(stops)}] {name}  {stop.title}", flush=True)
        window.close()
        settle()
    with replacing(out / "index.html") as file:
        file.write(_page(pages).encode())
    print(f"Open {out / 'index.html'}", file=sys.stdout)
    return 0


def settle() -> None:
    """Let the windows lay themselves out and finish what they do in slices."""
    for _ in range(4):
        QApplication.processEvents()


def offscreen_window(settings: Settings, home: Path) -> Window:
    """A window laid out and painted as on a screen, but never put on one."""
    window = Window(settings)
    window.setAttribute(Qt.WidgetAttribute.WA_DontShowOnScreen)
    window.controller.unsaved.path = home / "unsaved.gflow"
    window.hint.hide()
    window.resize(*SIZE)
    window.show()
    settle()
    return window


def save_picture(window: Window, path: Path) -> None:
    """Write what the window shows as a PNG; raises OSError."""
    settle()
    data = QByteArray()
    buffer = QBuffer(data)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    window.grab().save(buffer, "PNG")
    with replacing(path) as file:
        file.write(data.data())


def _page(pages: list[tuple[Stop, str, str]]) -> str:
    parts = [
        "<!doctype html><html lang='en'><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width'>",
        "<title>Gradient Flow Explorer: one digit, forward and backward</title>",
        "<style>body{font:16px/1.5 sans-serif;max-width:1200px;margin:2rem auto;padding:0 1rem;"
        "color:#1c2430;background:#f7f8fa}img{width:100%;border:1px solid #ccd2dc;"
        "border-radius:6px}section{margin:0 0 3rem}p.said{font-size:18px}</style>",
        "<h1>One digit, forward and backward</h1>",
        "<p>Every picture is the program's own window; every number in it was computed.</p>",
    ]
    for stop, name, said in pages:
        parts.append(
            f"<section><h2>{html.escape(stop.title)}</h2><p>{html.escape(stop.text)}</p>"
            f"<img src='{html.escape(name)}' alt='{html.escape(stop.title)}'>"
            f"<p class='said'>{html.escape(said)}</p></section>"
        )
    return "\n".join(parts) + "</html>\n"
