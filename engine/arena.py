"""Memory of a plan: arrays whose lives do not meet lie at the same place.

Who needs memory asks for it twice, in the same order. The first time it is told what it needs; then
the arena finds a place for each array, the largest first, each as low as those that live at the
same time allow; the second time it gets its place.
"""

from __future__ import annotations

import numpy as np

from engine.layers.base import Array

Lives = tuple[tuple[int, int], ...]
"""Spans (first, last) of times at which an array must stay as it is."""

ALIGNMENT = 64
LAST = 1 << 30
"""A time behind all others."""


class Arena:
    """Hands out vectors. Contents are undefined, those of the first round are not to be used."""

    def __init__(self) -> None:
        self._sizes: list[int] = []
        self._lives: list[Lives] = []
        self._offsets: list[int] = []
        self._slab: Array | None = None
        self._next = 0

    def take(self, count: int, dtype: str | np.dtype[np.generic], lives: Lives) -> Array:
        """A vector of ``count`` numbers that nobody else writes to during ``lives``.

        Raises RuntimeError when the second round asks otherwise than the first.
        """
        size = -(-count * np.dtype(dtype).itemsize // ALIGNMENT) * ALIGNMENT
        if self._slab is None:
            self._sizes.append(size)
            self._lives.append(lives)
            return np.empty(count, dtype)
        number, self._next = self._next, self._next + 1
        if number >= len(self._sizes) or self._sizes[number] != size:
            raise RuntimeError(f"Array {number}: expected the requests of the first round again.")
        start = self._offsets[number]
        return self._slab[start : start + size].view(dtype)[:count]

    def lay_out(self) -> None:
        """End the first round: decide where each array lies, and allocate."""
        self._offsets = places(self._sizes, self._lives)
        total = max((o + s for o, s in zip(self._offsets, self._sizes, strict=True)), default=0)
        room = np.empty(total + ALIGNMENT, np.uint8)
        self._slab = room[-room.ctypes.data % ALIGNMENT :][:total]

    @property
    def nbytes(self) -> int:
        """Bytes of all places together."""
        return 0 if self._slab is None else self._slab.nbytes


def places(sizes: list[int], lives: list[Lives]) -> list[int]:
    """Offsets such that no two arrays overlap that live at the same time.

    Greedy by size (Pisarchyk & Lee 2020, Efficient memory management for deep neural net
    inference, section 5.2): the largest first, each into the lowest gap that is large enough.
    """
    count = len(sizes)
    spans = max((len(life) for life in lives), default=1)
    first = np.full((count, spans), LAST + 1)
    last = np.full((count, spans), -1)
    for i, life in enumerate(lives):
        for j, (start, stop) in enumerate(life):
            first[i, j], last[i, j] = start, stop
    offsets = np.zeros(count, np.int64)
    ends = np.zeros(count, np.int64)
    order = sorted(range(count), key=lambda i: -sizes[i])
    placed = np.array(order, np.int64)
    for rank, i in enumerate(order):
        before = placed[:rank]
        meets = np.zeros(rank, bool)
        for j in range(len(lives[i])):
            meets |= ((first[before] <= last[i, j]) & (last[before] >= first[i, j])).any(1)
        there = before[meets]
        there = there[np.argsort(offsets[there], kind="stable")]
        # up to where everything is taken, before each of them
        taken = np.maximum.accumulate(np.concatenate(([0], ends[there])))
        gaps = np.append(offsets[there], np.iinfo(np.int64).max) - taken
        offsets[i] = taken[np.argmax(gaps >= sizes[i])]
        ends[i] = offsets[i] + sizes[i]
    return offsets.tolist()
