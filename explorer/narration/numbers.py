"""Numbers of arrays, and how they stand in a sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from engine.layers.base import Array, pair
from engine.statistics import norm as norm
from engine.statistics import products
from explorer.narration.sentence import tr
from explorer.tensors.scales import format_number


def cosine(a: Array, b: Array) -> float | None:
    """The cosine between two tensors, None where one of them is zero or not finite."""
    found = products((a, b))
    length = math.sqrt(found[0, 0]) * math.sqrt(found[1, 1])
    if not (length > 0 and math.isfinite(length)):
        return None
    return float(found[0, 1] / length)


def count_text(count: int) -> str:
    """A count of cells, terms or maps: digits in groups of three, as everywhere on the screen."""
    return f"{count:,}"


def tie_text(values: list[float], chosen: int) -> str:
    """Why the first of equal largest numbers counts; empty where another rule chose."""
    same = sum(value == values[chosen] for value in values)
    if same < 2 or values.index(values[chosen]) != chosen:
        return ""
    if same == len(values):
        return tr("all {0} are equal: the first wins").format(count_text(same))
    return tr("{0} of {1} are equally large: the first of them wins").format(
        count_text(same), count_text(len(values))
    )


def percent(share: float) -> str:
    """A share as a percentage that is not rounded to 0 or 100 unless it is exactly that."""
    if not math.isfinite(share):
        return format_number(share)
    if 0 < share < 1e-4:
        return f"{format_number(100 * share)}%"
    for digits in range(1, 7):
        text = f"{100 * share:.{digits}f}"
        if share in (0.0, 1.0) or float(text) not in (0.0, 100.0):
            break
    return f"{text.rstrip('0').rstrip('.')}%"


def plain_share(share: float) -> str:
    """A share as a plain number that is not rounded to 1 unless it is exactly that."""
    return next(
        (
            text
            for text in (format_number(share, digits) for digits in range(3, 9))
            if share == 1.0 or float(text.replace("−", "-")) != 1.0
        ),
        format_number(share, 9),
    )


def told_apart(old: float, new: float) -> tuple[str, str]:
    """Two numbers with as many digits as it takes to see that they differ."""
    for digits in range(4, 10):
        texts = format_number(old, digits), format_number(new, digits)
        if texts[0] != texts[1]:
            break
    return texts


def shape_text(shape: Sequence[int]) -> str:
    """3×28×28, or 10 for a vector."""
    return "×".join(map(str, shape)) or tr("one number")


def size_text(value: int | tuple[int, ...]) -> str:
    """5×5 of a hyper-parameter that may be one number."""
    return "×".join(map(str, pair(value)))  # type: ignore[arg-type]


def where_text(index: Sequence[int]) -> str:
    """A place in words, without its tensor."""
    if len(index) == 3:
        return tr("channel {0} at row {1}, column {2}").format(*index)
    if len(index) == 1:
        return tr("number {0}").format(*index)
    return tr("place {0}").format(", ".join(map(str, index)))


def strongest(array: Array, *, signed: bool = False) -> tuple[int, ...] | None:
    """The index of the largest finite value (of the largest size if ``signed``), None if none."""
    finite = np.isfinite(array)
    if not finite.any():
        return None
    sizes = np.abs(array) if signed else array
    if not finite.all():
        sizes = np.where(finite, sizes, -np.inf)
    return tuple(int(i) for i in np.unravel_index(int(sizes.argmax()), array.shape))
