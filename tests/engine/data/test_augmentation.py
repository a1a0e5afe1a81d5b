"""Augmentation: exact turns, shifts and flips; paper at the border; seeded, and off by default."""

from typing import Any

import numpy as np
import pytest

from engine.data.augmentation import (
    Augmentation,
    cut_out,
    flipped,
    paper,
    shifted,
    warped,
)
from engine.data.errors import DataError
from engine.layers.base import HyperparameterError


def pictures(n: int = 6, channels: int = 2, height: int = 7, width: int = 7, seed: int = 0) -> Any:
    return np.random.default_rng(seed).random((n, channels, height, width), dtype=np.float32)


def framed(n: int = 4, side: int = 9) -> Any:
    """Random inside, 0.25 all round: paper is 0.25."""
    x = np.full((n, 1, side, side), 0.25, np.float32)
    x[:, :, 2:-2, 2:-2] = pictures(n, 1, side - 4, side - 4)
    return x


def test_paper_is_the_median_of_the_border_alone() -> None:
    x = pictures()
    border = np.concatenate([x[0, 1, 0], x[0, 1, -1], x[0, 1, :, 0], x[0, 1, :, -1]])
    assert paper(x)[0, 1] == np.median(border)
    x[:, :, 1:-1, 1:-1] = 9
    assert paper(x)[0, 1] == np.median(border)


def test_a_shift_moves_whole_pixels_and_brings_in_paper() -> None:
    x = framed()
    rows, columns = np.array([2, -1, 0, 0]), np.array([1, 0, -2, 0])
    y = shifted(x, rows, columns)
    assert y.dtype == np.float32 and y.shape == x.shape
    assert np.array_equal(y[0, 0, 2:, 1:], x[0, 0, :-2, :-1])
    assert np.array_equal(y[1, 0, :-1], x[1, 0, 1:])
    assert np.array_equal(y[2, 0, :, :-2], x[2, 0, :, 2:])
    assert np.array_equal(y[3], x[3])
    assert (y[0, 0, :2] == 0.25).all() and (y[0, 0, :, 0] == 0.25).all()
    assert not np.array_equal(y[0], x[0])


def test_a_shift_beyond_the_picture_leaves_paper() -> None:
    x = framed(1)
    assert (shifted(x, np.array([20]), np.array([0])) == 0.25).all()


def test_flips_are_involutions_of_the_pictures_chosen() -> None:
    x = pictures()
    across = np.array([1, 0, 1, 0, 1, 0], bool)
    down = np.array([0, 0, 1, 1, 0, 0], bool)
    y = flipped(x, across, down)
    assert np.array_equal(y[0], x[0, :, :, ::-1])
    assert np.array_equal(y[1], x[1])
    assert np.array_equal(y[2], x[2, :, ::-1, ::-1])
    assert np.array_equal(y[3], x[3, :, ::-1])
    assert np.array_equal(flipped(y, across, down), x)


@pytest.mark.parametrize("side", [6, 7])
@pytest.mark.parametrize("quarters", [-2, -1, 0, 1, 2, 3])
def test_quarter_turns_are_exact(quarters: int, side: int) -> None:
    x = pictures(height=side, width=side)
    y = warped(x, np.full(len(x), 90.0 * quarters))
    assert np.array_equal(y, np.rot90(x, quarters, (2, 3)))


def test_a_turn_interpolates_between_the_four_neighbours() -> None:
    x = pictures(1, 1, 5, 5)
    y = warped(x, np.array([30.0]))[0, 0]
    # The pixel one to the right of the centre comes from 30 degrees below it.
    row, column = 2 + np.sin(np.pi / 6), 2 + np.cos(np.pi / 6)
    r, c = int(row), int(column)
    a, b = row - r, column - c
    p = x[0, 0].astype(np.float64)
    wanted = (1 - a) * ((1 - b) * p[r, c] + b * p[r, c + 1]) + a * (
        (1 - b) * p[r + 1, c] + b * p[r + 1, c + 1]
    )
    assert y[2, 3] == pytest.approx(wanted, abs=1e-6)
    assert y[2, 2] == pytest.approx(p[2, 2], abs=1e-6)


def test_what_is_turned_in_from_outside_is_paper() -> None:
    x = framed(1, 15)
    y = warped(x, np.array([45.0]))
    assert y[0, 0, 0, 0] == pytest.approx(0.25, abs=1e-6)
    assert y.min() >= x.min() and y.max() <= x.max()


def test_a_crop_enlarges_the_middle() -> None:
    x = np.zeros((1, 1, 8, 8), np.float32)
    x[0, 0, 2:6, 2:6] = np.arange(16).reshape(4, 4)
    y = warped(x, np.zeros(1), np.array([0.5]))
    # Each pixel of the middle half becomes two: the place 3.5 + 0.5 · (j − 3.5).
    assert y[0, 0, 3, 3] == pytest.approx(x[0, 0, 3:5, 3:5].ravel() @ [9, 3, 3, 1] / 16)
    moved = warped(x, np.zeros(1), np.ones(1), np.array([[1.0, -2.0]]))
    assert np.array_equal(moved[0, 0, :-1, 2:], x[0, 0, 1:, :-2])


