"""ARCHITECTURE's "Where to add a layer", followed to the letter with files in another folder.

One layer has an ONNX operator and a fast way to say all that is asked; the other has none.
"""

from __future__ import annotations

import importlib
import pydoc
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot

import engine
import engine.layers
from engine.explain import origin
from engine.fields import receptive_field
from engine.flow import flow_of
from engine.gradient_check import gradient_check
from engine.graph import Graph
from engine.layers.base import REGISTRY, HyperparameterError, ShapeError
from engine.onnx.writer import ExportError, export_onnx
from engine.parameters import initial_parameters
from engine.plan import Batch, exhaust
from engine.plan import compile as compile_plan
from engine.project_file import Project, load, save
from engine.trace import Trace
from explorer.canvas.facts import icon_of
from explorer.narration import sentence
from explorer.panels import Inspector, Palette, Properties
from explorer.panels.icons import icon_name
from explorer.panels.palette import mime_of

ROOT = Path(__file__).parents[1]

FADE = '''
"""A layer that a test adds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.layers.base import (
    Array, Ctx, Grads, Layer, OnnxOp, Record, Result, Spec, Term, Terms, expect_rank, hyper,
)


@dataclass(frozen=True)
class Fade(Layer):
    """Lets small numbers pass and squeezes large ones below 1. It is for a test.

    y = x / (1 + |x|)

    Gradient: dx = dy / (1 + |x|)².

    Source: Turian, Bergstra & Bengio 2009.
    """

    title: ClassVar[str] = "Fade"
    category: ClassVar[str] = "Activation"
    slug: ClassVar[str] = "fade"

    steepness: float = hyper(1.0, "How soon it squeezes.", low=0.5, high=4.0)

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        expect_rank(specs, 4, "Fade", "Put it before the Flatten.")
        return (specs[0],)

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        return Result((xs[0] / (1 + np.abs(xs[0])),), {"x": xs[0]})

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx = Ctx(),
    ) -> Grads:
        return Grads((dys[0] / np.square(1 + np.abs(saved["x"])) if need[0] else None,))

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        x = float(rec.xs[0][cell])
        return Terms((Term(("input", 0, cell), x, 1 / (1 + abs(x)), "1 / (1 + |x|)"),), "sum", "x")

    def feeds(self, cell: tuple[int, ...], rec: Record, slot: int = 0) -> Terms:
        dy, x = rec.dys[0], float(rec.xs[0][cell])
        if dy is None:
            return Terms((), "sum")
        slope = 1 / (1 + abs(x)) ** 2
        return Terms((Term(("output_grad", 0, cell), float(dy[cell]), slope),), "sum", "dy")

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp("Softsign")
'''

# The same without an ONNX form, and for tensors of any rank.
SILENT = (
    FADE.replace("class Fade", "class SilentFade")
    .replace('"Fade"', '"Silent fade"')
    .replace('"fade"', '"silentfade"')
    .replace('        expect_rank(specs, 4, "Silent fade", "Put it before the Flatten.")\n', "")
)
SILENT = SILENT[: SILENT.index("    @property\n    def onnx")]


@pytest.fixture
def dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """The two layers, from files in a folder that counts as engine/layers; gone afterwards."""
    before = dict(REGISTRY)
    folder = tmp_path / "layers"
    folder.mkdir()
    (folder / "fade.py").write_text(FADE, encoding="utf-8")
    (folder / "silent_fade.py").write_text(SILENT, encoding="utf-8")
    monkeypatch.setattr(engine.layers, "__path__", [*engine.layers.__path__, str(folder)])
    importlib.invalidate_caches()
    try:
        modules = [importlib.import_module(f"engine.layers.{n}") for n in ("fade", "silent_fade")]
        yield SimpleNamespace(Fade=modules[0].Fade, SilentFade=modules[1].SilentFade)
    finally:
        for name in ("fade", "silent_fade"):
            sys.modules.pop(f"engine.layers.{name}", None)
            vars(engine.layers).pop(name, None)
        for kind in ("Fade", "SilentFade"):
            REGISTRY.pop(kind, None)
            vars(engine).pop(kind, None)
        assert before == REGISTRY


def network(layer: Any) -> Graph:
    return engine.sequential(
        (1, 6, 6), engine.Conv2d(2, 3), layer, engine.Flatten(), engine.Linear(3)
    )


def traced(graph: Graph) -> tuple[Trace, dict[tuple[str, str], Any], Any]:
    parameters = initial_parameters(graph, seed=1)
    x = np.random.default_rng(0).standard_normal((1, 1, 6, 6)).astype("float32")
    trace = Trace()
    plan = compile_plan(graph, parameters, mode="eval")
    exhaust(plan.run(Batch.of(graph, x, np.array([1])), trace=trace))
    return trace, parameters, x


def test_it_runs_and_its_gradient_is_right(dropped: SimpleNamespace) -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 4))
    assert gradient_check(dropped.Fade(), (x,)).passed
    graph = network(dropped.Fade())
    trace, _, _ = traced(graph)
    before, after = (trace.look("value", (n, 0)) for n in ("conv1", "fade1"))
    assert before is not None
    np.testing.assert_allclose(after, before / (1 + np.abs(before)), rtol=1e-6)
    assert trace.look("grad", ("image", 0)) is not None


