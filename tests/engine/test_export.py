"""One function writes all formats, compares, tells how far it is, and can be ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest

from engine.architectures import ARCHITECTURES
from engine.export import (
    DEFAULT_OPSET,
    FORMS,
    NEWEST_OPSET,
    OLDEST_OPSET,
    ExportOptions,
    export,
)
from engine.onnx import ExportError, comparison, writer
from engine.parameters import initial_parameters
from engine.scripts.base import ScriptError
from engine.scripts.files import FORMS as SCRIPTS

GRAPH = ARCHITECTURES["resnet-digits"].build()
PARAMETERS = initial_parameters(GRAPH, 0)


def test_every_form_has_a_writer() -> None:
    assert set(FORMS) == {"onnx", *SCRIPTS}
    assert OLDEST_OPSET <= DEFAULT_OPSET <= NEWEST_OPSET


def test_options_survive_being_stored() -> None:
    options = ExportOptions("keras", 15, 4, "remove", merge_norms=True, compare=False)
    assert ExportOptions.from_dict(options.as_dict()) == options
    assert ExportOptions.from_dict({}) == ExportOptions()


@pytest.mark.parametrize(
    "stored",
    [
        {"form": "pdf"},
        {"form": ["onnx"]},
        {"opset": "17"},
        {"opset": True},
        {"opset": 3},
        {"batch": 0},
        {"batch": 1.5},
        {"softmax": None},
        {"merge_norms": "yes"},
        {"compare": {}},
        {"unknown": 1},
    ],
)
def test_what_makes_no_sense_becomes_the_default(stored: dict[str, Any]) -> None:
    assert ExportOptions.from_dict(stored) == ExportOptions()


def test_it_tells_how_far_it_is(tmp_path: Path) -> None:
    told: list[tuple[str, float]] = []
    path = tmp_path / "net.onnx"
    found = export(path, GRAPH, PARAMETERS, progress=lambda *at: told.append(at))
    assert told[0] == ("write", 0.0) and told[-2:] == [("write", 1.0), ("compare", 0.0)]
    assert found.files == (path,) and found.unchecked == ""
    check = found.check
    assert check is not None and check.agrees and check.outputs == 1
    assert 0 < check.difference < 1e-4 * check.largest
    assert check.relative == pytest.approx(check.difference / check.largest)
    assert export(path, GRAPH, PARAMETERS, ExportOptions(compare=False)).check is None


def test_what_ends_it_while_it_writes_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(b"old")

    def enough(stage: str, share: float) -> None:
        if share == 1.0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(path, GRAPH, PARAMETERS, progress=enough)
    assert path.read_bytes() == b"old" and not list(tmp_path.glob(".*"))

    def later(stage: str, share: float) -> None:
        if stage == "compare":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(path, GRAPH, PARAMETERS, progress=later)
    onnx.checker.check_model(path)


def test_an_engine_that_cannot_run_the_file_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise RuntimeError("opset 28 is too new\n for me")

    monkeypatch.setattr(comparison, "_onnxruntime", refuse)
    found = export(tmp_path / "net.onnx", GRAPH, PARAMETERS)
    assert found.check is None and found.files[0].exists()
    assert found.unchecked == ("onnxruntime does not run the file: opset 28 is too new for me")


def test_errors_are_those_of_the_writer(tmp_path: Path) -> None:
    wrong = GRAPH.disconnect(GRAPH.nodes[1].id, 0)
    with pytest.raises(ExportError, match="expected 1 connected input"):
        export(tmp_path / "net.onnx", wrong, PARAMETERS)
    with pytest.raises(ScriptError, match="Then export again"):
        export(tmp_path / "net.py", wrong, PARAMETERS, ExportOptions("pytorch"))
    assert not list(tmp_path.glob("net*"))


def test_the_file_of_large_weights_is_named_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "INLINE_LIMIT", 2000)
    path = tmp_path / "net.onnx"
    found = export(path, GRAPH, PARAMETERS)
    assert found.files == (path, tmp_path / "net.onnx.data") and found.files[1].exists()
    assert found.check is not None and found.check.agrees
