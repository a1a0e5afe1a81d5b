"""Augmentation: each training picture a little different every time, by seed.

All functions take float32 (n, C, H, W) and one number per picture, and return new arrays. What
comes in at a border is paper: the median of the picture's own border, channel by channel.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from engine.data.errors import DataError
from engine.described import Described
from engine.layers.base import HyperparameterError, hyper

Pictures = NDArray[np.float32]
Whole = NDArray[np.integer[Any]]
Real = NDArray[np.floating[Any]]
Flip = Literal["none", "left-right", "up-down", "both"]


def paper(x: Pictures) -> Pictures:
    """Float32 (n, C): the median of each picture's outermost pixels."""
    edges = (x[..., 0, :], x[..., -1, :], x[..., :, 0], x[..., :, -1])
    # Sorted is five times as fast as np.median, for so few numbers.
    ordered = np.sort(np.concatenate(edges, -1), -1)
    middle = ordered.shape[-1] // 2  # their number is even
    return (ordered[..., middle - 1] + ordered[..., middle]) / x.dtype.type(2)


def shifted(x: Pictures, rows: Whole, columns: Whole) -> Pictures:
    """Each picture moved down by ``rows`` and right by ``columns`` whole pixels (int (n,))."""
    height, width = x.shape[2:]
    most = max(1, int(np.abs(rows).max()), int(np.abs(columns).max()))
    framed, found = _padded(x, most), np.empty_like(x)
    # A slice for each picture is faster than one index for all.
    for i, (row, column) in enumerate(zip(most - rows, most - columns, strict=True)):
        found[i] = framed[i, :, row : row + height, column : column + width]
    return found


def flipped(x: Pictures, across: NDArray[np.bool_], down: NDArray[np.bool_]) -> Pictures:
    """Mirrored left to right where ``across`` is true, top to bottom where ``down`` is."""
    y = np.where(across[:, None, None, None], x[..., ::-1], x)
    return np.where(down[:, None, None, None], y[:, :, ::-1], y)


def warped(
    x: Pictures, degrees: Real, scale: Real | None = None, offset: Real | None = None
) -> Pictures:
    """Each picture turned about its centre, counter-clockwise, and enlarged by 1 / ``scale``.

    ``degrees`` and ``scale`` are (n,); ``offset`` (n, 2) moves the place that is looked at, down
    and right, in pixels. A pixel is the bilinear mean of the four around where it came from;
    turns by multiples of 90 degrees of a square picture are exact.
    """
    n, channels, height, width = x.shape
    turn = np.radians(np.asarray(degrees, np.float64))
    if scale is None:
        scale = np.ones(n)
    cos, sin = (np.round(f(turn), 12) * scale for f in (np.cos, np.sin))
    # float32 holds a place to a hundred-thousandth of a pixel, and takes half the time.
    down = (np.arange(height) - (height - 1) / 2).astype(np.float32)[:, None]
    right = (np.arange(width) - (width - 1) / 2).astype(np.float32)[None, :]
    cos, sin = (v.astype(np.float32)[:, None, None] for v in (cos, sin))
    rows = cos * down + sin * right + np.float32((height - 1) / 2)
    columns = cos * right - sin * down + np.float32((width - 1) / 2)
    if offset is not None:
        rows += offset[:, 0, None, None].astype(np.float32)
        columns += offset[:, 1, None, None].astype(np.float32)
    # One pixel of paper all round: whatever lies further out is paper too.
    np.clip(rows, -1, height, out=rows)
    np.clip(columns, -1, width, out=columns)
    top, left = np.floor(rows), np.floor(columns)
    rows -= top
    columns -= left
    line = width + 3  # two on the right and below, so that the neighbour of the last exists
    top *= line
    top += left
    at = top.astype(np.int32).astype(np.intp)
    at += line + 1 + (np.arange(n) * (channels * (height + 3) * line))[:, None, None]
    source = _padded(x, 1, 2)
    found = np.empty_like(x)
    for channel in range(channels):
        # Moved in place from neighbour to neighbour: fresh arrays would take most of the time.
        upper = _between(source, at, columns)
        at += line
        lower = _between(source, at, columns)
        lower -= upper
        lower *= rows
        np.add(lower, upper, out=found[:, channel])
        at += (height + 2) * line
    return found


