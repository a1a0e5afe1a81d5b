"""A network as files for other programs: ONNX, or a script for PyTorch or Keras."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from engine.data.preprocessing import Preprocessing
from engine.graph import Graph
from engine.parameters import Parameters

Form = Literal["onnx", "pytorch", "keras"]
SoftmaxChoice = Literal["keep", "add", "remove"]
FORMS: Mapping[Form, tuple[str, str]] = {
    "onnx": ("ONNX", ".onnx"),
    "pytorch": ("PyTorch", ".py"),
    "keras": ("Keras", ".py"),
}
"""By form its name and the suffix of its file."""
DEFAULT_OPSET = 17
"""Read by every onnxruntime since 2022, and by the other runtimes in use."""
OLDEST_OPSET = 13
NEWEST_OPSET = 28
"""The newest that can be chosen in the window; a test compares it with onnx's own."""

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class ExportOptions:
    """What is written. All but ``form`` is about ONNX; see ``engine.onnx.export_onnx``.

    ``batch``: None for any number of samples. ``compare``: run the file by another engine.
    """

    form: Form = "onnx"
    opset: int = DEFAULT_OPSET
    batch: int | None = None
    softmax: SoftmaxChoice = "keep"
    merge_norms: bool = False
    compare: bool = True

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for settings."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ExportOptions:
        """The options that ``as_dict`` gave; what makes no sense becomes the default."""
        plain = cls()
        known: dict[str, Callable[[Any], bool]] = {
            "form": lambda v: v in FORMS,
            "opset": lambda v: type(v) is int and v >= OLDEST_OPSET,
            "batch": lambda v: v is None or (type(v) is int and v >= 1),
            "softmax": lambda v: v in ("keep", "add", "remove"),
            "merge_norms": lambda v: isinstance(v, bool),
            "compare": lambda v: isinstance(v, bool),
        }
        made = {}
        for entry in fields(cls):
            value = data.get(entry.name, getattr(plain, entry.name))
            hashable = isinstance(value, str | int | bool | None)
            made[entry.name] = (
                value if hashable and known[entry.name](value) else getattr(plain, entry.name)
            )
        return cls(**made)


@dataclass(frozen=True)
class Check:
    """How far another engine's numbers are from ours, over all outputs of the file.

    ``difference`` is the largest, ``largest`` the largest number of that output, ``relative``
    the largest difference as a share of the largest number of its output.
    """

    engine: str
    samples: int
    outputs: int
    difference: float
    largest: float
    relative: float
    agrees: bool


@dataclass(frozen=True)
class Exported:
    """Files that were written, the named one first, and the comparison where one was made.

    ``unchecked`` says why there is none although it was asked for.
    """

    files: tuple[Path, ...]
    check: Check | None = None
    unchecked: str = ""


def export(
    path: Path,
    graph: Graph,
    parameters: Parameters,
    options: ExportOptions = ExportOptions(),
    *,
    preprocessing: Preprocessing | None = None,
    metadata: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Exported:
    """Write the network to ``path``, and compare an ONNX file with what it was made of.

    ``progress(stage, share)`` is called with "write" and "compare" and a share from 0 to 1; what
    it raises while writing leaves old files as they were, while comparing the files are there.
    Raises ExportError or ScriptError (both ValueError): see what writes that form.
    """
    from engine.muting import without_muted

    graph = without_muted(graph)
    tell = progress or (lambda stage, share: None)
    tell("write", 0.0)
    if options.form != "onnx":
        from engine.scripts.files import write_script

        texts = {
            key: value if isinstance(value, str) else json.dumps(value, default=str)
            for key, value in (metadata or {}).items()
            if key != "node_names"
        }
        written = write_script(path, options.form, graph, parameters, preprocessing, texts)
        return Exported(tuple(written))
    from engine.onnx import export_onnx

    model = export_onnx(
        graph,
        parameters,
        path,
        opset=options.opset,
        batch=options.batch,
        softmax=options.softmax,
        merge_norms=options.merge_norms,
        preprocessing=preprocessing,
        metadata=metadata,
        progress=lambda done, total: tell("write", done / max(1, total)),
    )
    beside = Path(f"{path}.data")
    away = any(t.external_data for t in model.graph.initializer)
    files = (path, beside) if away else (path,)
    if not options.compare:
        return Exported(files)
    tell("compare", 0.0)
    try:
        return Exported(files, _check(path, graph, parameters, options))
    except ValueError as error:
        return Exported(files, None, str(error))


def _check(path: Path, graph: Graph, parameters: Parameters, options: ExportOptions) -> Check:
    from engine.onnx.report import report

    found = report(path, graph, parameters, softmax=options.softmax)
    worst = max(found.rows, key=lambda row: row.difference)
    return Check(
        found.other,
        found.samples,
        len(found.rows),
        worst.difference,
        worst.largest,
        max(row.share for row in found.rows),
        found.agrees,
    )
