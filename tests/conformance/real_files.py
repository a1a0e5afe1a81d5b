"""Open ONNX files that ship inside packages, compare with onnxruntime, and step them backward.

The packages are fetched by name when this is run; nothing of them is part of the project::

    python tests/conformance/real_files.py

Ends with 1 when something does not hold.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from engine.graph import Loss
from engine.onnx import Imported, read
from engine.onnx.comparison import compare, random_inputs
from engine.plan import Batch, compile, exhaust
from engine.runnable import runnable
from engine.score import Score


@dataclass(frozen=True)
class File:
    """A file in a package, what it is, and the sizes that it leaves open."""

    package: str
    name: str
    what: str
    shapes: dict[str, tuple[int, ...]]
    complete: bool = True


FILES = (
    File(
        "rapidocr-onnxruntime",
        "ch_ppocr_mobile_v2.0_cls_infer.onnx",
        "a MobileNet-like classifier of text directions",
        {"x": (3, 48, 192)},
    ),
    File(
        "rapidocr-onnxruntime",
        "ch_PP-OCRv4_det_infer.onnx",
        "a segmentation network that finds text",
        {"x": (3, 96, 128)},
    ),
    File(
        "rapidocr-onnxruntime",
        "ch_PP-OCRv4_rec_infer.onnx",
        "a reader of text with attention",
        {"x": (3, 48, 160)},
    ),
    File("nudenet", "320n.onnx", "a YOLO detector with its head", {"images": (3, 320, 320)}),
    File(
        "silero-vad",
        "silero_vad_16k_op15.onnx",
        "a recurrent network with branches, which are not known here",
        {"input": (576,), "state": (2, 1, 128)},
        complete=False,
    ),
)


def fetch(folder: Path) -> None:
    packages = sorted({file.package for file in FILES})
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "-q", "-d", str(folder)]
    subprocess.run([*command, *packages], check=True)
    for wheel in folder.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.namelist():
                if member.endswith(".onnx"):
                    (folder / Path(member).name).write_bytes(archive.read(member))


def gradient_error(imported: Imported) -> float:
    """The gradient of an output's sum against a difference along a direction, in float64."""
    graph = runnable(imported.graph)
    _, ref = graph.outputs[-1]
    # shares add up to 1 whatever the input is: ask the scores before them
    while type(graph.by_id[ref[0]].layer).__name__ in ("Softmax", "Identity", "Permute"):
        before = graph.by_id[ref[0]].inputs[0]
        assert before is not None
        ref = before
    graph = replace(graph, losses=(Loss("score", Score(), ref),))
    rng = np.random.default_rng(1)
    feed = {k: v.astype(float) for k, v in imported.feed(random_inputs(imported, 1, 0)).items()}
    owners = {node.owner for node in graph.nodes}
    parameters = {k: v for k, v in imported.parameters.items() if k[0] in owners}
    plan = compile(graph, parameters, batch=1, mode="eval", dtype="float64")
    target = {"score": np.zeros(1, int)}
    exhaust(plan.run(Batch(feed, target)))
    first = graph.inputs[0].id
    gradient = plan.gradient((first, 0))
    if gradient is None:
        return 0.0
    gradient = gradient.copy()
    direction = rng.standard_normal(gradient.shape)
    claimed = float((gradient * direction).sum())

    def score(x: np.ndarray) -> float:
        exhaust(plan.run(Batch({**feed, first: x}, target), backward=False))
        return float(plan.value(ref).sum())

    step = 1e-7
    x = feed[first]
    measured = (score(x + step * direction) - score(x - step * direction)) / (2 * step)
    scale = float(np.linalg.norm(gradient)) * float(np.linalg.norm(direction)) + 1e-12
    return abs(measured - claimed) / scale


def main() -> int:
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fetch(folder)
        for file in FILES:
            path = folder / file.name
            imported = read(path, shapes=file.shapes)
            print(f"{file.name}: {file.what}; {len(imported.graph.nodes)} layers")
            for note in imported.notes:
                print(f"  note: {note}")
            if file.complete:
                inputs = random_inputs(imported, 2 if imported.samples_free else 1, 0)
                found = compare(path, imported, inputs)
                for row in found.rows:
                    print(f"  {row.name}: largest difference {row.difference:.2g}, {found.other}")
                right = found.agrees and not imported.problems
            else:
                print(f"  missing: {imported.missing()}; {len(runnable(imported.graph).nodes)} run")
                right = bool(imported.missing())
            error = gradient_error(imported) if right and file.complete else 0.0
            print(f"  gradient against a difference: {error:.2g}")
            right = right and error < 1e-5
            print("  holds" if right else "  DOES NOT HOLD")
            failed += not right
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
