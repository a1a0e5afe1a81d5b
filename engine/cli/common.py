"""What the commands share: words of their help, the network they are about, files they write."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from engine.data.preprocessing import Preprocessing
    from engine.graph import Graph
    from engine.onnx import Imported
    from engine.optimizers import AnyOptimizer
    from engine.project_file import Project

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""What ``add_subparsers`` returns; argparse has no public name for it."""

EXIT_CODES = """
exit codes:
  0    done
  1    failed for a reason inside the program
  2    wrong usage: unknown command, option or value
  3    bad input: a file that cannot be read or written, or does not fit the network
"""
NETWORK_HELP = "lenet5, vgg-digits, … (see the command gallery), a project file or an ONNX file"
ONNX_SUFFIX = ".onnx"
NEW_WEIGHTS = "new, not trained"


class NetworkError(ValueError):
    """NETWORK names no network, or one that the command cannot use."""


def new_parser(
    commands: Commands,
    name: str,
    *,
    summary: str,
    description: str,
    example: str,
    codes: str = "",
) -> argparse.ArgumentParser:
    """A command's parser; its help ends with an example (%(prog)s allowed) and the exit codes."""
    return commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=f"example:\n  {example}\n{EXIT_CODES}{codes}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def whole_number(text: str) -> int:
    """An argument that is a whole number from 0."""
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"expected a whole number from 0, received {text!r}")
    return int(text)


def number(text: str) -> float:
    """An argument that is a number."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number, received {text!r}") from None


def add_shape(parser: argparse.ArgumentParser) -> None:
    """The option for sizes that an ONNX file leaves open."""
    parser.add_argument(
        "--shape",
        action="append",
        default=[],
        type=named_shape,
        metavar="INPUT=SIZES",
        help="sizes of an input that an ONNX file leaves open, such as image=3x224x224",
    )


def named_shape(text: str) -> tuple[str, tuple[int, ...]]:
    """An argument NAME=3x224x224."""
    name, _, sizes = text.rpartition("=")
    parts = sizes.replace("×", "x").replace(",", "x").split("x")
    if not name or not all(p.isascii() and p.isdigit() for p in parts):
        raise argparse.ArgumentTypeError(f"expected INPUT=3x224x224, received {text!r}")
    return name, tuple(map(int, parts))


def open_onnx(name: str, shapes: Sequence[tuple[str, tuple[int, ...]]] = ()) -> Imported:
    """The network of an ONNX file; raises OnnxError."""
    from engine.onnx import read

    return read(name, shapes=dict(shapes))


def open_network(name: str, shapes: Sequence[tuple[str, tuple[int, ...]]] = ()) -> Project:
    """The project that NETWORK names: a known network or a file; ``shapes`` for an ONNX file.

    A known network has its shipped weights, or new ones (seed 0) where none are shipped; its
    metadata then says so under "weights". Raises NetworkError or ProjectError.
    """
    from engine import project_file
    from engine.architectures import ARCHITECTURES

    architecture = ARCHITECTURES.get(name)
    if architecture is not None and architecture.file is None:
        from engine.parameters import initial_parameters

        graph = architecture.build()
        metadata = {"title": architecture.title, "weights": NEW_WEIGHTS}
        return project_file.Project(graph, initial_parameters(graph, 0), metadata=metadata)
    if architecture is not None and architecture.file is not None:
        file = resources.files("resources").joinpath("networks", architecture.file)
        try:
            return project_file.load_bytes(file.read_bytes(), architecture.file)
        except OSError as error:
            raise NetworkError(
                f"{name}: expected its weights in {file}, received {error.strerror}. "
                "Install the program again."
            ) from error
    suffix = Path(name).suffix.lower()
    if suffix == ONNX_SUFFIX:
        return open_onnx(name, shapes).project()
    if suffix == project_file.SUFFIX or (Path(name).is_file() and _is_archive(name)):
        return project_file.load(name)
    received = f"a {suffix} file" if suffix and Path(name).is_file() else "none of them"
    raise NetworkError(
        f"{name}: expected a network of the command gallery, a project ({project_file.SUFFIX}) or "
        f"an ONNX file ({ONNX_SUFFIX}), received {received}. Check the name."
    )


def _is_archive(name: str) -> bool:
    """Whether a file is a zip archive, as a project under another name is."""
    try:
        with open(name, "rb") as file:
            return file.read(2) == b"PK"
    except OSError:
        return False


def plain_preprocessing(graph: Graph) -> Preprocessing:
    """Pictures as they are, in [0, 1], for a project that says nothing about them."""
    from engine.data.preprocessing import Preprocessing

    shape = graph.inputs[0].shape if len(graph.inputs) == 1 else ()
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise NetworkError(
            f"{graph.name}: expected one input of 1 or 3 channels for a picture, received "
            f"{'×'.join(map(str, shape)) or f'{len(graph.inputs)} inputs'}. Use another network."
        )
    channels, height, width = shape
    return Preprocessing((height, width), channels, (0.0,) * channels, (1.0,) * channels)


def optimizer(name: str, lr: float | None) -> AnyOptimizer:
    """An optimizer by name, with its usual learning rate or ``lr``; raises TrainingError."""
    from engine.optimizers import OPTIMIZERS
    from engine.train import TrainSettings

    usual = TrainSettings().optimizer
    kind = OPTIMIZERS[name]
    if lr is None:
        return usual if kind is type(usual) else kind()
    # The settings check the rate and say what is wrong with it.
    return TrainSettings(optimizer=kind(lr=lr)).optimizer


def writable(path: Path, option: str = "--out") -> Path:
    """The path; raises NetworkError now rather than after the work is done."""
    folder = path.parent
    if path.is_dir():
        raise NetworkError(f"{option} {path}: expected a file name, received a folder.")
    if not folder.is_dir():
        raise NetworkError(f"{option} {path}: there is no folder {folder}. Create it first.")
    if not os.access(folder, os.W_OK):
        raise NetworkError(f"{option} {path}: no permission to write in {folder}. Choose another.")
    return path


def table(rows: Sequence[Sequence[str]], right: Sequence[int]) -> list[str]:
    """Lines with the columns under each other; those numbered in ``right`` end at one place."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def memory(count: int) -> str:
    """A number of bytes in words."""
    return f"{count / 1e6:,.1f} MB" if count >= 1e6 else f"{count / 1e3:,.1f} kB"
