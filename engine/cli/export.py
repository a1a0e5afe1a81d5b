"""The command export: a network as an ONNX file, or as a script for PyTorch or Keras."""

from __future__ import annotations

import argparse
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
    from engine.export import Form


def add_export(commands: Commands) -> None:
    parser = new_parser(
        commands,
        "export",
        summary="write a network as an ONNX file, or as a PyTorch or Keras script",
        description=(
            "Write a network with its weights as an ONNX file that other runtimes read, with how\n"
            "pictures become its input in the file's metadata, and compare what another engine\n"
            "makes of it; or, with --format pytorch or keras, as a short\n"
            "script with the weights beside it in a .safetensors file."
        ),
        example="%(prog)s lenet5 --out lenet5.onnx",
        codes="  1    also when the file's outputs differ from the network's\n",
    )
    parser.add_argument("network", metavar="NETWORK", help=NETWORK_HELP)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="file to write")
    parser.add_argument(
        "--format",
        choices=("onnx", "pytorch", "keras"),
        help="what to write (default: onnx, or pytorch for a FILE that ends in .py)",
    )
    only = "ONNX only: "
    parser.add_argument(
        "--opset", type=whole_number, help=f"{only}version of the operators, from 13 (default: 17)"
    )
    parser.add_argument(
        "--batch", type=whole_number, metavar="N", help=f"{only}fix the number of samples"
    )
    parser.add_argument(
        "--softmax",
        choices=("keep", "add", "remove"),
        help=f"{only}a softmax at the end, added or removed (default: as the network has it)",
    )
    parser.add_argument(
        "--merge-norms",
        action="store_true",
        help=f"{only}batch normalisations become part of the convolution before them",
    )
    parser.add_argument(
        "--meta",
        action="append",
        default=[],
        metavar="NAME=TEXT",
        help="store a text in the file's metadata, such as author=me",
    )
    parser.add_argument(
        "--no-compare",
        action="store_true",
        help=f"{only}do not compare the file with the network",
    )
    parser.set_defaults(run=_run_export)


def _run_export(chosen: argparse.Namespace) -> int:
    from engine.export import DEFAULT_OPSET, ExportOptions, export

    suffix = chosen.out.suffix.lower()
    if chosen.format is None and suffix not in (".onnx", ".py"):
        raise NetworkError(
            f"--out {chosen.out}: expected a name that ends in .onnx or .py, received {suffix!r}. "
            "Change it, or say the --format."
        )
    form: Form = chosen.format or ("pytorch" if suffix == ".py" else "onnx")
    for name in ("opset", "batch", "softmax", "merge_norms", "no_compare"):
        if form != "onnx" and getattr(chosen, name) not in (None, False):
            option = f"--{name.replace('_', '-')}"
            raise NetworkError(
                f"{option}: expected with ONNX only, received with {form}. Leave it out."
            )
    texts = dict(_named(text) for text in chosen.meta)
    project = open_network(chosen.network)
    found = export(
        writable(chosen.out),
        project.graph,
        project.parameters,
        ExportOptions(
            form,
            DEFAULT_OPSET if chosen.opset is None else chosen.opset,
            chosen.batch,
            chosen.softmax or "keep",
            chosen.merge_norms,
            not chosen.no_compare,
        ),
        preprocessing=project.preprocessing,
        metadata={**project.metadata, **texts},
    )
    for path in found.files:
        print(f"wrote {path} ({path.stat().st_size:,} bytes)")
    if found.unchecked:
        print(f"not compared: {found.unchecked}")
    if found.check is None:
        return 0
    check = found.check
    samples = "1 sample" if check.samples == 1 else f"{check.samples} samples"
    print(
        f"{check.engine}, {samples}: largest difference {check.difference:.3g} of "
        f"{check.largest:.3g}, relative {check.relative:.1e}: "
        f"{'agrees' if check.agrees else 'DIFFERS'}"
    )
    return 0 if check.agrees else 1


def _named(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise NetworkError(f"--meta: expected NAME=TEXT, received {text!r}.")
    return name, value
