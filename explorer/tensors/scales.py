"""From numbers to colours and widths: the scale is a value, so that it can be drawn and frozen.

No widget is used here; arrays go in and arrays of 0xAARRGGBB come out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from explorer import theme

Kind = Literal["sequential", "diverging", "grey"]
Mode = Literal["shared", "per channel", "frozen"]

# Index of the last colour: 255 steps, or 254 where zero must fall on one colour exactly.
LAST = {"sequential": 255, "grey": 255, "diverging": 254}
CENTRE = 127
OPAQUE = np.uint32(0xFF000000)


@dataclass(frozen=True)
class Scale:
    """What the two ends of a colour ramp mean.

    With ``per_channel`` each channel is stretched to its own range and ``low`` and ``high`` are
    those of the whole tensor; otherwise values beyond them take the colour of the end.
    """

    kind: Kind
    low: float
    high: float
    per_channel: bool = False

    def position(self, value: float) -> float:
        """Where a value lies on the ramp, between 0 and 1; NaN stays NaN."""
        if math.isnan(value):
            return math.nan
        if not self.high > self.low:
            return 0.5 if self.kind == "diverging" else 0.0
        # Halves, so that the span of the widest float64 range does not overflow.
        span = self.high / 2 - self.low / 2
        if span == 0:
            return 0.0
        return min(1.0, max(0.0, (value / 2 - self.low / 2) / span))


@dataclass(frozen=True)
class Lut:
    """A ramp of 256 opaque colours as 0xAARRGGBB, and the colours of what is not a number."""

    colours: NDArray[np.uint32]
    nan: int
    infinity: int
    minus_infinity: int


def _argb(colour: str) -> int:
    return 0xFF000000 | int(colour[1:7], 16)


def _linear(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


# OKLab, Björn Ottosson 2020: linear sRGB → cone response → cube root → lightness and two hues.
_TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def oklab(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """OKLab of sRGB values in 0 … 1; both have shape (…, 3)."""
    return np.cbrt(_linear(np.asarray(rgb, np.float64)) @ _TO_LMS.T) @ _TO_LAB.T


def srgb(lab: NDArray[np.float64]) -> NDArray[np.float64]:
    """sRGB in 0 … 1 of OKLab values, clipped to the gamut; both have shape (…, 3)."""
    linear = (np.asarray(lab, np.float64) @ np.linalg.inv(_TO_LAB).T) ** 3
    linear = np.clip(linear @ np.linalg.inv(_TO_LMS).T, 0, 1)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def _stops(colours: tuple[str, ...]) -> NDArray[np.float64]:
    rgb = [[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in colours]
    return oklab(np.array(rgb))


def _ramp(stops: NDArray[np.float64], lightness: NDArray[np.float64]) -> NDArray[np.float64]:
    """OKLab colours with the given lightness; the hue is interpolated between the stops.

    ``stops`` has strictly monotone lightness, which then serves as the parameter of the curve.
    """
    order = np.argsort(stops[:, 0])
    stops = stops[order]
    hue = [np.interp(lightness, stops[:, 0], stops[:, axis]) for axis in (1, 2)]
    return np.stack([lightness, *hue], axis=1)


@lru_cache(maxsize=16)
def lut(tokens: theme.Tokens, kind: Kind) -> Lut:
    """The ramp of a theme.

    Lightness is linear along the sequential ramp, and linear and equal on both sides of zero
    along the diverging one, so that equal differences look equal and greyscale keeps the order.
    """
    if kind == "grey":
        level = np.linspace(0, 255, 256)
        rgb = np.repeat(level[:, None], 3, axis=1) / 255
    elif kind == "sequential":
        stops = _stops(tokens.sequential)
        rgb = srgb(_ramp(stops, np.linspace(stops[0, 0], stops[-1, 0], 256)))
    elif kind == "diverging":
        stops = _stops(tokens.diverging)
        middle = len(stops) // 2
        centre = stops[middle, 0]
        end = (stops[0, 0] + stops[-1, 0]) / 2
        # Each arm is stretched so that both end at the same lightness.
        steps = np.linspace(0, 1, CENTRE + 1)
        arms = []
        for arm in (stops[middle::-1], stops[middle:]):
            arm = arm.copy()
            arm[:, 0] = centre + (arm[:, 0] - centre) * (end - centre) / (arm[-1, 0] - centre)
            arms.append(_ramp(arm, centre + (end - centre) * steps))
        lab = np.concatenate([arms[0][:0:-1], arms[1]])
        rgb = srgb(np.concatenate([lab, lab[-1:]]))
    else:
        raise ValueError(f"scale kind {kind!r}: expected 'sequential', 'diverging' or 'grey'")
    channels = np.rint(rgb * 255).astype(np.uint32)
    red, green, blue = channels.T
    colours = (OPAQUE | (red << 16) | (green << 8) | blue).astype(np.uint32)
    colours.setflags(write=False)
    return Lut(colours, _argb(tokens.nan), _argb(tokens.infinity), _argb(tokens.minus_infinity))


def _float(array: NDArray) -> NDArray:
    array = np.asarray(array)
    if array.dtype in (np.float32, np.float64):
        return array
    # float16 and small integers are exact in float32; int64 is not.
    return array.astype(np.float32 if array.dtype.itemsize <= 2 else np.float64)


def _range(array: NDArray) -> tuple[float, float]:
    """Smallest and largest finite value, (0, 0) where there is none."""
    if array.size == 0:
        return 0.0, 0.0
    low, high = float(array.min()), float(array.max())
    if math.isfinite(low) and math.isfinite(high):
        return low, high
    finite = array[np.isfinite(array)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)


def scale_for(
    array: NDArray | None, kind: Kind, mode: Mode = "shared", frozen: Scale | None = None
) -> Scale:
    """The scale that shows a tensor of any shape; None and empty tensors get the range 0 … 0.

    Infinite values and NaN do not count. A diverging scale is symmetric around zero. ``frozen``
    is the scale to keep in mode "frozen", where it is returned as it is if its kind fits.
    """
    if mode not in ("shared", "per channel", "frozen"):
        raise ValueError(f"scale mode {mode!r}: expected 'shared', 'per channel' or 'frozen'")
    if mode == "frozen" and frozen is not None and frozen.kind == kind:
        return frozen
    low, high = (0.0, 0.0) if array is None else _range(_float(array))
    if kind == "diverging":
        high = max(abs(low), abs(high))
        low = -high
    per_channel = mode == "per channel" and array is not None and np.ndim(array) >= 3
    return Scale(kind, low, high, per_channel)


def channel_scale(array: NDArray, scale: Scale, channel: int) -> Scale:
    """The scale that one channel (along the first axis) is drawn with."""
    if not scale.per_channel:
        return scale
    return scale_for(array[channel], scale.kind)


def _channel_ranges(array: NDArray, kind: Kind) -> tuple[NDArray, NDArray]:
    axes = tuple(range(1, array.ndim))
    if array.size == 0:
        empty = np.zeros(array.shape[0])
        return empty, empty
    low, high = array.min(axis=axes), array.max(axis=axes)
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        finite = np.isfinite(array)
        low = np.where(finite, array, np.inf).min(axis=axes)
        high = np.where(finite, array, -np.inf).max(axis=axes)
        some = finite.any(axis=axes)
        low, high = np.where(some, low, 0), np.where(some, high, 0)
    low, high = low.astype(np.float64), high.astype(np.float64)
    if kind == "diverging":
        high = np.maximum(np.abs(low), np.abs(high))
        low = -high
    return low, high


def colourise(array: NDArray, scale: Scale, table: Lut) -> NDArray[np.uint32]:
    """Colours of an array of any shape, as 0xAARRGGBB of the same shape.

    Values beyond the scale take its end colours; NaN and the infinities have their own. A range
    of zero width takes the lowest colour, or the one of zero on a diverging scale. With a
    per-channel scale the first axis is the channel.
    """
    array = _float(array)
    if array.size == 0:
        return np.empty(array.shape, np.uint32)
    last = LAST[scale.kind]
    lows: NDArray | float
    highs: NDArray | float
    if scale.per_channel and array.ndim >= 2:
        low_per, high_per = _channel_ranges(array, scale.kind)
        broad = (-1,) + (1,) * (array.ndim - 1)
        lows, highs = low_per.reshape(broad), high_per.reshape(broad)
        bound = float(max(np.abs(low_per).max(), np.abs(high_per).max()))
        narrowest = float(np.min(high_per - low_per, initial=np.inf, where=high_per > low_per))
    else:
        lows, highs = scale.low, scale.high
        bound = max(abs(lows), abs(highs))
        narrowest = highs - lows if highs > lows else math.inf
    finite = np.isfinite(array)
    all_finite = bool(finite.all())
    if bound > 1e30 or narrowest < 1e-30:
        # Out of float32's comfort: bring the range near one, exactly, by a power of two.
        exponent = -math.frexp(bound)[1]
        with np.errstate(over="ignore", invalid="ignore"):
            array = np.ldexp(array.astype(np.float64), exponent)
        lows, highs = np.ldexp(lows, exponent), np.ldexp(highs, exponent)
    real = array.dtype.type
    span = np.asarray(highs, np.float64) - np.asarray(lows, np.float64)
    wide = span > 1e-290
    factor = np.divide(last, span, out=np.zeros_like(span), where=wide)
    offset = np.where(wide | (scale.kind != "diverging"), 0.5, CENTRE + 0.5)
    with np.errstate(over="ignore", invalid="ignore"):
        steps = array - np.asarray(lows, real)
        steps *= factor.astype(real)
        steps += offset.astype(real)
        if not all_finite:
            steps[~finite] = 0
        np.clip(steps, 0, last, out=steps)
    colours = table.colours.take(steps.astype(np.uint8))
    if not all_finite:
        colours[np.isnan(array)] = table.nan
        colours[array == np.inf] = table.infinity
        colours[array == -np.inf] = table.minus_infinity
    return colours


def format_number(value: float, digits: int = 3) -> str:
    """A number as it stands on the screen: three significant digits, a real minus sign."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 10 ** max(digits + 1, 4):
        decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
        text = f"{value:.{min(decimals, digits + 2)}f}"
        if "." in text:
            text = text.rstrip("0").rstrip(".")
        return text.replace("-", "−")
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{mantissa}e{int(exponent)}".replace("-", "−")