def _between(source: Pictures, at: Whole, share: Pictures) -> Pictures:
    """From the number at each place to its right neighbour (share 1); ``at`` counts all numbers."""
    flat = source.reshape(-1)
    first = flat.take(at)
    at += 1
    second = flat.take(at)
    at -= 1
    second -= first
    second *= share
    second += first
    return second


def cut_out(x: Pictures, rows: Whole, columns: Whole, size: int) -> Pictures:
    """A square of ``size`` pixels around (row, column) becomes 0, the mean of normalised data.

    The part of it that lies beyond the border is lost: a square in a corner covers less.
    """
    height, width = x.shape[2:]
    down = np.arange(height) - (rows[:, None] - size // 2)
    right = np.arange(width) - (columns[:, None] - size // 2)
    covered = ((down >= 0) & (down < size))[:, :, None] & ((right >= 0) & (right < size))[:, None]
    return np.where(covered[:, None], np.float32(0), x)


def _padded(x: Pictures, before: int, after: int | None = None) -> Pictures:
    """The pictures with a frame of paper."""
    n, channels, height, width = x.shape
    after = before if after is None else after
    framed = np.empty((n, channels, height + before + after, width + before + after), x.dtype)
    framed[...] = paper(x)[:, :, None, None]
    framed[:, :, before : before + height, before : before + width] = x
    return framed


@dataclass(frozen=True)
class Augmentation(Described):
    """What is done to each training picture; nothing unless asked for.

    Applied in this order: crop and rotate (one resampling), flip, shift, cutout. Labels stay as
    they are: what a flip would turn into another class must not be flipped. The same generator
    state gives the same pictures. Raises HyperparameterError for a number out of range.

    Sources: shifts and mirrored pictures, Krizhevsky et al. 2012, section 4.1; crops enlarged to
    the whole, Szegedy et al. 2015, section 6; cutout, DeVries & Taylor 2017.
    """

    owner: ClassVar[str] = "Augmentation"

    shift: int = hyper(0, "Moved at random by up to so many pixels.", low=0, high=64, unit="pixels")
    rotate: float = hyper(
        0.0, "Turned at random by up to so many degrees.", low=0.0, high=180.0, unit="degrees"
    )
    crop: float = hyper(
        0.0, "Up to this share of each side is cut away, the rest enlarged.", low=0.0, high=0.9
    )
    flip: Flip = hyper("none", "Mirrored at random, in half of all cases.", choices=get_args(Flip))
    cutout: int = hyper(
        0, "A square of this side is blanked at random.", low=0, high=512, unit="pixels"
    )

    @property
    def active(self) -> bool:
        """Whether anything is done at all."""
        return self != Augmentation()

    def __call__(self, x: Pictures, random: np.random.Generator) -> Pictures:
        """Pictures (n, C, H, W) as one training step sees them; ``x`` is not changed."""
        n, _, height, width = x.shape
        if self.rotate or self.crop:
            degrees = random.uniform(-self.rotate, self.rotate, (n,))
            scale = 1 - random.uniform(0, self.crop, (n,))
            # The window that is enlarged lies wholly in the picture.
            room = (1 - scale)[:, None] * (height / 2, width / 2)
            x = warped(x, degrees, scale, random.uniform(-1, 1, (n, 2)) * room)
        if self.flip != "none":
            across, down = random.integers(0, 2, (2, n)).astype(bool)
            never = np.zeros(n, bool)
            x = flipped(
                x,
                never if self.flip == "up-down" else across,
                never if self.flip == "left-right" else down,
            )
        if self.shift:
            x = shifted(x, *random.integers(-self.shift, self.shift + 1, (2, n)))
        if self.cutout:
            x = cut_out(
                x, random.integers(0, height, (n,)), random.integers(0, width, (n,)), self.cutout
            )
        return x

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON; ``from_dict`` reads it back, equal."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Any) -> Augmentation:
        """Read what ``as_dict`` wrote; what is missing is off. Raises DataError or the like."""
        try:
            return cls(**data)
        except HyperparameterError:
            raise
        except TypeError as error:
            names = ", ".join(f.name for f in cls.hyperparameters())
            raise DataError(
                f"Augmentation: expected {names}, received {data!r} ({error}). Use the defaults."
            ) from error
