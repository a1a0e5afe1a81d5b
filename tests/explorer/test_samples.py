"""Pictures for networks of any input: shipped, drawn, and from files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.data.digits import digits
from engine.data.errors import DataError
from engine.data.idx import MNIST_PREPROCESSING
from engine.data.preprocessing import Preprocessing
from engine.data.shapes import KINDS
from engine.data.strokes import Drawing, Stroke, as_mnist
from explorer import samples

DIGITS = tuple("0123456789")
DRAWING = Drawing((Stroke(((0.2, 0.2), (0.8, 0.2), (0.4, 0.9))),), label=7)


def file(path: Path, values: np.ndarray) -> Path:
    Image.fromarray(values).save(path)
    return path


@pytest.mark.parametrize(
    "shape",
    [
        (1, 28, 28),
        (1, 8, 8),
        (3, 32, 32),
        (3, 17, 5),
        (1, 1, 1),
        (2, 9, 9),
        (6, 14, 14),
        (784,),
        (10,),
        (1,),
        (5, 7),
        (2, 3, 6, 6),
    ],
)
def test_every_input_gets_pictures(shape: tuple[int, ...], tmp_path: Path) -> None:
    shown = list(samples.shipped(shape, None, DIGITS))
    shown.append(samples.from_drawing(DRAWING, shape, None, DIGITS, "your drawing"))
    grey = np.arange(120, dtype=np.uint8).reshape(10, 12)
    shown.append(samples.from_file(file(tmp_path / "x.png", grey), shape, None))
    assert len(shown) > 10
    for sample in shown:
        assert sample.x.shape == shape and sample.x.dtype == np.float32
        assert np.isfinite(sample.x).all()
        assert sample.image.ndim == 3 and sample.image.shape[0] in (1, 3)
        assert sample.image.min() >= 0 and sample.image.max() <= 1
        assert sample.origin


def test_only_grey_and_colour_pictures_are_pictures() -> None:
    assert samples.is_picture((1, 5, 5)) and samples.is_picture((3, 5, 5))
    assert not any(map(samples.is_picture, [(2, 5, 5), (784,), (5, 5), (1, 1, 5, 5)]))


def test_a_vector_is_a_square_where_it_can_be() -> None:
    assert samples.plain_preprocessing((784,)).size == (28, 28)
    assert samples.plain_preprocessing((10,)).size == (1, 10)
    sample = samples.from_drawing(DRAWING, (784,), None, DIGITS, "")
    np.testing.assert_allclose(sample.x.reshape(28, 28), as_mnist(DRAWING), atol=1e-6)


def test_more_channels_repeat_the_grey_picture() -> None:
    sample = samples.from_drawing(DRAWING, (6, 14, 14), None, DIGITS, "")
    assert np.ptp(sample.x) > 0.5
    assert all(np.array_equal(sample.x[c], sample.x[0]) for c in range(6))


def test_a_drawing_goes_through_the_networks_own_preprocessing() -> None:
    sample = samples.from_drawing(DRAWING, (1, 28, 28), MNIST_PREPROCESSING, DIGITS, "mine")
    np.testing.assert_allclose(sample.x[0], (as_mnist(DRAWING) - 0.1307) / 0.3081, atol=1e-5)
    np.testing.assert_allclose(sample.image[0], as_mnist(DRAWING), atol=1e-5)
    assert sample.label == 7 and sample.origin == "mine" and sample.drawing is DRAWING


def test_an_odd_size_keeps_the_drawings_aspect() -> None:
    wide = Preprocessing((10, 30), 1, fit="pad")
    sample = samples.from_drawing(DRAWING, (1, 10, 30), wide, DIGITS, "")
    inked = np.flatnonzero(sample.image[0].max(0) > 0.1)
    assert inked[0] > 5 and inked[-1] < 25


def test_the_shipped_digits_are_held_out_ones() -> None:
    _, test = digits()
    shown = samples.shipped((1, 8, 8), test.preprocessing, DIGITS)
    assert len(shown) == samples.DIGITS
    for i in (0, 30):
        np.testing.assert_allclose(shown[i].x, test.inputs([i])[0], atol=1e-6)
        assert shown[i].label == test.labels[i]
        assert f"held-out picture {i + 1} of 359" in shown[i].origin


def test_a_network_of_shapes_is_shown_shapes() -> None:
    labels = tuple(reversed(KINDS))
    shown = samples.shipped((1, 32, 32), None, labels)
    assert [labels[s.label] for s in shown] == [s.origin.removeprefix("generated ") for s in shown]
    assert {s.label for s in shown} == set(range(len(KINDS)))


class TestLabels:
    def test_a_digit_is_no_class_of_other_names(self) -> None:
        names = ("cat", "dog", "ship", "frog", "car", "deer", "bird", "truck")
        assert samples.from_drawing(DRAWING, (1, 28, 28), None, names, "").label is None

    def test_a_name_has_the_index_of_its_class(self) -> None:
        assert samples.class_of("7", ("9", "8", "7")) == 2
        assert samples.class_of(7, ()) == 7
        assert samples.class_of(None, DIGITS) is None


class TestFiles:
    def test_dark_on_light_is_turned_as_digits_are_learnt(self, tmp_path: Path) -> None:
        paper = np.full((28, 28), 255, np.uint8)
        paper[10:18, 12:16] = 0
        dark = samples.from_file(file(tmp_path / "paper.png", paper), (1, 28, 28), None)
        light = samples.from_file(file(tmp_path / "board.png", 255 - paper), (1, 28, 28), None)
        assert dark.x[0, 14, 14] == 1 and dark.x[0, 0, 0] == 0
        assert np.array_equal(dark.x, light.x) and np.array_equal(dark.image, light.image)
        invert = Preprocessing((28, 28), invert=True)
        for name in ("paper.png", "board.png"):
            again = samples.from_file(tmp_path / name, (1, 28, 28), invert)
            assert np.array_equal(again.x, dark.x)

    def test_a_colour_picture_keeps_its_colours(self, tmp_path: Path) -> None:
        red = np.zeros((9, 9, 3), np.uint8)
        red[..., 0] = 255
        path = file(tmp_path / "red.png", red)
        colour = samples.from_file(path, (3, 9, 9), None)
        assert (colour.x[0] == 1).all() and (colour.x[1:] == 0).all()
        grey = samples.from_file(path, (1, 9, 9), None)
        np.testing.assert_allclose(grey.x, 0.299, atol=1e-6)
        assert colour.label is None and colour.origin == "red.png"

    def test_a_file_that_is_no_picture(self, tmp_path: Path) -> None:
        (tmp_path / "notes.png").write_text("not a picture")
        with pytest.raises(DataError, match="notes.png"):
            samples.from_file(tmp_path / "notes.png", (1, 8, 8), None)