@dataclass(frozen=True)
class WidthScale:
    """Line widths for gradient norms, linear in the logarithm from ``low`` to ``high``."""

    low: float
    high: float

    def ticks(self) -> tuple[tuple[float, float], ...]:
        """(norm, width) of a few whole decades, for the legend."""
        first, last = round(math.log10(self.low)), round(math.log10(self.high))
        step = max(1, math.ceil((last - first) / 4))
        return tuple(
            (10.0**decade, edge_width(10.0**decade, self))
            for decade in range(first, last + 1, step)
        )


def width_scale_for(norms: NDArray | list[float]) -> WidthScale:
    """The decades that hold all finite norms above zero, at least two of them."""
    values = np.asarray(norms, np.float64)
    values = values[np.isfinite(values) & (values > 0)]
    if values.size == 0:
        return WidthScale(1e-4, 1.0)
    first = max(-300, math.floor(math.log10(values.min())))
    last = min(300, math.ceil(math.log10(values.max())))
    if last - first < 2:
        first = last - 2
    return WidthScale(10.0**first, 10.0**last)


def edge_width(norm: float, scale: WidthScale = WidthScale(1e-6, 1e2)) -> float:
    """The width of an edge that carries a gradient of this norm.

    0 for an exact zero, which is drawn as a thin dashed line; the thickest for what is not finite.
    """
    m = theme.metrics()
    if norm == 0:
        return 0.0
    if not math.isfinite(norm):
        return m.edge_thickest
    low, high = math.log10(scale.low), math.log10(scale.high)
    share = (math.log10(abs(norm)) - low) / (high - low)
    return m.edge_thinnest + (m.edge_thickest - m.edge_thinnest) * min(1.0, max(0.0, share))
