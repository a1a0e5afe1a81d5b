"""Data sets by name, made to fit a network's input."""

from __future__ import annotations

import numpy as np

from engine.data.dataset import Dataset
from engine.data.digits import digits
from engine.data.errors import DataError
from engine.data.idx import mnist
from engine.data.images import resize
from engine.data.preprocessing import Preprocessing, as_unit
from engine.data.shapes import shapes

SHIPPED = {
    "digits": "Handwritten digits (UCI, 1,797 pictures)",
    "shapes": "Shapes and textures (generated)",
}
"""Names and titles of the data sets that need no file. ``mnist:FOLDER`` reads MNIST's files."""

SHAPES_PER_CLASS = 200


def load(name: str, wanted: Preprocessing | None = None) -> tuple[Dataset, Dataset]:
    """(training, held-out) of a data set; resized to ``wanted`` and normalised as it says.

    Raises DataError for an unknown name or files that cannot be read.
    """
    if name == "digits":
        pair = digits()
    elif name == "shapes":
        pair = shapes(SHAPES_PER_CLASS, seed=0).split(0.2, seed=0)
    elif name.startswith("mnist:"):
        pair = mnist(name.removeprefix("mnist:"))
    else:
        raise DataError(
            f"Data set: expected {', '.join(SHIPPED)} or mnist:FOLDER, received {name!r}."
        )
    if wanted is None or pair[0].preprocessing == wanted:
        return pair
    return fitted(pair[0], wanted), fitted(pair[1], wanted)


def fitted(dataset: Dataset, wanted: Preprocessing) -> Dataset:
    """The same pictures at another size and number of channels, normalised as ``wanted`` says."""
    images = as_unit(dataset.images)
    if images.shape[1] != wanted.channels:
        images = images.mean(1, keepdims=True, dtype=np.float32)
        images = np.repeat(images, wanted.channels, axis=1)
    if images.shape[2:] != wanted.size:
        flat = images.reshape(-1, *images.shape[2:])
        images = resize(flat, wanted.size).reshape(len(images), wanted.channels, *wanted.size)
    return Dataset(
        dataset.name,
        np.ascontiguousarray(images, np.float32).clip(0, 1),
        dataset.labels,
        dataset.classes,
        wanted,
        dataset.credit,
    )
