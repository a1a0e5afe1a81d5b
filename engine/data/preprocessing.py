"""The one way from a picture to a network's input, as a frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from engine.data.errors import DataError
from engine.data.images import resize, to_grey

Fit = Literal["stretch", "crop", "pad"]


def as_unit(image: NDArray[Any]) -> NDArray[np.float32]:
    """Values as float32 in [0, 1]: uint8 is divided by 255, floats must be in [0, 1] already.

    Raises DataError for another dtype, for NaN, and for floats outside [0, 1].
    """
    if image.dtype == np.uint8:
        return image.astype(np.float32) / np.float32(255)
    if image.dtype.kind != "f":
        raise DataError(
            f"picture of dtype {image.dtype}: expected uint8 (0 to 255) or floats in [0, 1]; "
            "convert it first"
        )
    values = image.astype(np.float32)
    # A negated test, so that NaN is refused too.
    if values.size and not (values.min() >= 0 and values.max() <= 1):
        raise DataError(
            f"picture with values from {values.min():g} to {values.max():g}: "
            "expected floats in [0, 1]; divide by the largest possible value"
        )
    return values


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a picture becomes a network's input; stored with the network and written to ONNX.

    In this order: values to [0, 1], channels, fit to size, invert, (x - mean) / std.

    size: (height, width) of the input.
    channels: 1 (grey, by Rec. 601 luma) or 3 (red, green, blue; a grey picture is repeated).
    mean, std: one value per channel, of pictures in [0, 1].
    invert: x becomes 1 - x, for dark ink on light paper where the network learnt light on dark.
    fit: stretch; crop the centre; or pad with the median of the picture's border.
    """

    size: tuple[int, int]
    channels: int = 1
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    invert: bool = False
    fit: Fit = "stretch"

    def __post_init__(self) -> None:
        if len(self.size) != 2 or min(self.size) < 1:
            raise DataError(f"size {self.size}: expected (height, width), both at least 1")
        if self.channels not in (1, 3):
            raise DataError(f"channels {self.channels}: expected 1 (grey) or 3 (colour)")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != self.channels or not np.isfinite(values).all():
                raise DataError(f"{name} {values}: expected {self.channels} finite number(s)")
        if min(self.std) <= 0:
            raise DataError(f"std {self.std}: expected numbers above 0")
        if self.fit not in get_args(Fit):
            raise DataError(f"fit {self.fit!r}: expected one of {', '.join(get_args(Fit))}")

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one input."""
        return (self.channels, *self.size)

    def apply(self, image: NDArray[Any]) -> NDArray[np.float32]:
        """One picture, (H, W), (1, H, W) or (3, H, W), uint8 or floats in [0, 1], as an input.

        Returns float32 (C, H, W). Raises DataError for another shape or dtype.
        """
        if image.ndim == 2:
            image = image[None]
        if image.ndim != 3 or image.shape[0] not in (1, 3) or 0 in image.shape:
            raise DataError(
                f"picture of shape {image.shape}: expected (height, width), (1, height, width) "
                "or (3, height, width)"
            )
        values = as_unit(image)
        if self.channels == 1:
            values = to_grey(values)[None]
        elif values.shape[0] == 1:
            values = np.repeat(values, 3, axis=0)
        return self.normalise(resize(_fitted(values, self.size, self.fit), self.size))

    def normalise(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Values in [0, 1], float32 (..., C, H, W), inverted if so set, then (x - mean) / std."""
        if self.invert:
            values = np.float32(1) - values
        mean, std = self._per_channel()
        return (values - mean) / std

    def restore(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """The inverse of `normalise`: an input (..., C, H, W) back to values in [0, 1]."""
        mean, std = self._per_channel()
        values = x * std + mean
        return np.float32(1) - values if self.invert else values

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON and ONNX metadata; `from_dict` reads it back, equal."""
        return {
            "size": list(self.size),
            "channels": self.channels,
            "mean": list(self.mean),
            "std": list(self.std),
            "invert": self.invert,
            "fit": self.fit,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Preprocessing:
        """Read what `as_dict` wrote. Raises DataError naming what is missing or wrong."""
        try:
            height, width = data["size"]
            return cls(
                size=(int(height), int(width)),
                channels=int(data["channels"]),
                mean=tuple(float(v) for v in data["mean"]),
                std=tuple(float(v) for v in data["std"]),
                invert=bool(data.get("invert", False)),
                fit=data.get("fit", "stretch"),
            )
        except KeyError as error:
            raise DataError(
                f"preprocessing without {error}: expected size, channels, mean and std"
            ) from None
        except DataError:
            raise
        except (TypeError, ValueError, AttributeError) as error:
            raise DataError(
                f"preprocessing {data!r}: expected numbers and lists of them ({error})"
            ) from None

    def _per_channel(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        shape = (self.channels, 1, 1)
        return (
            np.asarray(self.mean, np.float32).reshape(shape),
            np.asarray(self.std, np.float32).reshape(shape),
        )


def _fitted(values: NDArray[np.float32], size: tuple[int, int], fit: Fit) -> NDArray[np.float32]:
    """(C, H, W) cropped or padded to the aspect of `size`; the picture stays in the middle."""
    _, height, width = values.shape
    if fit == "stretch" or height * size[1] == width * size[0]:
        return values
    if fit == "crop":
        scale = min(height / size[0], width / size[1])
        h, w = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
        top, left = (height - h) // 2, (width - w) // 2
        return values[:, top : top + h, left : left + w]
    scale = max(height / size[0], width / size[1])
    h, w = max(height, round(size[0] * scale)), max(width, round(size[1] * scale))
    out = np.empty((values.shape[0], h, w), np.float32)
    out[:] = np.median(_border(values), axis=1)[:, None, None]
    top, left = (h - height) // 2, (w - width) // 2
    out[:, top : top + height, left : left + width] = values
    return out


def _border(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The outermost pixels of (C, H, W), as (C, n)."""
    edges = (values[:, 0], values[:, -1], values[:, :, 0], values[:, :, -1])
    return np.concatenate(edges, axis=1)


def is_dark_on_light(image: NDArray[Any]) -> bool:
    """Whether a picture, as `Preprocessing.apply` takes it, has a light border (paper, a screen).

    A digit photographed on paper needs `invert` for a network that learnt light ink on black.
    """
    values = as_unit(image if image.ndim == 3 else image[None])
    return bool(np.median(_border(values)) > 0.5)