def test_cutout_blanks_a_square_and_loses_what_lies_outside() -> None:
    x = np.ones((3, 2, 8, 10), np.float32)
    y = cut_out(x, np.array([4, 0, 7]), np.array([5, 0, 9]), 4)
    blank = (y == 0).sum((1, 2, 3)) // 2
    assert blank.tolist() == [16, 4, 9]
    assert (y[0, :, 2:6, 3:7] == 0).all() and (y[1, :, :2, :2] == 0).all()
    assert (x == 1).all()


def test_nothing_is_done_unless_asked_for() -> None:
    off = Augmentation()
    assert not off.active and Augmentation(shift=1).active
    x = pictures()
    assert off(x, np.random.default_rng(0)) is x


@pytest.mark.parametrize(
    "one",
    [
        Augmentation(shift=2),
        Augmentation(rotate=20.0),
        Augmentation(crop=0.3),
        Augmentation(flip="left-right"),
        Augmentation(flip="both"),
        Augmentation(cutout=3),
        Augmentation(shift=1, rotate=10.0, crop=0.2, flip="up-down", cutout=2),
    ],
)
def test_each_kind_changes_pictures_by_seed_alone(one: Augmentation) -> None:
    x = pictures(32, 3, 8, 6)
    before = x.copy()
    y = one(x, np.random.default_rng(5))
    assert y.shape == x.shape and y.dtype == np.float32
    assert np.array_equal(x, before) and not np.array_equal(y, x)
    assert np.array_equal(y, one(x, np.random.default_rng(5)))
    assert not np.array_equal(y, one(x, np.random.default_rng(6)))
    assert Augmentation.from_dict(one.as_dict()) == one


def test_shifts_reach_all_places_and_none_beyond() -> None:
    x = np.zeros((400, 1, 9, 9), np.float32)
    x[:, :, 4, 4] = 1
    y = Augmentation(shift=2)(x, np.random.default_rng(1))
    places = {tuple(place) for place in np.argwhere(y[:, 0] == 1)[:, 1:].tolist()}
    assert places == {(r, c) for r in range(2, 7) for c in range(2, 7)}


def test_left_right_never_turns_a_picture_over() -> None:
    x = pictures(64)
    y = Augmentation(flip="left-right")(x, np.random.default_rng(0))
    mirrored = [np.array_equal(b, a[:, :, ::-1]) for a, b in zip(x, y, strict=True)]
    same = [np.array_equal(a, b) for a, b in zip(x, y, strict=True)]
    assert all(m or s for m, s in zip(mirrored, same, strict=True))
    assert 16 < sum(mirrored) < 48


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"shift": -1}, "Augmentation.shift: expected at least 0"),
        ({"rotate": 181}, "Augmentation.rotate: expected at most 180"),
        ({"crop": 1.0}, "Augmentation.crop: expected at most 0.9"),
        ({"flip": "inside out"}, "Augmentation.flip: expected one of none, left-right"),
        ({"cutout": 1.5}, "Augmentation.cutout: expected a whole number"),
    ],
)
def test_numbers_out_of_range_say_so(values: dict[str, Any], words: str) -> None:
    with pytest.raises(HyperparameterError, match=words):
        Augmentation(**values)


def test_unknown_data_says_what_is_known() -> None:
    with pytest.raises(DataError, match="expected shift, rotate, crop, flip, cutout"):
        Augmentation.from_dict({"zoom": 2})


def test_up_down_turns_over_and_mirrors_nothing() -> None:
    x = pictures(64)
    y = Augmentation(flip="up-down")(x, np.random.default_rng(0))
    over = [np.array_equal(b, a[:, ::-1]) for a, b in zip(x, y, strict=True)]
    same = [np.array_equal(a, b) for a, b in zip(x, y, strict=True)]
    assert all(m or s for m, s in zip(over, same, strict=True))
    assert 16 < sum(over) < 48


def test_both_flips_reach_all_four() -> None:
    x = np.arange(4, dtype=np.float32).reshape(1, 1, 2, 2).repeat(64, 0)
    y = Augmentation(flip="both")(x, np.random.default_rng(0))
    assert {tuple(a.ravel().tolist()) for a in y} == {
        (0, 1, 2, 3),
        (1, 0, 3, 2),
        (2, 3, 0, 1),
        (3, 2, 1, 0),
    }


def test_a_crop_lies_wholly_in_the_picture() -> None:
    """Rows of a ramp stay a ramp: paper from beyond the border would bend it."""
    ramp = np.arange(12, dtype=np.float32)[None, None, :, None].repeat(64, 0).repeat(12, 3)
    y = Augmentation(crop=0.5)(ramp, np.random.default_rng(0))
    steps = np.diff(y[:, 0, 1:-1, 5], axis=1)  # at the very edge a pixel reaches half beyond
    assert np.allclose(steps, steps[:, :1], atol=1e-4)
    assert 0.5 <= steps.min() < 0.6 and 0.9 < steps.max() <= 1 + 1e-4
    middles = y[:, 0, 5:7, 5].mean(1)
    assert middles.min() < 4.5 and middles.max() > 6.5
