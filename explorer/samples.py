"""Pictures that can be shown to a network: shipped ones, drawn ones and files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.data.digits import digits
from engine.data.images import read_image
from engine.data.preprocessing import Preprocessing, is_dark_on_light
from engine.data.strokes import Drawing, as_digits8, as_mnist, rasterise, shipped_digits
from engine.layers.base import Array


@dataclass(frozen=True, eq=False)
class Sample:
    """One picture. ``image`` is (C, H, W) float32 in [0, 1], ``x`` what the network receives.

    ``label`` is the class that it shows, None when nobody said; ``origin`` says where it is from.
    """

    image: Array
    x: Array
    label: int | None
    origin: str
    drawing: Drawing | None = None


def plain_preprocessing(shape: tuple[int, ...]) -> Preprocessing:
    """Values in [0, 1] as they are, for a network that came without a preprocessing."""
    channels = shape[0] if len(shape) == 3 else 1
    size = (shape[-2], shape[-1]) if len(shape) == 3 else (1, shape[-1])
    return Preprocessing(size, channels, (0.0,) * channels, (1.0,) * channels)


def from_drawing(drawing: Drawing, preprocessing: Preprocessing, origin: str) -> Sample:
    """The picture of a drawing as the data set of that size would hold it."""
    size = preprocessing.size
    if size == (28, 28):
        image = as_mnist(drawing)
    elif size == (8, 8):
        image = as_digits8(drawing)
        if image.max() > 1:
            image = image / np.float32(16)
    else:
        image = rasterise(drawing, max(size))
    image = np.asarray(image, np.float32).reshape(1, *image.shape[-2:])
    return Sample(image, preprocessing.apply(image), drawing.label, origin, drawing)


def from_file(path: Path, preprocessing: Preprocessing) -> Sample:
    """The picture in a file; raises DataError or OSError."""
    image = read_image(path)
    light = preprocessing.channels == 1 and is_dark_on_light(image)
    values: Any = image.astype(np.float32) / 255 if image.dtype == np.uint8 else image
    if light:  # digits are light on dark in the data that the shipped networks learnt
        values = 1 - values
    x = preprocessing.apply(values)
    return Sample(preprocessing.restore(x).clip(0, 1), x, None, path.name)


def shipped(preprocessing: Preprocessing) -> Sequence[Sample]:
    """The samples that come with the program, for a network of that input; never empty."""
    if preprocessing.size == (8, 8) and preprocessing.channels == 1:
        _, test = digits()
        return [
            Sample(
                test.images[i],
                preprocessing.apply(test.images[i]),
                int(test.labels[i]),
                f"{test.name}, held-out picture {i + 1} of {len(test)}",
            )
            for i in range(60)
        ]
    return [
        from_drawing(d, preprocessing, f"drawn digit {d.name or d.label}") for d in shipped_digits()
    ]
