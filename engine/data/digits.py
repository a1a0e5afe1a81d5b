"""The 1,797 handwritten 8x8 digits that ship with the program (UCI, CC BY 4.0)."""

from __future__ import annotations

import functools
from importlib import resources

import numpy as np

from engine.data.dataset import Dataset, channel_statistics
from engine.data.preprocessing import Preprocessing


@functools.cache
def digits() -> tuple[Dataset, Dataset]:
    """(train, test): 1,438 and 359 pictures, float32 (N, 1, 8, 8) in [0, 1], light on dark.

    Each value is a count of ink pixels from 0 to 16 in a 4x4 block of a 32x32 bitmap, divided
    by 16. The test fifth is fixed in the file, stratified by class; both parts share the same
    writers. Mean and std are those of the training part.
    Source: UCI Optical Recognition of Handwritten Digits; `credit` must be shown with it.
    """
    file = resources.files("resources").joinpath("data", "digits.npz")
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
        images = (archive["images"][:, None] / np.float32(16)).astype(np.float32)
        labels = archive["labels"].astype(np.int64)
        test = archive["test"].astype(np.int64)
        credit = str(archive["credit"])
    mean, std = channel_statistics(np.delete(images, test, axis=0))
    # A picture of a digit keeps its shape, on more of its own background.
    preprocessing = Preprocessing((8, 8), 1, mean, std, fit="pad")
    classes = tuple("0123456789")
    whole = Dataset("UCI digits", images, labels, classes, preprocessing, credit)
    return whole.split_at(test)
