"""Pictures that can be shown to a network: shipped ones, drawn ones and files.

A network with a picture as its input has a preprocessing. For any other input (a vector, another
number of channels) a grey picture is stretched to it, so that every network can be run.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import overload

import numpy as np

from engine.data.digits import digits
from engine.data.images import read_image
from engine.data.preprocessing import Preprocessing, is_dark_on_light
from engine.data.shapes import KINDS, shapes
from engine.data.strokes import Drawing, shipped_digits
from engine.graph import Graph
from engine.layers.base import Array
from engine.losses import evidence, softmax
from engine.samples import as_image
from engine.trace import Trace

Shape = tuple[int, ...]
Labels = tuple[str, ...]

DIGITS = 60
"""How many of the held-out 8×8 digits are offered."""
SHAPES_SEED = 20
"""Not the seed of the training data: these pictures were never trained on."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One picture. ``image`` is (C, H, W) float32 in [0, 1], ``x`` what the network receives.

    ``label`` is the index of the class that it shows, None when nobody said; ``origin`` says
    where it is from.
    """

    image: Array
    x: Array
    label: int | None
    origin: str
    drawing: Drawing | None = None


def prediction(graph: Graph, trace: Trace | None, position: int) -> tuple[int, float] | None:
    """(class, share) that the network gave, once its output is computed at the position."""
    loss = graph.answering
    value = trace.look("value", loss.input, position) if trace is not None and loss else None
    logits = evidence(loss.function, value) if loss is not None and value is not None else None
    if logits is None or not np.isfinite(logits[0]).all():
        return None
    shares = softmax(logits)[0]
    best = int(shares.argmax())
    return best, float(shares[best])


def is_picture(shape: Shape) -> bool:
    """Whether an input of that shape is a grey or a colour picture."""
    return len(shape) == 3 and shape[0] in (1, 3)


def plain_preprocessing(shape: Shape) -> Preprocessing:
    """Values in [0, 1] as they are, for a network that came without a preprocessing.

    For a shape that is no picture: grey, of its last two axes; a vector is taken as a square
    where its length is one, else as a single row.
    """
    channels = shape[0] if is_picture(shape) else 1
    if len(shape) > 1:
        size = (shape[-2], shape[-1])
    else:
        side = math.isqrt(shape[0])
        size = (side, side) if side * side == shape[0] else (1, shape[0])
    return Preprocessing(size, channels, (0.0,) * channels, (1.0,) * channels)


def _entrance(shape: Shape, preprocessing: Preprocessing | None) -> Preprocessing:
    if preprocessing is not None and math.prod(preprocessing.shape) == math.prod(shape):
        return preprocessing
    return plain_preprocessing(shape)


def _as_input(x: Array, shape: Shape) -> Array:
    """(C, H, W) as an input of any shape: a vector is read row by row, channels are repeated."""
    if x.size == math.prod(shape):
        return x.reshape(shape)
    return np.ascontiguousarray(np.broadcast_to(x, shape))


def class_of(label: int | str | None, labels: Labels) -> int | None:
    """The index of a class by its name; of a digit itself where the classes have no names."""
    if label is None:
        return None
    if not labels:
        return int(label) if str(label).isdigit() else None
    return labels.index(str(label)) if str(label) in labels else None


def from_drawing(
    drawing: Drawing,
    shape: Shape,
    preprocessing: Preprocessing | None,
    labels: Labels,
    origin: str,
) -> Sample:
    """The picture of a drawing as the data set of that size would hold it, for an input."""
    entrance = _entrance(shape, preprocessing)
    # ink is light on dark already, whatever paper the preprocessing expects
    entrance = dataclasses.replace(entrance, invert=False)
    x = entrance.apply(as_image(drawing, entrance.size))
    image = entrance.restore(x).clip(0, 1)
    return Sample(image, _as_input(x, shape), class_of(drawing.label, labels), origin, drawing)


def from_input(
    x: Array, preprocessing: Preprocessing | None, label: int | None, origin: str
) -> Sample:
    """A picture of which only what the network received is known."""
    entrance = _entrance(x.shape, preprocessing)
    if math.prod(entrance.shape) == x.size:
        seen = dataclasses.replace(entrance, invert=False).restore(x.reshape(entrance.shape))
    else:  # maps that are no picture: their mean
        seen = x.reshape(-1, *x.shape[-2:]).mean(0, keepdims=True)
    if seen.size and (seen.min() < 0 or seen.max() > 1):  # numbers that are no brightness
        seen = (seen - seen.min()) / max(float(np.ptp(seen)), 1e-30)
    return Sample(seen.astype(np.float32).clip(0, 1), x, label, origin)


def from_file(path: Path, shape: Shape, preprocessing: Preprocessing | None) -> Sample:
    """The picture in a file, for an input; raises DataError or OSError."""
    entrance = _entrance(shape, preprocessing)
    image = read_image(path)
    if entrance.channels == 1:
        # digits are learnt light on dark: what is dark on light is turned, whoever made the file
        entrance = dataclasses.replace(entrance, invert=is_dark_on_light(image))
    x = entrance.apply(image)
    seen = dataclasses.replace(entrance, invert=False).restore(x).clip(0, 1)
    return Sample(seen, _as_input(x, shape), None, path.name)


class Drawn(Sequence[Sample]):
    """The shipped drawings as samples; each is drawn when it is first asked for.

    At 224×224 all of them would take half a second.
    """

    def __init__(self, shape: Shape, preprocessing: Preprocessing | None, labels: Labels) -> None:
        self._drawings = shipped_digits()
        self._made: dict[int, Sample] = {}
        self._input = (shape, preprocessing, labels)

    def __len__(self) -> int:
        return len(self._drawings)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | Sequence[Sample]:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        position = range(len(self))[index]
        if position not in self._made:
            d = self._drawings[position]
            origin = f"drawn digit, {d.name or d.label}"
            self._made[position] = from_drawing(d, *self._input, origin)
        return self._made[position]

    def label(self, index: int) -> int | None:
        """The class of a sample, without drawing it."""
        return class_of(self._drawings[index].label, self._input[2])


def _label_of(samples: Sequence[Sample], index: int) -> int | None:
    """The class of one of the samples; it is not made for that."""
    return samples.label(index) if isinstance(samples, Drawn) else samples[index].label


def shipped(
    shape: Shape, preprocessing: Preprocessing | None, labels: Labels = ()
) -> Sequence[Sample]:
    """The samples that come with the program, for a network of that input; never empty."""
    entrance = _entrance(shape, preprocessing)
    if labels and set(labels) <= set(KINDS):
        data = shapes(1, seed=SHAPES_SEED)
        return [
            _of_data(data.images[i], data.classes[data.labels[i]], entrance, shape, labels, name)
            for i, name in enumerate(f"generated {data.classes[label]}" for label in data.labels)
        ]
    if entrance.size == (8, 8) and entrance.channels == 1:
        _, test = digits()
        return [
            _of_data(
                test.images[i],
                test.classes[test.labels[i]],
                entrance,
                shape,
                labels,
                f"{test.name}, held-out picture {i + 1} of {len(test)}",
            )
            for i in range(DIGITS)
        ]
    return _drawn(shape, preprocessing, labels)


@lru_cache(maxsize=4)
def _drawn(shape: Shape, preprocessing: Preprocessing | None, labels: Labels) -> Drawn:
    """Kept, so that what was drawn beside the window need not be drawn in it."""
    return Drawn(shape, preprocessing, labels)


def opening(samples: Sequence[Sample]) -> int:
    """Which sample is shown first: a seven, as in LeCun's own figure, else the first."""
    return next((i for i in range(len(samples)) if _label_of(samples, i) == 7), 0)


def _of_data(
    image: Array, label: str, entrance: Preprocessing, shape: Shape, labels: Labels, origin: str
) -> Sample:
    x = dataclasses.replace(entrance, invert=False).apply(image)
    seen = dataclasses.replace(entrance, invert=False).restore(x).clip(0, 1)
    return Sample(seen, _as_input(x, shape), class_of(label, labels), origin)