def test_it_explains_itself(dropped: SimpleNamespace) -> None:
    graph = network(dropped.Fade())
    trace, _, _ = traced(graph)
    cell = engine.Cell("fade1", 0, (1, 2, 3))
    for direction in ("forward", "gradient"):
        found = origin(graph, trace, len(trace), cell, direction)
        assert found is not None and found.total == pytest.approx(found.value, rel=1e-5)
    assert receptive_field(graph, cell)["image", 0].box == ((0, 1), (2, 5), (3, 6))
    assert next(f for f in flow_of(graph, trace) if f.name == "fade1").gradient is not None
    for position, step in enumerate(trace.steps, 1):
        if step.node == "fade1":
            assert "fade1" in sentence(graph, trace, position).text


def test_it_is_checked(dropped: SimpleNamespace) -> None:
    with pytest.raises(HyperparameterError, match=r"Fade.steepness: expected at most 4, rec.* 9"):
        dropped.Fade(steepness=9.0)
    graph = Graph(
        (engine.Input("image", (4,)),), (engine.Node("f", dropped.Fade(), (("image", 0),)),)
    )
    assert isinstance(graph.infer().errors["f"], ShapeError)
    assert REGISTRY["Fade"] is dropped.Fade is engine.Fade
    assert "Fade" in dir(engine)


def test_it_comes_back_from_a_project_file(dropped: SimpleNamespace, tmp_path: Path) -> None:
    graph = network(dropped.Fade(2.0))
    parameters = initial_parameters(graph, 1)
    save(Project(graph, parameters), tmp_path / "mine.gflow")
    opened = load(tmp_path / "mine.gflow")
    assert opened.graph == graph
    assert opened.graph.node("fade1").layer == dropped.Fade(2.0)


def test_a_program_without_it_says_so(dropped: SimpleNamespace, tmp_path: Path) -> None:
    graph = network(dropped.Fade())
    save(Project(graph, initial_parameters(graph, 1)), tmp_path / "mine.gflow")
    del REGISTRY["Fade"]
    with pytest.raises(ValueError, match="Fade"):
        load(tmp_path / "mine.gflow")


def test_it_is_exported_where_it_is_mapped(dropped: SimpleNamespace, tmp_path: Path) -> None:
    graph = network(dropped.Fade())
    trace, parameters, x = traced(graph)
    export_onnx(graph, parameters, tmp_path / "mine.onnx", batch=1)
    session = onnxruntime.InferenceSession(str(tmp_path / "mine.onnx"))
    (scores,) = session.run(None, {session.get_inputs()[0].name: x})
    expected = trace.look("value", ("fc1", 0))
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5)
    silent = network(dropped.SilentFade())
    with pytest.raises(ExportError, match="silentfade1: expected a layer with an ONNX form"):
        export_onnx(silent, parameters, tmp_path / "silent.onnx")
    assert not (tmp_path / "silent.onnx").exists()


def test_palette_and_properties_show_it(dropped: SimpleNamespace, qtbot: QtBot) -> None:
    palette, asked = Palette(), []
    qtbot.addWidget(palette)
    palette.show()
    palette.add_requested.connect(asked.append)
    (item,) = palette.tree.findItems(
        "Fade", Qt.MatchFlag.MatchExactly | Qt.MatchFlag.MatchRecursive
    )
    group = item.parent()
    assert group is not None and group.text(0) == "Activation"
    assert item.toolTip(0).startswith("Lets small numbers pass and squeezes large ones below 1.")
    assert not item.icon(0).isNull()
    assert icon_name("Fade") == icon_of(dropped.Fade()) == "layer"  # the glyph of any layer
    QTest.keyClicks(palette.search, "fade")
    qtbot.keyClick(palette.search, Qt.Key.Key_Return)
    assert asked == [dropped.Fade()]
    assert mime_of(asked[0]).text() == "Fade"

    graph = network(dropped.Fade())
    inference = graph.infer()
    properties = Properties()
    qtbot.addWidget(properties)
    properties.show()
    node = graph.node("fade1")
    specs = inference.specs
    properties.set_node(node, (specs["conv1", 0],), (specs["fade1", 0],), None, None)
    assert properties.fields["steepness"].value() == 1.0
    shown = [label.text() for label in properties.findChildren(QLabel)]
    assert any(text.startswith("Lets small numbers pass") for text in shown)


def test_its_documentation_is_found(dropped: SimpleNamespace, qtbot: QtBot) -> None:
    text = pydoc.plain(pydoc.render_doc(engine.Fade))
    for words in ("y = x / (1 + |x|)", "Gradient: dx = dy", "Source: Turian", "steepness"):
        assert words in text
    assert "Fade" in dir(engine) and dropped.Fade is engine.Fade
    inspector = Inspector()
    qtbot.addWidget(inspector)
    graph = network(dropped.Fade())
    inspector.set_run(graph, graph.infer(), None, 0, "fade1")
    inspector.show()
    assert "Gradient: dx = dy / (1 + |x|)²." in inspector.about.text()
    assert inspector.formula.text() == "y = x / (1 + |x|)"


def test_a_file_dropped_into_the_folder_is_found(tmp_path: Path) -> None:
    shutil.copytree(
        ROOT / "engine", tmp_path / "engine", ignore=shutil.ignore_patterns("__pycache__")
    )
    (tmp_path / "engine" / "layers" / "fade.py").write_text(FADE, encoding="utf-8")
    script = "import engine; print(engine.Fade.title, engine.Fade(2.0).steepness, engine.__file__)"
    out = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert out.stdout.split() == ["Fade", "2.0", str(tmp_path / "engine" / "__init__.py")]


def test_architecture_describes_the_way() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    section = text.split("### Where to add a layer")[1].split("###")[0]
    named = set(re.findall(r"`(\w+)`", section))
    assert named >= {"outputs", "parameters", "forward", "backward", "reads", "feeds", "extent"}
    assert "onnx" in named
    assert "tests/test_add_layer.py" in section
