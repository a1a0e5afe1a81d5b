"""An ONNX file as a project of the window; read beside it, so that nothing waits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from engine.project_file import Project
from explorer import folding, samples
from explorer.canvas.placement import place
from explorer.open_sizes import OpenSizes, Shape

SUFFIX = ".onnx"
USUAL_SIZE = 224
USUAL_CHANNELS = 3


class GivenUpError(Exception):
    """Another project was opened meanwhile."""


def usual(dims: tuple[int | None, ...] | None) -> tuple[int, ...]:
    """Sizes for those that a file leaves open: pictures as most classifiers take them."""
    if dims is None:
        return (0, USUAL_CHANNELS, USUAL_SIZE, USUAL_SIZE)
    return tuple(
        size if size is not None else (0, USUAL_CHANNELS, USUAL_SIZE)[min(axis, 2)]
        for axis, size in enumerate(dims)
    )


def project(
    path: Path,
    aspect: float,
    progress: Callable[[int, int], None],
    choose: Callable[[OpenSizes], Mapping[str, Shape] | None] = lambda _asked: None,
) -> Project:
    """The network of a file, laid out for a canvas of that shape; its warnings say what is missing.

    What was merely changed on the way is in its metadata, under "import".

    ``progress(done, all)`` counts operators and may raise GivenUpError. ``choose`` is told the
    sizes that the file leaves open and may give others than the usual ones. Raises OnnxError.
    """
    from engine.onnx import SizesNeededError, read

    warnings: tuple[str, ...] = ()
    try:
        imported = read(path, progress=progress)
    except SizesNeededError as error:
        shapes = {name: usual(dims) for name, dims in error.wanted.items()}
        chosen = choose(OpenSizes(path, error.wanted, shapes))
        imported = read(path, shapes=chosen or shapes, progress=progress)
    imported = imported.grouped()
    made = imported.project()
    missing = imported.missing()
    if missing:
        words = ", ".join(f"{operator} ({count})" for operator, count in missing.items())
        after = sum(not p.missing for p in imported.problems)
        text = f"Not known here: {words}. What comes before runs"
        warnings += (f"{text}; {after} more layers cannot." if after else f"{text}.",)
    first = imported.graph.inputs[0] if imported.graph.inputs else None
    preprocessing = made.preprocessing
    if preprocessing is None and first is not None and len(first.shape) == 3:
        channels, height, width = first.shape
        if channels in (1, 3):
            preprocessing = samples.plain_preprocessing((channels, height, width))
    title = path.stem
    return replace(
        made,
        # One that opens folded is laid out as it is shown.
        layout={} if folding.opening(made.graph) else place(made.graph, aspect=aspect),
        preprocessing=preprocessing,
        metadata={**made.metadata, "title": title},
        warnings=warnings,
    )
