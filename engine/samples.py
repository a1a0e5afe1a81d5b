"""A picture by name, as a network's input: a file, a shipped drawing or a shipped digit."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.data.digits import digits
from engine.data.errors import DataError
from engine.data.images import read_image
from engine.data.preprocessing import Preprocessing, is_dark_on_light
from engine.data.strokes import Drawing, as_digits8, as_mnist, rasterise, shipped_digits


@dataclass(frozen=True, eq=False)
class Picture:
    """``x``: float32 (C, H, W), as the network receives it; ``label``: class name, if known.

    ``origin`` says where it is from and what was done to it.
    """

    x: NDArray[np.float32]
    label: str | None
    origin: str


def picture(name: str, preprocessing: Preprocessing) -> Picture:
    """The picture called ``name``, made to fit.

    "strokes:7" is the first drawing of a 7 that ships with the program, "strokes:7.3" the third;
    "digits:12" the 12th of the held-out 8x8 digits; anything else is the path of an image file.
    A grey file with a light border is inverted, because digits are learnt light on dark.
    Raises DataError (ImageError for a file).
    """
    kind, _, which = name.partition(":")
    if kind == "strokes" and which:
        return _drawn(which, preprocessing)
    if kind == "digits" and which:
        return _digit(which, preprocessing)
    image = read_image(Path(name))
    origin = f"{name} ({image.shape[2]}×{image.shape[1]} pixels)"
    if preprocessing.channels == 1 and is_dark_on_light(image):
        # The file is the other way round than what the preprocessing was made for.
        preprocessing = dataclasses.replace(preprocessing, invert=not preprocessing.invert)
        origin += ", dark on light: inverted"
    return Picture(preprocessing.apply(image), None, origin)


def _drawn(which: str, preprocessing: Preprocessing) -> Picture:
    drawings = shipped_digits()
    digit, _, number = which.partition(".")
    same = [d for d in drawings if str(d.label) == digit]
    index = _number(number or "1", len(same))
    if index is None:
        most = max((sum(d.label == label for d in drawings) for label in range(10)), default=0)
        raise DataError(
            f"strokes:{which}: expected strokes:DIGIT or strokes:DIGIT.NUMBER, with a digit from "
            f"0 to 9 and a number from 1 to {most}, as in strokes:7 or strokes:7.2"
        )
    drawing = same[index]
    x = preprocessing.apply(as_image(drawing, preprocessing.size))
    return Picture(x, digit, f"drawing {index + 1} of a {digit} ({drawing.name})")


def as_image(drawing: Drawing, size: tuple[int, int]) -> NDArray[np.float32]:
    """A drawing as float32 (1, H, W) in [0, 1]: as MNIST or the UCI digits have it at their size.

    At any other size it is the unit square, scaled to the longer side.
    """
    image: NDArray[Any]
    if size == (28, 28):
        image = as_mnist(drawing)
    elif size == (8, 8):
        image = as_digits8(drawing) / np.float32(16)
    else:
        image = rasterise(drawing, max(size))
    return image[None]


def _digit(which: str, preprocessing: Preprocessing) -> Picture:
    _, held_out = digits()
    index = _number(which, len(held_out))
    if index is None:
        raise DataError(
            f"digits:{which}: expected a number from 1 to {len(held_out)}, as in digits:12"
        )
    label = held_out.classes[held_out.labels[index]]
    origin = f"{held_out.name}, picture {index + 1} of {len(held_out)}"
    return Picture(preprocessing.apply(held_out.images[index]), label, origin)


def _number(text: str, most: int) -> int | None:
    """The index that a number from 1 to ``most`` stands for, or None."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= most:
        return None
    return int(text) - 1
