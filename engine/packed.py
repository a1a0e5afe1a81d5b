"""Arrays as text, for settings of a project that are many numbers: base64 of deflated float64."""

from __future__ import annotations

import base64
import zlib

import numpy as np
from numpy.typing import NDArray

MOST_NUMBERS = 4_000_000
"""A text that unfolds to more is refused: a damaged file must not ask for all memory."""


def packed(numbers: NDArray[np.float64]) -> str:
    """The numbers of an array of any shape, in C order, exact in float64."""
    data = np.ascontiguousarray(numbers, "<f8").tobytes()
    return base64.b64encode(zlib.compress(data, 6)).decode("ascii")


def unpacked(text: object) -> NDArray[np.float64]:
    """The numbers of ``packed``, float64 (n,); ValueError for what is no such text."""
    if not isinstance(text, str):
        raise ValueError(f"Packed numbers: expected text, received {type(text).__name__}.")
    try:
        inflater = zlib.decompressobj()
        data = inflater.decompress(base64.b64decode(text, validate=True), MOST_NUMBERS * 8 + 1)
    except (ValueError, zlib.error) as error:
        raise ValueError(f"Packed numbers: expected base64 of deflated data ({error}).") from error
    if not inflater.eof or len(data) % 8 or len(data) > MOST_NUMBERS * 8:
        raise ValueError(
            f"Packed numbers: expected whole float64 numbers, at most {MOST_NUMBERS:,}, received "
            f"{len(data):,} bytes. The file is damaged."
        )
    return np.frombuffer(data, "<f8").astype(np.float64)
