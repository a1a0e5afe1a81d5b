"""The command run: arrays in, every output and gradient out, for scripts."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.cli.common import (
    NETWORK_HELP,
    ONNX_SUFFIX,
    Commands,
    NetworkError,
    add_shape,
    new_parser,
    open_network,
    open_onnx,
    writable,
)

if TYPE_CHECKING:
    from engine.onnx import Imported


def add_run(commands: Commands) -> None:
    parser = new_parser(
        commands,
        "run",
        summary="run a network on arrays and write its outputs",
        description=(
            "Run a network or an ONNX file on arrays (samples first) and write every output by\n"
            "its name to an .npz file. With --gradient also the gradients of that output's sum,\n"
            "or of one class's, with respect to the inputs and parameters, as grad:NAME."
        ),
        example="%(prog)s model.onnx --input image=x.npy --out y.npz --gradient logits:7",
    )
    parser.add_argument("network", metavar="NETWORK", help=NETWORK_HELP)
    parser.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="NAME=FILE.npy",
        help="an input's array; NAME= may be left out where there is one input",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.npz", help="what to write")
    parser.add_argument(
        "--gradient", metavar="OUTPUT[:CLASS]", help="write gradients of this output too"
    )
    add_shape(parser)
    parser.set_defaults(run=_run_run)


def _run_run(chosen: argparse.Namespace) -> int:
    import numpy as np

    from engine.atomic_file import replacing
    from engine.plan import Batch, compile, exhaust

    out = writable(chosen.out)
    arrays = _arrays(chosen.input)
    imported = _opened(chosen, arrays)
    graph = _runnable(imported)
    feed = imported.feed(_named(imported, arrays))
    samples = len(next(iter(feed.values())))
    target = None
    if chosen.gradient is not None:
        graph, target = _with_score(graph, chosen.gradient)
    plan = compile(
        graph, _used(graph, imported), batch=samples, mode="eval", backward=target is not None
    )
    targets = {} if target is None else {target: np.zeros(samples, int)}
    exhaust(plan.run(Batch(feed, targets)))
    found = dict(imported.results(plan.value, samples, graph))
    if target is not None:
        for entry in graph.inputs:
            gradient = plan.gradient((entry.id, 0))
            name = imported.inputs[entry.id]
            if gradient is None:
                gradient = np.zeros_like(np.asarray(feed[entry.id], np.float32))
            found[f"grad:{name}"] = gradient if name in imported.shown else gradient[0]
        for (owner, name), array in plan.parameter_gradients().items():
            found[f"grad:{owner}.{name}"] = array
    with replacing(out) as file:
        # the names are the file's own, which may be any text
        np.savez(file, **found)  # type: ignore[arg-type]
    for name, array in found.items():
        if not name.startswith("grad:"):
            print(f"{name}  {'×'.join(map(str, np.shape(array))) or '1'}")
    print(f"wrote {out} ({out.stat().st_size:,} bytes)")
    return 0


def _opened(chosen: argparse.Namespace, arrays: dict[str, Any]) -> Imported:
    """The network with its inputs and outputs by name, also where it is no ONNX file."""
    from engine.onnx import Imported, SizesNeededError

    if Path(chosen.network).suffix.lower() == ONNX_SUFFIX:
        try:
            return open_onnx(chosen.network, chosen.shape)
        except SizesNeededError as error:
            # the arrays themselves say which sizes
            shapes = dict(chosen.shape)
            for name, dims in error.wanted.items():
                array = arrays.get(name, arrays.get("") if len(arrays) == 1 else None)
                if array is None or (dims is not None and array.ndim != len(dims)):
                    raise
                shapes.setdefault(name, (0, *array.shape[1:]))
            return open_onnx(chosen.network, tuple(shapes.items()))
    project = open_network(chosen.network)
    names = {i.id: i.id for i in project.graph.inputs}
    shown = frozenset((*names, *(name for name, _ in project.graph.outputs)))
    return Imported(project.graph, project.parameters, {}, names, shown=shown)


def _runnable(imported: Imported) -> Any:
    from dataclasses import replace

    from engine.runnable import runnable

    graph = replace(runnable(imported.graph), losses=())
    if len(graph.nodes) < len(imported.graph.nodes):
        left_out = len(imported.graph.nodes) - len(graph.nodes)
        print(f"{left_out} layers cannot run ({', '.join(imported.missing())}); up to them:")
    graph.check()
    return graph


def _used(graph: Any, imported: Imported) -> dict[tuple[str, str], Any]:
    owners = {node.owner for node in graph.nodes}
    return {k: v for k, v in imported.parameters.items() if k[0] in owners}


def _arrays(words: list[str]) -> dict[str, Any]:
    """Arrays by the input's name; "" where no name was given."""
    import numpy as np

    found: dict[str, Any] = {}
    for word in words:
        name, _, file = word.rpartition("=")
        if not file:
            raise NetworkError(f"--input: expected NAME=FILE.npy, received {word!r}.")
        try:
            array = np.load(file, allow_pickle=False)
        except FileNotFoundError as error:
            raise NetworkError(
                f"--input {word}: expected a file, received none of that name. Check the name."
            ) from error
        except (OSError, ValueError, EOFError) as error:
            raise NetworkError(
                f"--input {word}: expected an .npy file with an array of numbers, received "
                f"something else ({error})."
            ) from error
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub" or array.ndim == 0:
            raise NetworkError(f"--input {word}: expected an array of numbers, samples first.")
        found[name] = array
    return found


def _named(imported: Imported, arrays: dict[str, Any]) -> dict[str, Any]:
    names = list(imported.inputs.values())
    if "" in arrays:
        if len(names) != 1 or len(arrays) != 1:
            raise NetworkError(f"--input: expected a name ({', '.join(names)}) before each file.")
        return {names[0]: arrays[""]}
    return arrays


def _with_score(graph: Any, words: str) -> tuple[Any, str]:
    """The graph with the score whose gradients are asked for as its loss, and the loss's id."""
    from dataclasses import replace

    from engine.graph import Loss
    from engine.layers.base import ShapeError
    from engine.score import Score

    outputs = dict(graph.outputs)
    name, index = words, tuple[int, ...]()
    if name not in outputs:
        name, _, number = words.rpartition(":")
        if not number.isascii() or not number.isdigit():
            name = words
        else:
            index = (int(number),)
    if name not in outputs:
        raise NetworkError(
            f"--gradient: expected OUTPUT or OUTPUT:CLASS with an output of {', '.join(outputs)}, "
            f"received {words!r}."
        )
    loss_id = graph.fresh_id("score")
    found = replace(graph, losses=(Loss(loss_id, Score(index), outputs[name]),))
    try:
        found.check()
    except ShapeError as error:
        wanted = error.expected.removeprefix(f"at {loss_id} ")
        raise NetworkError(
            f"--gradient: expected {wanted} of {name}, received {words!r}. {error.remedy}"
        ) from error
    return found, loss_id
