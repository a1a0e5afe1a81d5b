"""The command operators: which ONNX operators are opened and written."""

from __future__ import annotations

import argparse

from engine.cli.common import Commands, new_parser


def add_operators(commands: Commands) -> None:
    parser = new_parser(
        commands,
        "operators",
        summary="list the ONNX operators that are opened and written",
        description=(
            "Print a table of ONNX operators: whether they are computed forward, have a gradient,\n"
            "are opened from files and are written to files. The README has the same table."
        ),
        example="%(prog)s",
    )
    parser.set_defaults(run=_run_operators)


def _run_operators(chosen: argparse.Namespace) -> int:
    from engine.onnx.operator_table import table

    print(table())
    return 0
