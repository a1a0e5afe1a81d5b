"""Data sets as frozen values: pictures, labels, splits and batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.data.errors import DataError
from engine.data.preprocessing import Preprocessing, as_unit


@dataclass(frozen=True, eq=False, slots=True)
class Dataset:
    """Labelled pictures, read-only.

    images: (N, C, H, W), uint8, or float32 in [0, 1].
    labels: int64 (N,), each an index into `classes`.
    preprocessing: what turns an image into an input; its mean and std belong to the training part.
    credit: whose work it is and its licence, to be shown where the data is shown.
    """

    name: str
    images: NDArray[Any]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    credit: str = ""

    def __post_init__(self) -> None:
        images, labels = self.images, np.asarray(self.labels)
        if images.ndim != 4 or images.dtype not in (np.uint8, np.float32):
            raise DataError(
                f"{self.name}: images {images.dtype} {images.shape}: "
                "expected uint8 or float32 (N, C, H, W)"
            )
        if images.shape[1:] != self.preprocessing.shape:
            raise DataError(
                f"{self.name}: images are {images.shape[1:]} but the preprocessing makes "
                f"{self.preprocessing.shape}; give both the same channels, height and width"
            )
        if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
            raise DataError(
                f"{self.name}: labels {labels.dtype} {labels.shape}: "
                f"expected {images.shape[0]} integers, one per image"
            )
        if labels.size and not 0 <= labels.min() <= labels.max() < len(self.classes):
            raise DataError(
                f"{self.name}: labels from {labels.min()} to {labels.max()}: "
                f"expected 0 to {len(self.classes) - 1}, one per class"
            )
        # Views, so that the caller's arrays stay writable; these here do not.
        for field, array in (("images", images.view()), ("labels", labels.astype(np.int64))):
            array.flags.writeable = False
            object.__setattr__(self, field, array)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def counts(self) -> NDArray[np.int64]:
        """Images per class, int64 (len(classes),)."""
        return np.bincount(self.labels, minlength=len(self.classes))

    def take(self, indices: ArrayLike, name: str | None = None) -> Dataset:
        """The images at `indices` (or where a mask is true), in that order."""
        chosen = np.asarray(indices)
        return Dataset(
            name or self.name,
            self.images[chosen],
            self.labels[chosen],
            self.classes,
            self.preprocessing,
            self.credit,
        )

    def split(self, test_fraction: float, *, seed: int) -> tuple[Dataset, Dataset]:
        """(train, test), disjoint, drawn by seed from each class in the same proportion."""
        test = stratified(self.labels, test_fraction, seed=seed)
        return self.split_at(test)

    def split_at(self, test: ArrayLike) -> tuple[Dataset, Dataset]:
        """(train, test) by fixed test indices; both keep the order of the whole."""
        mask = np.zeros(len(self), bool)
        mask[np.asarray(test)] = True
        return self.take(~mask, f"{self.name}, train"), self.take(mask, f"{self.name}, test")

    def inputs(self, indices: ArrayLike | slice = slice(None)) -> NDArray[np.float32]:
        """The images at `indices` as network inputs, float32 (n, C, H, W), freshly made."""
        chosen = indices if isinstance(indices, slice) else np.asarray(indices)
        return self.preprocessing.normalise(as_unit(self.images[chosen]))

    def batches(
        self,
        batch_size: int,
        *,
        seed: int | None,
        epoch: int = 0,
        drop_last: bool = False,
        skip: int = 0,
    ) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        """One pass over the data as (x float32 (n, C, H, W), y int64 (n,)).

        The order depends on (seed, epoch) alone; with seed None it is that of the data set.
        The last batch may be smaller, unless drop_last. The first ``skip`` batches are left out.
        """
        if batch_size < 1:
            raise DataError(f"batch_size {batch_size}: expected at least 1")
        order = np.arange(len(self))
        if seed is not None:
            order = np.random.default_rng((seed, epoch)).permutation(len(self))
        stop = len(self) - len(self) % batch_size if drop_last else len(self)
        return (
            (self.inputs(rows), self.labels[rows])
            for rows in (
                order[at : at + batch_size] for at in range(skip * batch_size, stop, batch_size)
            )
        )


def stratified(
    labels: NDArray[np.integer[Any]], fraction: float, *, seed: int
) -> NDArray[np.int64]:
    """Sorted indices of round(fraction * n) random examples of each class, for a test set."""
    if not 0 < fraction < 1:
        raise DataError(f"test fraction {fraction}: expected a number between 0 and 1")
    random = np.random.default_rng(seed)
    chosen = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        chosen.append(random.permutation(members)[: round(fraction * len(members))])
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def channel_statistics(images: NDArray[Any]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(mean, std) per channel of (N, C, H, W) images in [0, 1] or uint8, in float64, 4 digits.

    Exact for uint8 by counting values, so that 60,000 images need no float copy.
    """
    mean, std = [], []
    for channel in range(images.shape[1]):
        plane = images[:, channel]
        if images.dtype == np.uint8:
            counts = np.bincount(plane.ravel(), minlength=256)
            values = np.arange(256) / 255
        else:
            values, counts = np.unique(plane, return_counts=True)
            values = values.astype(np.float64)
        centre = float(counts @ values / counts.sum())
        spread = float(np.sqrt(counts @ (values - centre) ** 2 / counts.sum()))
        mean.append(round(centre, 4))
        # A constant channel is only centred: dividing by its spread of 0 would give NaN.
        std.append(round(spread, 4) or 1.0)
    return tuple(mean), tuple(std)
