"""Scales: exact ends, exact zero, own colours for what is no number, and no warnings."""

import numpy as np
import pytest

from explorer import theme
from explorer.tensors.scales import (
    CENTRE,
    Scale,
    WidthScale,
    channel_scale,
    colourise,
    edge_width,
    format_number,
    lut,
    oklab,
    scale_for,
    srgb,
    width_scale_for,
)

THEMES = pytest.mark.parametrize("tokens", [theme.LIGHT, theme.DARK], ids=lambda t: t.name)


def lightness(colours: np.ndarray) -> np.ndarray:
    rgb = np.stack([(colours >> 16) & 255, (colours >> 8) & 255, colours & 255], -1) / 255
    return oklab(rgb)[..., 0]


def argb(colour: str) -> int:
    return 0xFF000000 | int(colour[1:], 16)


def test_oklab_of_white_black_and_back() -> None:
    assert oklab(np.ones(3)) == pytest.approx([1, 0, 0], abs=1e-4)
    assert oklab(np.zeros(3)) == pytest.approx([0, 0, 0], abs=1e-9)
    colour = np.array([0.2, 0.6, 0.9])
    assert srgb(oklab(colour)) == pytest.approx(colour, abs=1e-5)


@THEMES
def test_sequential_lightness_rises_evenly(tokens: theme.Tokens) -> None:
    steps = np.diff(lightness(lut(tokens, "sequential").colours))
    assert steps.min() > 0
    assert steps.max() < 2.5 * steps.mean()


@THEMES
def test_diverging_is_symmetric_in_lightness(tokens: theme.Tokens) -> None:
    values = lightness(lut(tokens, "diverging").colours[:255])
    assert values == pytest.approx(values[::-1], abs=0.02)
    arm = np.diff(values[CENTRE:])
    assert (arm > -0.003).all() if tokens.dark else (arm < 0.003).all()
    assert (values[CENTRE] < 0.3) == tokens.dark


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int64, np.uint8])
def test_ends_take_the_end_colours(dtype: type) -> None:
    array = np.array([0, 1, 2, 100], dtype)
    table = lut(theme.LIGHT, "sequential")
    colours = colourise(array, scale_for(array, "sequential"), table)
    assert colours.dtype == np.uint32
    assert colours[0] == table.colours[0]
    assert colours[3] == table.colours[255]


def test_zero_is_exactly_the_centre_of_a_diverging_scale() -> None:
    array = np.array([-3.0, -1e-9, 0.0, 1.0])
    scale = scale_for(array, "diverging")
    assert (scale.low, scale.high) == (-3.0, 3.0)
    table = lut(theme.LIGHT, "diverging")
    colours = colourise(array, scale, table)
    assert colours[2] == table.colours[CENTRE]
    assert colours[0] == table.colours[0]
    assert colourise(np.array([3.0]), scale, table)[0] == table.colours[254]


def test_nan_and_infinities_have_their_own_colours_and_do_not_stretch() -> None:
    array = np.array([np.nan, np.inf, -np.inf, 1.0, 2.0], np.float32)
    scale = scale_for(array, "sequential")
    assert (scale.low, scale.high) == (1.0, 2.0)
    table = lut(theme.LIGHT, "sequential")
    assert colourise(array, scale, table).tolist() == [
        argb(theme.LIGHT.nan),
        argb(theme.LIGHT.infinity),
        argb(theme.LIGHT.minus_infinity),
        table.colours[0],
        table.colours[255],
    ]
    assert scale_for(array[:1], "diverging") == Scale("diverging", 0.0, 0.0)


def test_constant_and_empty_arrays() -> None:
    table = lut(theme.LIGHT, "sequential")
    array = np.full((2, 3), 5.0)
    assert (colourise(array, scale_for(array, "sequential"), table) == table.colours[0]).all()
    zeros = np.zeros((2, 2), np.float32)
    diverging = lut(theme.LIGHT, "diverging")
    colours = colourise(zeros, scale_for(zeros, "diverging"), diverging)
    assert (colours == diverging.colours[CENTRE]).all()
    empty = np.zeros((0, 4, 4))
    assert colourise(empty, scale_for(empty, "sequential", "per channel"), table).shape == (0, 4, 4)
    assert scale_for(None, "diverging") == Scale("diverging", 0.0, 0.0)


