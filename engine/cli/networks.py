"""The command networks: what comes with the program."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from engine.cli.common import Commands, new_parser, open_network

if TYPE_CHECKING:
    from engine.architectures import Architecture


def add_networks(commands: Commands) -> None:
    parser = new_parser(
        commands,
        "networks",
        summary="list the networks that come with the program",
        description="List the networks that come with the program, the oldest first.",
        example="%(prog)s",
    )
    parser.set_defaults(run=_run_networks)


def _run_networks(chosen: argparse.Namespace) -> int:
    from engine.architectures import ARCHITECTURES

    for number, architecture in enumerate(ARCHITECTURES.values()):
        if number:
            print()
        print(_entry(architecture))
    return 0


def _entry(architecture: Architecture) -> str:
    graph = architecture.build()
    costs = graph.costs(graph.check().specs).values()
    lines = [
        f"{architecture.id}: {architecture.title} ({architecture.year})",
        f"  {architecture.idea}",
        f"  input {'×'.join(map(str, architecture.input))}, "
        f"{sum(c.parameters for c in costs):,} parameters, "
        f"{sum(c.multiply_adds for c in costs):,} multiply-adds",
    ]
    if architecture.file is not None:
        about = open_network(architecture.id).metadata
        lines.append(
            f"  trained: {about['accuracy']:.2%} right on {about['measured_on']} "
            f"({about['correct']:,} of {about['total']:,})"
        )
    return "\n".join([*lines, f"  {architecture.source}"])
