"""The command export: a network as an ONNX file."""

from __future__ import annotations

import argparse
from pathlib import Path

from engine.cli.common import (
    NETWORK_HELP,
    Commands,
    new_parser,
    open_network,
    whole_number,
    writable,
)


def add_export(commands: Commands) -> None:
    parser = new_parser(
        commands,
        "export",
        summary="write a network as an ONNX file",
        description=(
            "Write a network with its weights as an ONNX file that other runtimes read. How\n"
            "pictures become its input is in the file's metadata."
        ),
        example="%(prog)s lenet5 --out lenet5.onnx",
    )
    parser.add_argument("network", metavar="NETWORK", help=NETWORK_HELP)
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="ONNX file to write"
    )
    parser.add_argument("--opset", type=whole_number, help="version of ONNX's operators")
    parser.set_defaults(run=_run_export)


def _run_export(chosen: argparse.Namespace) -> int:
    from engine.onnx import export_onnx

    project = open_network(chosen.network)
    out = writable(chosen.out)
    options = {} if chosen.opset is None else {"opset": chosen.opset}
    export_onnx(
        project.graph,
        project.parameters,
        out,
        preprocessing=project.preprocessing,
        metadata=project.metadata,
        **options,
    )
    print(f"wrote {out} ({out.stat().st_size:,} bytes)")
    return 0
