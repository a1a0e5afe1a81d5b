"""Which cells of an input an output cell depends on, and the reverse: how far one layer reaches.

A layer declares an extent for each of its inputs. An extent answers in both directions with the
smallest box that holds all cells concerned; a cell inside it need not take part (a dilated kernel
has holes, a stride steps over rows).

An output cell depends on an input cell when some other value there could change it. A gradient
shows that for most layers, but not for those whose output jumps: a comparison, a rounding, a
condition or a place in a map has the gradient 0 everywhere, and is seen all the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Span = tuple[int, int]
"""Cells first … end − 1 along one axis."""

Box = tuple[Span, ...]
"""A span for each axis of a tensor, the batch left out."""


def whole(shape: tuple[int, ...]) -> Box:
    """The box of all cells of a tensor; ``shape`` leaves the batch out."""
    return tuple((0, size) for size in shape)


def hull(first: Box | None, second: Box | None) -> Box | None:
    """The smallest box that holds both; None is the empty one."""
    if first is None or second is None:
        return second if first is None else first
    return tuple((min(a, c), max(b, d)) for (a, b), (c, d) in zip(first, second, strict=True))


def clipped(box: Box, shape: tuple[int, ...]) -> Box | None:
    """The part of a box that lies inside a tensor; None where there is none."""
    inside = tuple((max(0, a), min(size, b)) for (a, b), size in zip(box, shape, strict=True))
    return inside if all(a < b for a, b in inside) else None


class Axis(Protocol):
    """One axis of an input and the matching one of the output."""

    def sees(self, span: Span, padded: bool) -> Span | None:
        """The input cells that output cells depend on; ``padded`` counts the frame as cells."""
        ...

    def reaches(self, span: Span) -> Span | None:
        """The output cells that depend on input cells."""
        ...


@dataclass(frozen=True, slots=True)
class Slide:
    """Output cell r reads input cells r·stride − before + i·dilation, i = 0 … kernel_size − 1.

    ``frame`` says that cells outside 0 … size − 1 are padding, which counts when asked for. With
    kernel_size 1 and stride 1 it is a shift; without ``before`` too, the same place.
    """

    size: int
    out: int
    kernel_size: int = 1
    stride: int = 1
    before: int = 0
    dilation: int = 1
    frame: bool = True

    def sees(self, span: Span, padded: bool) -> Span | None:
        if self._is_shift:
            shifted = (span[0] - self.before, span[1] - self.before)
            return shifted if padded and self.frame else _inside(shifted, self.size)
        first, last = span[0], span[1] - 1
        if padded and self.frame:
            start = first * self.stride - self.before
            reach = self.dilation * (self.kernel_size - 1)
            return start, last * self.stride - self.before + reach + 1
        found: list[int] = []
        for i in range(self.kernel_size):
            offset = i * self.dilation - self.before
            low = max(first, -(offset // self.stride))
            high = min(last, (self.size - 1 - offset) // self.stride)
            if low <= high:
                found += (low * self.stride + offset, high * self.stride + offset)
        return (min(found), max(found) + 1) if found else None

    @property
    def _is_shift(self) -> bool:
        return self.kernel_size == 1 and self.stride == 1

    def reaches(self, span: Span) -> Span | None:
        if self._is_shift:
            return _inside((span[0] + self.before, span[1] + self.before), self.out)
        first, last = span[0], span[1] - 1
        found: list[int] = []
        for i in range(self.kernel_size):
            offset = i * self.dilation - self.before
            low = max(0, -((offset - first) // self.stride))
            high = min(self.out - 1, (last - offset) // self.stride)
            if low <= high:
                found += (low, high)
        return (min(found), max(found) + 1) if found else None


def _inside(span: Span, size: int) -> Span | None:
    first, end = max(0, span[0]), min(size, span[1])
    return (first, end) if first < end else None


@dataclass(frozen=True, slots=True)
class Reverse:
    """Input and output of an axis change places (transposed convolution)."""

    axis: Axis

    def sees(self, span: Span, padded: bool) -> Span | None:
        return self.axis.reaches(span)

    def reaches(self, span: Span) -> Span | None:
        return self.axis.sees(span, False)


@dataclass(frozen=True, slots=True)
class Groups:
    """Cells are split into ``groups``; in a group each output cell depends on each input cell."""

    size: int
    out: int
    groups: int = 1

    def sees(self, span: Span, padded: bool) -> Span | None:
        return self._across(span, self.out // self.groups, self.size // self.groups)

    def reaches(self, span: Span) -> Span | None:
        return self._across(span, self.size // self.groups, self.out // self.groups)

    def _across(self, span: Span, given: int, wanted: int) -> Span:
        first = min(max(0, span[0] // given), self.groups - 1)
        end = min(max(1, -(-span[1] // given)), self.groups)
        return first * wanted, end * wanted


@dataclass(frozen=True, eq=False)
class Table:
    """``takes[o, i]`` (bool) says whether output cell o depends on input cell i."""

    takes: NDArray[np.bool_]

    def sees(self, span: Span, padded: bool) -> Span | None:
        return _ends(self.takes[max(0, span[0]) : max(0, span[1])], 0)

    def reaches(self, span: Span) -> Span | None:
        return _ends(self.takes[:, max(0, span[0]) : max(0, span[1])], 1)


@dataclass(frozen=True, eq=False)
class Picks:
    """Output cell o is a copy of input cell ``sources[o]`` (int64), of none where that is −1."""

    sources: NDArray[np.int64]

    def sees(self, span: Span, padded: bool) -> Span | None:
        sources = self.sources[max(0, span[0]) : max(0, span[1])]
        sources = sources[sources >= 0]
        return (int(sources.min()), int(sources.max()) + 1) if sources.size else None

    def reaches(self, span: Span) -> Span | None:
        first = max(0, span[0])
        places = np.flatnonzero((self.sources >= first) & (self.sources < span[1]))
        return (int(places[0]), int(places[-1]) + 1) if places.size else None


def _ends(takes: NDArray[np.bool_], across: int) -> Span | None:
    places = np.flatnonzero(takes.any(across))
    return (int(places[0]), int(places[-1]) + 1) if places.size else None


class Extent(Protocol):
    """How far one layer reaches from one of its inputs to one of its outputs, box to box."""

    def sees(self, box: Box, padded: bool = False) -> Box | None:
        """The input cells that the output cells in ``box`` depend on; None where there are none.

        ``padded`` counts cells of the padding too, so that the answer may lie outside the input.
        """
        ...

    def reaches(self, box: Box) -> Box | None:
        """The output cells that depend on the input cells in ``box``; None where there are none."""
        ...


@dataclass(frozen=True)
class Axes:
    """An extent that treats each axis by itself."""

    axes: tuple[Axis, ...]

    def sees(self, box: Box, padded: bool = False) -> Box | None:
        return _all(tuple(a.sees(s, padded) for a, s in zip(self.axes, box, strict=True)))

    def reaches(self, box: Box) -> Box | None:
        return _all(tuple(a.reaches(s) for a, s in zip(self.axes, box, strict=True)))


def _all(spans: tuple[Span | None, ...]) -> Box | None:
    known = tuple(span for span in spans if span is not None)
    return known if len(known) == len(spans) else None


@dataclass(frozen=True, slots=True)
class Everything:
    """Every output cell depends on every input cell."""

    shape: tuple[int, ...]
    out: tuple[int, ...]

    def sees(self, box: Box, padded: bool = False) -> Box | None:
        return whole(self.shape)

    def reaches(self, box: Box) -> Box | None:
        return whole(self.out)


@dataclass(frozen=True, slots=True)
class Nothing:
    """No output cell depends on any input cell."""

    def sees(self, box: Box, padded: bool = False) -> Box | None:
        return None

    def reaches(self, box: Box) -> Box | None:
        return None


@dataclass(frozen=True)
class Matched:
    """As :class:`Axes`, for axes that differ in order or number.

    ``pairs`` are (axis of the input, axis of the output, how far it reaches). An axis of the input
    that has no partner is seen whole, one of the output is reached whole.
    """

    shape: tuple[int, ...]
    out: tuple[int, ...]
    pairs: tuple[tuple[int, int, Axis], ...]

    def sees(self, box: Box, padded: bool = False) -> Box | None:
        spans: list[Span | None] = list(whole(self.shape))
        for given, made, axis in self.pairs:
            spans[given] = axis.sees(box[made], padded)
        return _all(tuple(spans))

    def reaches(self, box: Box) -> Box | None:
        spans: list[Span | None] = list(whole(self.out))
        for given, made, axis in self.pairs:
            spans[made] = axis.reaches(box[given])
        return _all(tuple(spans))


@dataclass(frozen=True, slots=True)
class Blocks:
    """Groups of ``block``² channels become blocks of cells: (C, H, W) to (C / block², …).

    The channel of output map k at row i and column j of a block is (i · block + j) · maps + k, or
    k · block² + i · block + j where ``channel_first``.
    """

    maps: int
    block: int
    channel_first: bool

    def sees(self, box: Box, padded: bool = False) -> Box | None:
        (low, high), *spans = box
        ends = [low], [high - 1]
        for first, end in spans:
            inside = [place % self.block for place in range(first, min(end, first + self.block))]
            ends[0].append(min(inside))
            ends[1].append(max(inside))
        # the channel grows with each of the three, and each takes its values by itself
        channels = (self._channel(*ends[0]), self._channel(*ends[1]) + 1)
        return (channels, *((a // self.block, (b - 1) // self.block + 1) for a, b in spans))

    def _channel(self, k: int, i: int, j: int) -> int:
        place = i * self.block + j
        return k * self.block**2 + place if self.channel_first else place * self.maps + k

    def reaches(self, box: Box) -> Box | None:
        channels = np.arange(*box[0])
        if self.channel_first:
            k, place = np.divmod(channels, self.block**2)
        else:
            place, k = np.divmod(channels, self.maps)
        found = [(int(k.min()), int(k.max()) + 1)]
        for (first, end), inside in zip(box[1:], np.divmod(place, self.block), strict=True):
            low, high = int(inside.min()), int(inside.max())
            found.append((first * self.block + low, (end - 1) * self.block + high + 1))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Turned:
    """Input and output of an extent change places."""

    extent: Extent

    def sees(self, box: Box, padded: bool = False) -> Box | None:
        return self.extent.reaches(box)

    def reaches(self, box: Box) -> Box | None:
        return self.extent.sees(box)


@dataclass(frozen=True, slots=True)
class Refold:
    """The same cells in the same order, cut into another shape."""

    shape: tuple[int, ...]
    out: tuple[int, ...]

    def sees(self, box: Box, padded: bool = False) -> Box | None:
        return _refolded(box, self.out, self.shape)

    def reaches(self, box: Box) -> Box | None:
        return _refolded(box, self.shape, self.out)


def _refolded(box: Box, given: tuple[int, ...], wanted: tuple[int, ...]) -> Box | None:
    inside = clipped(box, given)
    if inside is None:
        return None
    if inside == whole(given):
        return whole(wanted)
    flat: NDArray[Any] = np.zeros(1, np.intp)
    for (first, end), stride in zip(inside, _strides(given), strict=True):
        flat = (flat[:, None] + np.arange(first, end) * stride).ravel()
    places = np.unravel_index(flat, wanted)
    return tuple((int(p.min()), int(p.max()) + 1) for p in places)


def _strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))


def same_place(shape: tuple[int, ...]) -> Axes:
    """Each output cell depends on the input cell at its place."""
    return Axes(tuple(Slide(size, size) for size in shape))


def served_places(shape: tuple[int, ...], out: tuple[int, ...]) -> Matched:
    """Sizes are aligned at the last axis; one that is 1 or missing serves all places (NumPy)."""
    more = len(out) - len(shape)
    equal = (i for i, size in enumerate(shape) if size == out[i + more])
    return Matched(shape, out, tuple((i, i + more, Slide(shape[i], shape[i])) for i in equal))


def along(shape: tuple[int, ...], index: int, axis: Axis) -> Axes:
    """One axis reaches as it says, the others are the same place."""
    return Axes(tuple(axis if i == index else Slide(n, n) for i, n in enumerate(shape)))
