"""Data sets by name, fitted to what a network takes."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from engine.data import catalogue
from engine.data.dataset import Dataset
from engine.data.digits import digits
from engine.data.errors import DataError
from engine.data.preprocessing import Preprocessing

PLAIN_28 = Preprocessing((28, 28), 1, (0.5,), (0.25,), fit="pad")


def test_every_shipped_name_loads_with_its_own_preprocessing() -> None:
    for name in catalogue.SHIPPED:
        training, held_out = catalogue.load(name)
        assert training.preprocessing == held_out.preprocessing
        assert training.classes == held_out.classes
        assert len(training) > 3 * len(held_out) > 0
        assert training.counts.min() > 0 and held_out.counts.min() > 0


def test_the_data_set_itself_is_given_where_it_fits() -> None:
    training, held_out = catalogue.load("digits", digits()[0].preprocessing)
    assert training is digits()[0] and held_out is digits()[1]


def test_digits_are_fitted_to_a_larger_grey_input() -> None:
    training, held_out = catalogue.load("digits", PLAIN_28)
    assert (len(training), len(held_out)) == (1438, 359)
    assert training.images.shape == (1438, 1, 28, 28) and training.images.dtype == np.float32
    assert training.images.min() == 0 and training.images.max() <= 1
    assert np.array_equal(training.labels, digits()[0].labels)
    x = training.inputs([0, 5])
    np.testing.assert_allclose(x, (training.images[[0, 5]] - 0.5) / 0.25, atol=1e-6)


def test_a_picture_is_fitted_as_the_program_fits_a_file() -> None:
    """What a network is trained on and what it is shown are made the same way."""
    wide = Preprocessing((12, 20), 1, fit="pad")
    training, _ = catalogue.load("digits", wide)
    for index in (0, 7, 100):
        own = wide.apply(digits()[0].images[index])
        assert np.array_equal(training.inputs([index])[0], own)
    # padded at the sides, not stretched: the outermost columns are background
    assert np.ptp(training.images[:, :, :, 0], axis=(1, 2)).max() == 0


def test_grey_pictures_are_repeated_for_a_colour_input() -> None:
    colour = Preprocessing((8, 8), 3, (0.0, 0.1, 0.2), (1.0, 1.0, 2.0))
    training, _ = catalogue.load("digits", colour)
    original = digits()[0].images[3, 0]
    assert training.images.shape[1:] == (3, 8, 8)
    x = training.inputs([3])[0]
    np.testing.assert_allclose(x[0], original, atol=1e-6)
    np.testing.assert_allclose(x[1], original - 0.1, atol=1e-6)
    np.testing.assert_allclose(x[2], (original - 0.2) / 2, atol=1e-6)


def test_colour_becomes_grey_by_luma_as_for_a_file() -> None:
    image = np.zeros((1, 3, 2, 2), np.uint8)
    image[0, 0] = 255  # pure red
    red = Dataset("red", image, np.array([0]), ("r",), Preprocessing((2, 2), 3, (0,) * 3, (1,) * 3))
    grey = catalogue.fitted(red, Preprocessing((2, 2), 1))
    np.testing.assert_allclose(grey.inputs(), np.full((1, 1, 2, 2), 0.299), atol=1e-6)


def test_another_normalisation_alone_keeps_the_bytes() -> None:
    image = np.arange(8, dtype=np.uint8).reshape(2, 1, 2, 2)
    data = Dataset("x", image, np.array([0, 1]), ("a", "b"), Preprocessing((2, 2)))
    other = catalogue.fitted(data, Preprocessing((2, 2), 1, (0.5,), (0.5,)))
    assert other.images.dtype == np.uint8
    assert np.shares_memory(other.images, image)
    np.testing.assert_allclose(other.inputs()[0, 0, 0], [-1, (1 / 255 - 0.5) / 0.5], atol=1e-6)


def test_paper_is_not_turned_in_a_data_set() -> None:
    training, _ = catalogue.load("digits", Preprocessing((8, 8), invert=True))
    np.testing.assert_allclose(training.inputs([2])[0], digits()[0].images[2], atol=1e-6)


def test_an_unknown_name_is_named_with_what_exists() -> None:
    with pytest.raises(DataError, match=r"digits, shapes or mnist:FOLDER, received 'cifar'"):
        catalogue.load("cifar")


def test_mnist_says_which_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="train-images-idx3-ubyte"):
        catalogue.load(f"mnist:{tmp_path}")


def test_mnist_of_another_origin_is_refused(tmp_path: Path) -> None:
    for prefix in ("train", "t10k"):
        pictures = struct.pack(">IIII", 2051, 1, 28, 28) + bytes(784)
        (tmp_path / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(pictures))
        labels = struct.pack(">II", 2049, 1) + b"\x03"
        (tmp_path / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    with pytest.raises(DataError, match="MD5"):
        catalogue.load(f"mnist:{tmp_path}", PLAIN_28)
