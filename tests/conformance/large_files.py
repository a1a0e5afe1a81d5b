"""Export, open and compare what is too large for the suite: whole galleries, and over 2 GB.

    python tests/conformance/large_files.py             every network of the gallery, at full size
    python tests/conformance/large_files.py --over-2gb  weights beside the model, 2.2 GB of disk

The first takes a few minutes and up to 4 GB of memory, the second about a minute and 8 GB. Ends
with 1 when something does not hold.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from engine.architectures import ARCHITECTURES
from engine.graph import Graph, Input, Node
from engine.layers.base import Array
from engine.layers.linear import Linear
from engine.onnx import export_onnx, read
from engine.onnx.comparison import compare, random_inputs
from engine.parameters import initial_parameters

SIDE = 16_384
"""Two layers of this many numbers each hold 2.1 GB of weights."""


def gallery(folder: Path) -> int:
    """How many networks of the gallery do not come back to onnxruntime's numbers."""
    failed = 0
    for name, architecture in ARCHITECTURES.items():
        begun = time.perf_counter()
        graph = architecture.build()
        path = folder / f"{name}.onnx"
        export_onnx(graph, initial_parameters(graph, 0), path)
        imported = read(path)
        found = compare(path, imported, random_inputs(imported, 1, 0))
        right = found.agrees and not imported.problems
        size = path.stat().st_size / 1e6
        path.unlink()
        worst = max(row.share for row in found.rows)
        seconds = time.perf_counter() - begun
        print(
            f"{name}: {size:,.1f} MB, largest difference {worst:.1e}, {seconds:.1f} s", flush=True
        )
        if not right:
            print("  DOES NOT HOLD")
            failed += 1
    return failed


def over_two_gigabytes(folder: Path) -> int:
    """1 unless weights that no ONNX file can hold come back from the file beside it."""
    graph = Graph(
        (Input("x", (SIDE,)),),
        (Node("a", Linear(SIDE), (("x", 0),)), Node("b", Linear(SIDE), (("a", 0),))),
        (("y", ("b", 0)),),
    )
    rng = np.random.default_rng(0)
    row = rng.standard_normal(SIDE).astype("float32") / SIDE
    # one row seen everywhere: the numbers cost nothing until they are written
    wide = np.broadcast_to(row, (SIDE, SIDE))
    parameters: dict[tuple[str, str], Array] = {}
    for layer in ("a", "b"):
        parameters[layer, "weight"] = wide
        parameters[layer, "bias"] = rng.standard_normal(SIDE).astype("float32")
    path = folder / "large.onnx"
    begun = time.perf_counter()
    export_onnx(graph, parameters, path)
    beside = folder / "large.onnx.data"
    print(
        f"written in {time.perf_counter() - begun:.1f} s: {path.stat().st_size:,} bytes, and "
        f"{beside.stat().st_size:,} beside it"
    )
    begun = time.perf_counter()
    imported = read(path)
    print(f"opened in {time.perf_counter() - begun:.1f} s")
    same = all(
        np.array_equal(imported.parameters[key][..., :3], parameters[key][..., :3])
        for key in parameters
    )
    found = compare(path, imported, random_inputs(imported, 1, 0))
    for line in found.rows:
        print(f"{line.name}: largest difference {line.share:.1e} of the largest, {found.other}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"most memory {peak:.1f} GB")
    holds = same and found.agrees and beside.stat().st_size > 1 << 31
    print("holds" if holds else "DOES NOT HOLD")
    return int(not holds)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--over-2gb", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        failed = over_two_gigabytes(Path(name)) if chosen.over_2gb else gallery(Path(name))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
