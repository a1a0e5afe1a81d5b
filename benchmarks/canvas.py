"""How long the canvas takes for large networks, next to a bare scene of as many shapes.

A frame is one paint of the whole view onto an image, measured in processor time, so that other
work on the machine does not count. The bare scene is a QGraphicsScene of as many outlined,
antialiased rectangles and lines at the same places. Both take turns in one process.

    python -m benchmarks.canvas             all cases
    python -m benchmarks.canvas --json FILE
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPen
from PySide6.QtWidgets import QGraphicsScene, QGraphicsView

from engine.graph import Graph, Input, Node, Ref
from engine.layers.add import Add
from engine.layers.conv2d import Conv2d
from engine.layers.relu import ReLU
from explorer import theme
from explorer.app import application
from explorer.canvas import Canvas, place
from explorer.controller import Controller
from explorer.document import Document
from explorer.settings import Settings

NODES = 900
SIZE = (1600, 900)
clock = time.process_time


def residual_chain(nodes: int) -> Graph:
    """Blocks of three layers with a skip each."""
    made: list[Node] = []
    ref: Ref = ("image", 0)
    for i in range(nodes // 4):
        made += [
            Node(f"b{i}/conv1", Conv2d(8, 3, padding=1), (ref,)),
            Node(f"b{i}/relu", ReLU(), ((f"b{i}/conv1", 0),)),
            Node(f"b{i}/conv2", Conv2d(8, 3, padding=1), ((f"b{i}/relu", 0),)),
            Node(f"b{i}/add", Add(), ((f"b{i}/conv2", 0), ref)),
        ]
        ref = (f"b{i}/add", 0)
    return Graph((Input("image", (8, 16, 16)),), tuple(made), (("out", ref),))


def bare(canvas: Canvas) -> QGraphicsView:
    """As many rectangles and lines as the canvas has cards and edges, where they are."""
    scene = QGraphicsScene()
    outline, fill = QPen(QColor("#888"), 1), QColor("#fff")
    for edge in canvas.network.edges.values():
        scene.addLine(
            edge.route.start.x(), edge.route.start.y(), edge.route.end.x(), edge.route.end.y()
        ).setPen(outline)
    for item in canvas.network.items_by_id.values():
        scene.addRect(item.scene_rect(), outline, fill)
    view = QGraphicsView(scene)
    scene.setParent(view)  # a view does not keep its scene alive
    view.setRenderHint(QPainter.RenderHint.Antialiasing)
    view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    view.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    view.resize(*SIZE)
    view.show()
    return view


def frame(view: QGraphicsView, image: QImage) -> float:
    """Milliseconds of one paint of the whole view."""
    start = clock()
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    view.render(painter, QRectF(image.rect()), view.viewport().rect())
    painter.end()
    return (clock() - start) * 1e3


def follow(peer: QGraphicsView, canvas: Canvas) -> None:
    """Let the bare scene show the same part at the same size."""
    peer.setTransform(canvas.transform())
    peer.centerOn(canvas.mapToScene(canvas.viewport().rect().center()))


def middle(values: Sequence[float]) -> dict[str, float]:
    low, median, high = statistics.quantiles(values, n=4)
    return {"median": median, "low": low, "high": high}


def differing(view: QGraphicsView, image: QImage) -> int:
    """Pixels that are not of the colour of the upper left corner."""
    image.fill(QColor("#fff"))
    frame(view, image)
    pixels = np.frombuffer(image.constBits(), np.uint32)
    return int((pixels != pixels[0]).sum())


def frames(app: Any, canvas: Canvas, zooming: bool, rounds: int) -> dict[str, Any]:
    peer, image = bare(canvas), QImage(*SIZE, QImage.Format.Format_RGB32)
    canvas.fit()
    fitted = canvas.zoom
    peer.setSceneRect(canvas.sceneRect())
    follow(peer, canvas)
    ours, theirs = [], []
    for number in range(rounds + 5):
        if zooming:
            zoom = fitted * (1 + 0.04 * (number % 10))
            canvas.set_zoom(zoom)
            follow(peer, canvas)
        app.processEvents()
        a, b = frame(canvas, image), frame(peer, image)
        if number >= 5:
            ours.append(a)
            theirs.append(b)
    ratio = [a / b for a, b in zip(ours, theirs, strict=True)]
    ink = [differing(canvas, image), differing(peer, image)]
    if min(ink) < 10_000:
        raise SystemExit(f"expected both to draw their shapes, received {ink} inked pixels")
    peer.close()
    return {"ours_ms": middle(ours), "bare_ms": middle(theirs), "ratio": middle(ratio)}


def insertion(app: Any, rounds: int, folded: bool) -> dict[str, Any]:
    """From the request to put a layer into DenseNet-201 until document and canvas are right.

    ``folded`` into its blocks, as it opens, or with all 709 cards.
    """
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GRADIENT_FLOW_HOME"] = folder
        document = Document()
        control = Controller(document, Settings(Path(folder) / "settings.json"))
        canvas = Canvas()
        canvas.resize(*SIZE)
        canvas.show()

        def show() -> None:
            d = document
            canvas.set_network(d.graph, d.layout, d.inference, d.costs, d.folded)

        document.network_changed.connect(show)
        document.folded_changed.connect(show)
        control.projects.open_architecture("densenet201")
        while len(document.graph.nodes) < 700:
            app.processEvents()
        if not folded:
            control.folds.unfold_all()
        app.processEvents()
        cards = len(canvas.network.items_by_id)
        if (cards < 100) != folded:
            raise SystemExit(f"expected the network folded: {folded}, received {cards} cards")
        took = []
        for number in range(rounds):
            key = ("loss", 0) if folded else (document.graph.nodes[100 + 7 * number].id, 0)
            start = clock()
            control.adding.insert_layer(ReLU(), *key, 0.0, 0.0)
            took.append((clock() - start) * 1e3)
            app.processEvents()
        control.close()
    return {"ms": middle(took)}


def layout(rounds: int) -> dict[str, Any]:
    graph = residual_chain(NODES)
    took = []
    for _ in range(rounds):
        start = clock()
        place(graph)
        took.append((clock() - start) * 1e3)
    return {"ms": middle(took)}


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures for machines")
    chosen = parser.parse_args(words)
    app = application()
    theme.set_mode("light")
    graph = residual_chain(NODES)
    canvas = Canvas()
    canvas.resize(*SIZE)
    inferred = graph.infer()
    canvas.set_network(graph, place(graph), inferred, graph.costs(inferred.specs))
    canvas.show()
    app.processEvents()
    results: dict[str, Any] = {}
    cases: list[tuple[str, str, Callable[[], dict[str, Any]]]] = [
        ("frame", "goal 8 ms, 2.5 times", lambda: frames(app, canvas, False, chosen.rounds)),
        ("zooming", "goal 8 ms, 2.5 times", lambda: frames(app, canvas, True, chosen.rounds)),
        ("insertion", "goal 50 ms", lambda: insertion(app, min(15, chosen.rounds), False)),
        ("folded", "goal 50 ms", lambda: insertion(app, min(15, chosen.rounds), True)),
        ("layout", "goal 500 ms", lambda: layout(5)),
    ]
    for name, goal, case in cases:
        found = results[name] = case()
        for what, value in found.items():
            line = f"{value['median']:.2f} ({value['low']:.2f} to {value['high']:.2f})"
            print(f"{name:10} {what:8} {line:28} {goal}")
    if chosen.json:
        chosen.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
