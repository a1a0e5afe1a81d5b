"""Drawings made of pen strokes, and the pictures that networks see of them.

Coordinates are in a unit square, x to the right and y down; a width is a part of its side.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.data.errors import DataError

MAX_WIDTH = 0.5
# Widths of 90% of MNIST's strokes, in its pixels: twice the ink over its outline's length.
MNIST_WIDTHS = (1.7, 3.7)
# The mean of the 1,797 UCI digits, 4.9 of 16; nearly the same in every class.
DIGITS8_INK = 4.9 / 16


class StrokeError(DataError):
    """A stroke or a file of drawings that cannot be used."""


@dataclass(frozen=True, slots=True)
class Stroke:
    """A line through `points` by a round pen; one point is a dot."""

    points: tuple[tuple[float, float], ...]
    width: float = 0.09

    def __post_init__(self) -> None:
        if not self.points:
            raise StrokeError("a stroke without points: expected at least one (x, y)")
        for point in self.points:
            if len(point) != 2 or not all(0 <= value <= 1 for value in point):
                raise StrokeError(f"point {point}: expected x and y from 0 to 1")
        if not 0 < self.width <= MAX_WIDTH:
            raise StrokeError(f"pen width {self.width}: expected above 0, at most {MAX_WIDTH}")


@dataclass(frozen=True, slots=True)
class Drawing:
    """Strokes in the order they were drawn; `label` is the class meant, where one is known."""

    strokes: tuple[Stroke, ...] = ()
    label: int | None = None
    name: str = ""

    def with_stroke(self, stroke: Stroke) -> Drawing:
        """This drawing with one more stroke."""
        return Drawing((*self.strokes, stroke), self.label, self.name)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON; `drawing_from_dict` reads it back, equal."""
        return {
            "label": self.label,
            "name": self.name,
            "strokes": [
                {"width": stroke.width, "points": [list(point) for point in stroke.points]}
                for stroke in self.strokes
            ],
        }


def drawing_from_dict(data: Any) -> Drawing:
    """Read what `Drawing.as_dict` made. Raises StrokeError for anything else."""
    try:
        label = data["label"]
        if label is not None and (isinstance(label, bool) or not isinstance(label, int)):
            raise StrokeError(f"label {label!r}: expected a whole number or null")
        strokes = tuple(
            Stroke(tuple((float(x), float(y)) for x, y in stroke["points"]), float(stroke["width"]))
            for stroke in data["strokes"]
        )
        return Drawing(strokes, label, str(data.get("name", "")))
    except KeyError as error:
        raise StrokeError(
            f"drawing without {error}: expected label, strokes, points, width"
        ) from None
    except StrokeError:
        raise
    except (TypeError, ValueError, AttributeError) as error:
        raise StrokeError(f"drawing that is not strokes of numbers ({error})") from None


