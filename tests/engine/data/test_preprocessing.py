import json
from dataclasses import replace

import numpy as np
import pytest

from engine.data.errors import DataError
from engine.data.preprocessing import Preprocessing, as_unit, is_dark_on_light

PLAIN = Preprocessing((2, 2))


def test_uint8_and_floats_give_the_same_input():
    image = np.array([[0, 51], [102, 255]], np.uint8)
    prepared = Preprocessing((2, 2), 1, (0.2,), (0.4,))
    x = prepared.apply(image)
    assert x.dtype == np.float32
    np.testing.assert_allclose(x, [[[-0.5, 0], [0.5, 2]]], atol=1e-6)
    np.testing.assert_allclose(prepared.apply(image / 255), x, atol=1e-6)
    np.testing.assert_allclose(prepared.apply(image[None]), x)


def test_invert_comes_before_the_normalisation_and_restore_undoes_both():
    prepared = Preprocessing((2, 2), 1, (0.2,), (0.4,), invert=True)
    image = np.array([[0, 0.25], [0.5, 1]], np.float32)
    x = prepared.apply(image)
    np.testing.assert_allclose(x, [[[2, 1.375], [0.75, -0.5]]], atol=1e-6)
    np.testing.assert_allclose(prepared.restore(x), image[None], atol=1e-6)


def test_colour_becomes_grey_by_luma_and_grey_is_repeated():
    red = np.zeros((3, 2, 2), np.uint8)
    red[0] = 255
    np.testing.assert_allclose(PLAIN.apply(red), np.full((1, 2, 2), 0.299), atol=1e-6)
    colour = Preprocessing((2, 2), 3, (0, 0.5, 1), (1, 1, 1))
    x = colour.apply(np.full((2, 2), 255, np.uint8))
    assert x[:, 0, 0].tolist() == [1, 0.5, 0]


def test_shrinking_averages_areas():
    image = np.arange(16, dtype=np.float32).reshape(4, 4) / 15
    means = image.reshape(2, 2, 2, 2).mean((1, 3))
    np.testing.assert_allclose(PLAIN.apply(image)[0], means, atol=1e-6)


def test_fit_stretches_crops_or_pads():
    image = np.array([[0, 1, 1, 0], [0, 1, 1, 0]], np.float32)
    assert PLAIN.apply(image)[0].tolist() == [[0.5, 0.5], [0.5, 0.5]]
    assert replace(PLAIN, fit="crop").apply(image)[0].tolist() == [[1, 1], [1, 1]]
    # Padded to 4x4 with the border's median, then halved.
    image = np.array([[0, 0, 0, 0], [0, 1, 0, 0]], np.float32)
    padded = replace(PLAIN, size=(4, 4), fit="pad").apply(image)[0]
    assert padded.tolist() == [[0] * 4, [0] * 4, [0, 1, 0, 0], [0] * 4]


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 200), (200, 1), (31, 17), (28, 28)])
def test_any_picture_becomes_the_one_shape(fit, shape):
    x = Preprocessing((28, 20), 3, (0.0,) * 3, (1.0,) * 3, fit=fit).apply(np.ones(shape))
    assert x.shape == (3, 28, 20)
    np.testing.assert_allclose(x, 1, atol=1e-6)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((2, 2, 2)), "expected .height, width"),
        (np.zeros((4, 2, 2)), "expected .height, width"),
        (np.zeros((0, 2)), "expected .height, width"),
        (np.zeros((2, 2), np.int64), "dtype int64"),
        (np.full((2, 2), 2.0), r"from 2 to 2: expected floats in \[0, 1\]"),
        (np.full((2, 2), np.nan), "nan"),
    ],
)
def test_what_is_no_picture_is_refused(image, message):
    with pytest.raises(DataError, match=message):
        PLAIN.apply(image)


@pytest.mark.parametrize(
    "changes",
    [
        {"size": (0, 2)},
        {"channels": 2},
        {"mean": (0.0, 0.0)},
        {"mean": (float("nan"),)},
        {"std": (0.0,)},
        {"fit": "squeeze"},
    ],
)
def test_impossible_settings_are_refused(changes):
    with pytest.raises(DataError, match="expected"):
        replace(PLAIN, **changes)


def test_it_goes_through_json_unchanged():
    value = Preprocessing((28, 20), 3, (0.1, 0.2, 0.3), (1.0, 2.0, 3.0), True, "crop")
    assert Preprocessing.from_dict(json.loads(json.dumps(value.as_dict()))) == value


@pytest.mark.parametrize(
    "data",
    [
        {},
        [],
        None,
        {"size": 3},
        {**PLAIN.as_dict(), "size": [1]},
        {**PLAIN.as_dict(), "mean": ["x"]},
    ],
)
def test_damaged_plain_data_is_refused(data):
    with pytest.raises(DataError, match=r"expected|without"):
        Preprocessing.from_dict(data)


def test_paper_is_told_from_a_black_ground():
    digit = np.zeros((8, 8), np.uint8)
    digit[2:6, 3:5] = 255
    assert not is_dark_on_light(digit)
    assert is_dark_on_light(255 - digit)


def test_as_unit_makes_a_copy():
    image = np.ones((2, 2), np.float32)
    as_unit(image)[0] = 0
    assert image.all()
