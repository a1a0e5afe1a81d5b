"""Mosaics: every value at its place, in memory that the image owns."""

import gc

import numpy as np
import pytest
from PySide6.QtWidgets import QApplication

from explorer import theme
from explorer.tensors.mosaic import Arrangement, MosaicLayout, layout_of, mosaic, strip
from explorer.tensors.scales import colourise, lut, scale_for


@pytest.fixture(autouse=True)
def light(qapp: QApplication) -> None:
    theme.set_mode("light")


@pytest.mark.parametrize(
    ("shape", "columns", "gap", "cell"),
    [((5, 3, 4), 2, 1, 1), ((6, 2, 2), 3, 0, 3), ((1, 4, 1), 4, 2, 2), ((7, 1, 1), 3, 1, 1)],
)
def test_every_value_is_at_its_place(
    shape: tuple[int, int, int], columns: int, gap: int, cell: int
) -> None:
    array = np.random.default_rng(3).standard_normal(shape).astype(np.float32)
    scale = scale_for(array, "diverging")
    image = mosaic(array, columns, gap, scale, cell)
    layout = MosaicLayout(*shape, min(columns, shape[0]), gap, cell)
    assert (image.width(), image.height()) == layout.size
    wanted = colourise(array, scale, lut(theme.current(), "diverging"))
    for channel, row, column in np.ndindex(shape):
        rect = layout.cell_rect(channel, row, column)
        for x, y in ((rect.left(), rect.top()), (rect.right() - 1, rect.bottom() - 1)):
            assert image.pixel(int(x), int(y)) == wanted[channel, row, column]
            assert layout.hit(x, y) == (channel, row, column)


def test_gaps_and_missing_channels_have_the_gap_colour_and_no_cell() -> None:
    array = np.ones((3, 2, 2))
    image = mosaic(array, 2, 1, scale_for(array, "sequential"))
    layout = MosaicLayout(3, 2, 2, 2, 1, 1)
    background = 0xFF000000 | int(theme.current().cell_gap[1:], 16)
    for x, y in ((2, 0), (0, 2), (4, 4)):
        assert image.pixel(x, y) == background
        assert layout.hit(x, y) is None
    assert layout.hit(-1, 0) is None
    assert layout.hit(99, 0) is None


def test_the_image_outlives_its_array() -> None:
    array = np.full((4, 8, 8), 2.0, np.float32)
    array[0, 0, 0] = 0
    image = mosaic(array, 2, 1, scale_for(array, "grey"))
    copy = image.copy()
    del array
    gc.collect()
    trash = [np.random.default_rng(i).integers(0, 255, 4000) for i in range(50)]
    assert image == copy and len(trash) == 50


def test_empty_and_wrong_rank() -> None:
    scale = scale_for(None, "grey")
    assert mosaic(np.zeros((0, 3, 3)), 4, 1, scale).width() == 1
    with pytest.raises(ValueError, match=r"got shape \(3, 3\)"):
        mosaic(np.zeros((3, 3)), 1, 1, scale)


@pytest.mark.parametrize("shape", [(2048, 7, 7), (64, 112, 112), (1, 28, 28), (3, 5, 50)])
def test_the_layout_fills_its_area_well(shape: tuple[int, int, int]) -> None:
    layout = layout_of(*shape, 800, 600)
    width, height = layout.size
    best = max(
        min(800 / one.size[0], 600 / one.size[1])
        for one in (
            layout_of(*shape, 800, 600, columns=columns) for columns in range(1, shape[0] + 1)
        )
    )
    assert min(800 / width, 600 / height) >= 0.95 * best


@pytest.mark.parametrize("shape", [(), (5,), (3, 4), (2, 3, 4), (4, 3, 2, 2)])
def test_arrangement_goes_both_ways(shape: tuple[int, ...]) -> None:
    arrangement = Arrangement(shape)
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    maps = arrangement.view(array)
    for place in np.ndindex(maps.shape):
        index = arrangement.index(*place)
        assert array[index] == maps[place]
        assert arrangement.place(index) == place
    assert arrangement.place((99,) * len(shape)) is None or not shape


def test_strip_pages_through_the_channels() -> None:
    array = np.zeros((20, 14, 14), np.float32)
    array[17] = 1
    shown = strip(array, page=2, height=28, scale=scale_for(array, "grey"))
    assert (shown.first, shown.shown, shown.total, shown.pages) == (16, 4, 20, 3)
    assert shown.label == "17–20 of 20"
    assert shown.image.height() == 28
    centres = [shown.image.pixelColor(tile.center()).red() for tile in shown.tiles]
    assert centres == [0, 255, 0, 0]
    assert strip(array, page=99).page == 2


def test_strip_averages_large_maps_and_keeps_nan_visible() -> None:
    array = np.zeros((1, 64, 64), np.float32)
    array[0, ::2] = 1
    scale = scale_for(array, "grey")
    assert strip(array, height=16, scale=scale).image.pixelColor(5, 5).red() in (127, 128)
    array[0, 33, 33] = np.nan
    image = strip(array, height=16, scale=scale).image
    assert image.pixelColor(8, 8).name() == theme.current().nan


def test_strip_of_a_vector_draws_bars_from_zero() -> None:
    vector = np.array([-1.0, 0.5, 1.0, np.nan])
    shown = strip(vector, height=40, scale=scale_for(vector, "diverging"))
    image, background = shown.image, theme.current().cell_gap
    bar = image.width() // 4

    def height(i: int) -> int:
        column = [image.pixelColor(i * bar + bar // 3, y).name() for y in range(40)]
        return sum(colour != background for colour in column)

    assert height(0) == pytest.approx(20, abs=1)
    assert height(1) == pytest.approx(10, abs=1)
    assert height(2) == pytest.approx(20, abs=1)
    assert image.pixelColor(3 * bar + bar // 3, 3).name() == theme.current().nan
    assert strip(np.zeros(0)).shown == 0