def drawings_of(text: str, name: str) -> tuple[Drawing, ...]:
    """The drawings in the text of the JSON file ``name``.

    Raises StrokeError naming the file and the drawing.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StrokeError(f"{name}: not JSON ({error}); expected a file of drawings") from None
    if not isinstance(data, dict) or data.get("format") != "drawings" or data.get("version") != 1:
        raise StrokeError(f'{name}: expected {{"format": "drawings", "version": 1, ...}}')
    entries = data.get("drawings")
    if not isinstance(entries, list):
        raise StrokeError(f"{name}: expected a list under drawings")
    drawings = []
    for index, entry in enumerate(entries):
        try:
            drawings.append(drawing_from_dict(entry))
        except StrokeError as error:
            raise StrokeError(f"{name}: drawing {index}: {error}") from None
    return tuple(drawings)


def write_drawings(path: str | os.PathLike[str], drawings: Iterable[Drawing]) -> None:
    """Write drawings as JSON, one a line: the whole file, or none.

    Raises StrokeError where the file cannot be written.
    """
    path = Path(path)
    lines = ",\n".join(json.dumps(d.as_dict(), separators=(",", ":")) for d in drawings)
    text = f'{{"format": "drawings", "version": 1, "drawings": [\n{lines}\n]}}\n'
    temporary: str | None = None
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=path.name, dir=path.parent)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise StrokeError(
            f"{path}: could not be written ({error.strerror}); choose another place"
        ) from None


def shipped_digits() -> tuple[Drawing, ...]:
    """The drawn digits that ship with the program, three of each class, in order of class."""
    file = resources.files("resources").joinpath("strokes", "digits.json")
    return drawings_of(file.read_text("utf-8"), "digits.json")


def rasterise(drawing: Drawing, size: int = 28) -> NDArray[np.float32]:
    """The unit square as float32 (size, size): the part of each pixel that ink covers.

    Pixel (row, column) has its centre at ((column + .5) / size, (row + .5) / size). Coverage is
    exact for a straight edge along the axes and within a few hundredths elsewhere.
    """
    if size < 1:
        raise StrokeError(f"size {size}: expected at least 1")
    lines = [np.asarray(stroke.points) * size for stroke in drawing.strokes]
    return _ink(lines, [stroke.width * size for stroke in drawing.strokes], size)


def as_mnist(drawing: Drawing) -> NDArray[np.float32]:
    """The drawing as MNIST's makers would have stored it: float32 (28, 28), ink 1 on 0.

    Fitted with its aspect kept into a 20x20 box, its centre of mass moved to the centre of pixel
    (14, 14), where MNIST's are. The pen is scaled with the drawing, but kept within the widths
    that nine tenths of MNIST's strokes have: a network never saw a thread or a blot.
    Source: LeCun et al. 1998, section III.A. An empty drawing gives zeros.
    """
    if not drawing.strokes:
        return np.zeros((28, 28), np.float32)
    points = np.concatenate([np.asarray(stroke.points) for stroke in drawing.strokes])
    low, high = points.min(0), points.max(0)
    extent = float((high - low).max())
    pen = max(stroke.width for stroke in drawing.strokes)
    scale = 20 / (extent + pen)
    width = float(np.clip(pen * scale, *MNIST_WIDTHS))
    # A dot has no extent and is placed, not scaled.
    scale = (20 - width) / extent if extent > 0 else 0.0
    widths = [stroke.width / pen * width for stroke in drawing.strokes]
    lines = [
        (np.asarray(stroke.points) - (low + high) / 2) * scale + 14 for stroke in drawing.strokes
    ]
    ink = _ink(lines, widths, 28).astype(np.float64)
    centres = np.arange(28) + 0.5
    mass = ink.sum()
    centre = np.array([ink.sum(0) @ centres, ink.sum(1) @ centres]) / mass
    # The 20 pixels of the box stay within the 28 of the picture.
    shift = np.clip(14.5 - centre, -4, 4)
    return _ink([line + shift for line in lines], widths, 28)


def as_digits8(drawing: Drawing) -> NDArray[np.float32]:
    """The drawing as the UCI digits are: float32 (8, 8), whole numbers 0 to 16.

    Fitted into the height of a 32x32 bitmap (at most 24 wide) and centred; each value counts the
    ink pixels of a 4x4 block. The pen is made as wide as gives the ink of UCI's average digit:
    its bitmaps were equalised, for a 1 there is as heavy as an 8 (class means 4.7 to 5.2).
    Divide by 16 for a picture in [0, 1]. An empty drawing gives zeros.
    """
    if not drawing.strokes:
        return np.zeros((8, 8), np.float32)
    points = np.concatenate([np.asarray(stroke.points) for stroke in drawing.strokes])
    low, high = points.min(0), points.max(0)
    width, height = high - low
    pen = 3.0
    # The room that the pen needs depends on its width, and the other way round.
    for _ in range(3):
        scales = [room / side for room, side in ((24 - pen, width), (32 - pen, height)) if side > 0]
        scale = min(scales, default=0.0)
        lines = [
            (np.asarray(stroke.points) - (low + high) / 2) * scale + 16
            for stroke in drawing.strokes
        ]
        distance = _distance(lines, 32)
        pen = float(np.clip(2 * np.quantile(distance, DIGITS8_INK), 2.0, 9.0))
    bitmap = distance <= pen / 2
    return bitmap.reshape(8, 4, 8, 4).sum((1, 3)).astype(np.float32)


def _ink(lines: list[NDArray[np.float64]], widths: list[float], size: int) -> NDArray[np.float32]:
    """Lines in pixel units as covered parts of pixels, float32 (size, size)."""
    ink = np.zeros((size, size))
    for line, width in zip(lines, widths, strict=True):
        distance, half = _distance([line], size), width / 2
        # How much of a pixel, distance away, a band from -half to half covers.
        covered = np.minimum(half, distance + 0.5) - np.maximum(-half, distance - 0.5)
        np.maximum(ink, np.clip(covered, 0, 1), out=ink)
    return ink.astype(np.float32)


def _distance(lines: list[NDArray[np.float64]], size: int) -> NDArray[np.float32]:
    """Distance of each pixel's centre to the nearest line, (size, size), in pixels."""
    # float32 is exact to a hundred-thousandth of a pixel here, and twice as fast.
    thinned = [_thinned(line).astype(np.float32) for line in lines]
    starts = np.concatenate([line[:-1] if len(line) > 1 else line for line in thinned])
    ends = np.concatenate([line[1:] if len(line) > 1 else line for line in thinned])
    centres = np.arange(size, dtype=np.float32) + np.float32(0.5)
    nearest = np.full((size, size), np.inf, np.float32)
    # In pieces, so that a long scribble needs no more memory than a short one.
    for at in range(0, len(starts), 64):
        start, along = starts[at : at + 64], (ends - starts)[at : at + 64]
        x = centres[None, None, :] - start[:, 0, None, None]
        y = centres[None, :, None] - start[:, 1, None, None]
        dx, dy = along[:, 0, None, None], along[:, 1, None, None]
        square = np.maximum(dx * dx + dy * dy, np.float32(1e-12))
        # Where along its segment each pixel's foot lies: 0 at the start, 1 at the end.
        foot = x * (dx / square) + y * (dy / square)
        np.clip(foot, 0, 1, out=foot)
        squares = (x - foot * dx) ** 2
        squares += (y - foot * dy) ** 2
        np.minimum(nearest, squares.min(0), out=nearest)
    return np.sqrt(nearest)


def _thinned(line: NDArray[np.float64], step: float = 0.5) -> NDArray[np.float64]:
    """The line without points closer together than about `step`; both ends are kept.

    A mouse reports many points within one pixel; they cost time and change nothing to be seen.
    """
    if len(line) < 3:
        return line
    lengths = np.hypot(*np.diff(line, axis=0).T)
    count = np.floor(np.concatenate([[0.0], np.cumsum(lengths)]) / step)
    keep = np.concatenate([[True], np.diff(count) > 0])
    keep[-1] = True
    return line[keep]
