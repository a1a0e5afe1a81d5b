"""Arrays as text, for settings of a project that are many numbers: base64 of their bytes."""

from __future__ import annotations

import base64
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Width = Literal[4, 8]
"""Bytes of a number: single or double precision."""


def packed(numbers: NDArray[np.floating], width: Width = 8) -> str:
    """The numbers of an array of any shape, in C order, in single or double precision."""
    return base64.b64encode(np.ascontiguousarray(numbers, f"<f{width}").tobytes()).decode("ascii")


def unpacked(text: object, width: Width = 8) -> NDArray[np.float64]:
    """The numbers of ``packed`` with that width, (n,); ValueError for what is no such text."""
    if not isinstance(text, str):
        raise ValueError(f"Packed numbers: expected text, received {type(text).__name__}.")
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise ValueError(f"Packed numbers: expected base64 ({error}).") from error
    if len(data) % width:
        raise ValueError(
            f"Packed numbers: expected numbers of {width} bytes, received {len(data):,} bytes. "
            "The file is damaged."
        )
    return np.frombuffer(data, f"<f{width}").astype(np.float64)