@pytest.mark.parametrize("size", [1e-320, 1e-40, 1e-20, 1e30, 1e300, 1.7e308])
def test_the_whole_range_of_float64_is_coloured(size: float) -> None:
    array = np.array([-size, 0, size / 2, size])
    table = lut(theme.LIGHT, "diverging")
    colours = colourise(array, scale_for(array, "diverging"), table)
    assert colours[0] == table.colours[0]
    assert colours[1] == table.colours[CENTRE]
    assert colours[3] == table.colours[254]
    assert colours[2] in table.colours[CENTRE + 60 : CENTRE + 68]


@pytest.mark.parametrize("size", [1e-44, 1e-30, 3e38])
def test_the_whole_range_of_float32_is_coloured(size: float) -> None:
    array = np.array([-size, 0, size], np.float32)
    table = lut(theme.LIGHT, "diverging")
    wanted = table.colours[[0, CENTRE, 254]]
    assert (colourise(array, scale_for(array, "diverging"), table) == wanted).all()


def test_per_channel_stretches_each_and_frozen_clips() -> None:
    array = np.array([[[0.0, 1.0]], [[0.0, 100.0]], [[7.0, 7.0]]])
    scale = scale_for(array, "sequential", "per channel")
    table = lut(theme.LIGHT, "sequential")
    colours = colourise(array, scale, table)
    assert colours[0, 0, 1] == colours[1, 0, 1] == table.colours[255]
    assert (colours[2] == table.colours[0]).all()
    assert channel_scale(array, scale, 1).high == 100.0
    frozen = Scale("sequential", 0.0, 1.0)
    assert scale_for(array, "sequential", "frozen", frozen) is frozen
    clipped = colourise(np.array([-5.0, 50.0]), frozen, table)
    assert clipped.tolist() == [table.colours[0], table.colours[255]]
    with pytest.raises(ValueError, match="'per channel'"):
        scale_for(array, "sequential", "each")  # type: ignore[arg-type]


def test_per_channel_with_nan_in_one_channel() -> None:
    array = np.array([[[np.nan, 1.0, 3.0]], [[np.nan, np.nan, np.nan]]], np.float32)
    table = lut(theme.LIGHT, "sequential")
    colours = colourise(array, scale_for(array, "sequential", "per channel"), table)
    assert colours[0, 0].tolist() == [table.nan, table.colours[0], table.colours[255]]
    assert (colours[1] == table.nan).all()


def test_the_argument_is_not_written_to() -> None:
    array = np.array([1.0, np.nan, np.inf], np.float32)
    array.setflags(write=False)
    colourise(array, scale_for(array, "grey"), lut(theme.LIGHT, "grey"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (0.314159, "0.314"),
        (-2.5, "−2.5"),
        (1234.5, "1234"),
        (0.00012, "1.20e−4"),
        (-3.2e9, "−3.20e9"),
        (float("nan"), "NaN"),
        (float("-inf"), "−∞"),
        (100.0, "100"),
    ],
)
def test_numbers_on_the_screen(value: float, text: str) -> None:
    assert format_number(value) == text


def test_edge_widths_are_logarithmic() -> None:
    scale = WidthScale(1e-4, 1.0)
    m = theme.metrics()
    assert edge_width(0.0, scale) == 0.0
    assert edge_width(1.0, scale) == m.edge_thickest
    assert edge_width(1e-9, scale) == m.edge_thinnest
    middle = (m.edge_thinnest + m.edge_thickest) / 2
    assert edge_width(1e-2, scale) == pytest.approx(middle)
    assert edge_width(float("nan"), scale) == m.edge_thickest
    ticks = scale.ticks()
    assert [norm for norm, _ in ticks] == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1, 1])
    assert [width for _, width in ticks] == sorted(width for _, width in ticks)
    assert width_scale_for([0.0, 3e-3, np.nan, 0.5]) == WidthScale(1e-3, 1.0)
    assert width_scale_for([]) == WidthScale(1e-4, 1.0)
