"""The command export: a network as an ONNX file, or as a script for PyTorch or Keras."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from engine.cli.common import (
    NETWORK_HELP,
    Commands,
    NetworkError,
    new_parser,
    open_network,
    whole_number,
    writable,
)

if TYPE_CHECKING:
    from engine.project_file import Project


def add_export(commands: Commands) -> None:
    parser = new_parser(
        commands,
        "export",
        summary="write a network as an ONNX file, or as a PyTorch or Keras script",
        description=(
            "Write a network with its weights as an ONNX file that other runtimes read, with how\n"
            "pictures become its input in the file's metadata; or, with --format pytorch or\n"
            "keras, as a short script with the weights beside it in a .safetensors file."
        ),
        example="%(prog)s lenet5 --out lenet5.onnx",
    )
    parser.add_argument("network", metavar="NETWORK", help=NETWORK_HELP)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="file to write")
    parser.add_argument(
        "--format",
        choices=("onnx", "pytorch", "keras"),
        help="what to write (default: onnx, or pytorch for a FILE that ends in .py)",
    )
    parser.add_argument("--opset", type=whole_number, help="version of ONNX's operators")
    parser.set_defaults(run=_run_export)


def _run_export(chosen: argparse.Namespace) -> int:
    form = chosen.format or ("pytorch" if chosen.out.suffix == ".py" else "onnx")
    if form != "onnx" and chosen.opset is not None:
        raise NetworkError(f"--opset: expected with ONNX only, received with {form}. Leave it out.")
    project = open_network(chosen.network)
    out = writable(chosen.out)
    if form == "onnx":
        written = _onnx(project, out, chosen.opset)
    else:
        written = _script(project, out, form)
    for path in written:
        print(f"wrote {path} ({path.stat().st_size:,} bytes)")
    return 0


def _onnx(project: Project, out: Path, opset: int | None) -> list[Path]:
    from engine.onnx import DEFAULT_OPSET, export_onnx

    export_onnx(
        project.graph,
        project.parameters,
        out,
        preprocessing=project.preprocessing,
        metadata=project.metadata,
        opset=DEFAULT_OPSET if opset is None else opset,
    )
    return [out]


def _script(project: Project, out: Path, form: str) -> list[Path]:
    from engine.scripts.files import write_script

    metadata = {
        key: value if isinstance(value, str) else json.dumps(value, default=str)
        for key, value in project.metadata.items()
    }
    return write_script(
        out, form, project.graph, project.parameters, project.preprocessing, metadata
    )
