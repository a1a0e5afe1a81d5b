"""The command gallery: the known networks and their sizes, without a single weight allocated."""

from __future__ import annotations

import argparse
import difflib
import json
from typing import TYPE_CHECKING, Any

from engine.cli.common import Commands, NetworkError, memory, new_parser, open_network, table

if TYPE_CHECKING:
    from engine.architectures import Architecture


def add_gallery(commands: Commands) -> None:
    parser = new_parser(
        commands,
        "gallery",
        summary="list the known networks with their sizes",
        description=(
            "List the known networks, the oldest first: name, title, year, input, trained\n"
            "parameters, multiply-adds of convolutions and fully connected layers, and the memory\n"
            "of all tensors for one picture in float32. With NAME, tell about one of them."
        ),
        example="%(prog)s resnet50",
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="tell about this network alone")
    parser.add_argument("--json", action="store_true", help="print it for other programs")
    parser.set_defaults(run=_run_gallery)


def _run_gallery(chosen: argparse.Namespace) -> int:
    from engine.architectures import ARCHITECTURES

    if chosen.name is None:
        found = list(ARCHITECTURES.values())
    elif chosen.name in ARCHITECTURES:
        found = [ARCHITECTURES[chosen.name]]
    else:
        near = [name for name in ARCHITECTURES if chosen.name.lower() in name]
        near = near or difflib.get_close_matches(chosen.name, ARCHITECTURES, 5, 0.5)
        raise NetworkError(
            f"{chosen.name}: expected the name of a network in the gallery"
            + (f" ({', '.join(near[:8])})" if near else "")
            + ", received another. The command gallery without a name lists them."
        )
    if chosen.json:
        print(json.dumps([_as_dict(a) for a in found], indent=2))
    elif chosen.name is not None:
        print(_entry(found[0]))
    else:
        print("\n".join(_table(found)))
    return 0


def _as_dict(architecture: Architecture) -> dict[str, Any]:
    from engine.architectures import Size

    size = Size.of(architecture.build())
    return {
        "name": architecture.id,
        "title": architecture.title,
        "family": architecture.family,
        "scale": architecture.scale,
        "year": architecture.year,
        "idea": architecture.idea,
        "source": architecture.source,
        "input": list(architecture.input),
        "parameters": size.parameters,
        "multiply_adds": size.multiply_adds,
        "activation_bytes": size.activation_bytes,
        "trained": architecture.file is not None,
    }


def _table(found: list[Architecture]) -> list[str]:
    from engine.architectures import Size

    rows = [("name", "year", "input", "parameters", "multiply-adds", "activations", "title")]
    for architecture in found:
        size = Size.of(architecture.build())
        rows.append(
            (
                architecture.id,
                str(architecture.year),
                "×".join(map(str, architecture.input)),
                f"{size.parameters:,}",
                f"{size.multiply_adds:,}",
                memory(size.activation_bytes),
                architecture.title + (" (trained)" if architecture.file else ""),
            )
        )
    return table(rows, right=(2, 3, 4, 5))


def _entry(architecture: Architecture) -> str:
    from engine.architectures import Size

    size = Size.of(architecture.build())
    lines = [
        f"{architecture.id}: {architecture.title} ({architecture.year})",
        f"  {architecture.idea}",
        f"  input {'×'.join(map(str, architecture.input))}, "
        f"{size.parameters:,} parameters, {size.multiply_adds:,} multiply-adds, "
        f"{memory(size.activation_bytes)} of activations",
    ]
    if architecture.file is not None:
        about = open_network(architecture.id).metadata
        lines.append(
            f"  trained: {about['accuracy']:.2%} right on {about['measured_on']} "
            f"({about['correct']:,} of {about['total']:,})"
        )
    return "\n".join([*lines, f"  {architecture.source}"])
