"""The command check: a network by this engine and by another one, compared."""

from __future__ import annotations

import argparse
from pathlib import Path

from engine.cli.common import (
    NETWORK_HELP,
    ONNX_SUFFIX,
    Commands,
    NetworkError,
    add_shape,
    new_parser,
    open_network,
    open_onnx,
    whole_number,
)


def add_check(commands: Commands) -> None:
    parser = new_parser(
        commands,
        "check",
        summary="compare a network's outputs with those of another engine",
        description=(
            "Run an ONNX file (or a network, exported in memory) on random numbers by this\n"
            "engine and by onnxruntime, where that is installed, else by onnx's reference\n"
            "evaluator; print the largest absolute and relative difference of every output."
        ),
        example="%(prog)s model.onnx --samples 3",
        codes="  1    also when the outputs differ by more than 1e-4 of the largest number\n",
    )
    parser.add_argument("network", metavar="NETWORK", help=NETWORK_HELP)
    add_shape(parser)
    parser.add_argument(
        "--samples", type=whole_number, default=2, help="how many at a time (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=whole_number, default=0, help="of the inputs (default: %(default)s)"
    )
    parser.add_argument(
        "--reference", action="store_true", help="use onnx's reference evaluator in any case"
    )
    parser.set_defaults(run=_run_check)


def _run_check(chosen: argparse.Namespace) -> int:
    from engine.muting import without_muted
    from engine.onnx import export_onnx, read
    from engine.onnx.comparison import compare, random_inputs

    if chosen.samples < 1:
        raise NetworkError(f"--samples: expected at least 1, received {chosen.samples}.")
    source: str | bytes = chosen.network
    if Path(chosen.network).suffix.lower() == ONNX_SUFFIX:
        imported = open_onnx(chosen.network, chosen.shape)
    else:
        project = open_network(chosen.network)
        source = export_onnx(without_muted(project.graph), project.parameters).SerializeToString()
        imported = read(source)
    if imported.problems:
        missing = ", ".join(imported.missing())
        raise NetworkError(
            f"{chosen.network}: expected operators that this program has, received {missing}. "
            "The command inspect says more."
        )
    inputs = random_inputs(imported, chosen.samples if imported.samples_free else 1, chosen.seed)
    try:
        found = compare(source, imported, inputs, reference=chosen.reference)
    except ValueError:
        if chosen.samples == 1 or isinstance(source, bytes):
            raise
        # a file may be written for one number of samples only
        inputs = random_inputs(imported, 1, chosen.seed)
        found = compare(source, imported, inputs, reference=chosen.reference)
    print(f"{imported.graph.name}: {found.samples} samples, compared with {found.other}")
    for row in found.rows:
        size = "×".join(map(str, row.shape)) or "1"
        verdict = "agrees" if row.agrees else "DIFFERS"
        print(
            f"{row.name}  {size}  largest difference {row.difference:.3g} of {row.largest:.3g} "
            f"({row.share:.1e})  {verdict}"
        )
    return 0 if found.agrees else 1
