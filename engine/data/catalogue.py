"""Data sets by name, made to fit a network's input."""

from __future__ import annotations

import dataclasses

import numpy as np

from engine.data.dataset import Dataset
from engine.data.digits import digits
from engine.data.errors import DataError
from engine.data.idx import mnist
from engine.data.preprocessing import Preprocessing
from engine.data.shapes import shapes

SHIPPED = {
    "digits": "Handwritten digits (UCI, 1,797 pictures)",
    "shapes": "Shapes and textures (generated)",
}
"""Names and titles of the data sets that need no file. ``mnist:FOLDER`` reads MNIST's files."""

SHAPES_PER_CLASS = 200


def load(name: str, wanted: Preprocessing | None = None) -> tuple[Dataset, Dataset]:
    """(training, held-out) of a data set; resized to ``wanted`` and normalised as it says.

    Without ``wanted`` as the data set itself has it. Raises DataError for an unknown name or files
    that cannot be read.
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
    """The same pictures, each fitted to size and channels and normalised as ``wanted`` says.

    ``invert`` is for pictures on paper; those of a data set are as the network learns them.
    """
    wanted = dataclasses.replace(wanted, invert=False)
    images = dataset.images
    if images.shape[1:] != wanted.shape:
        plain = dataclasses.replace(
            wanted, mean=(0.0,) * wanted.channels, std=(1.0,) * wanted.channels
        )
        images = np.stack([plain.apply(image) for image in images])
    return Dataset(dataset.name, images, dataset.labels, dataset.classes, wanted, dataset.credit)
