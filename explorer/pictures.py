"""The picture that goes through the network: shipped, drawn, or from a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject

from engine.data.errors import DataError
from engine.data.strokes import Drawing, StrokeError, drawing_from_dict
from engine.layers.base import Array
from explorer import samples
from explorer.background import Background
from explorer.document import Document
from explorer.notices import Say
from explorer.samples import Sample

SMALL_FILE = 32_768
"""Bytes up to which a picture is read at once; a larger one is read beside the window."""


class Pictures(QObject):
    """Chooses the document's sample."""

    def __init__(self, document: Document, say: Say, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.document = document
        self._say = say
        self._reader = Background(self)
        self._samples: Sequence[Sample] = ()
        self._index = 0
        self._reading = 0

    @property
    def busy(self) -> bool:
        """Whether a picture is being read."""
        return self._reader.busy

    def forget(self) -> None:
        """A picture that is still being read comes too late."""
        self._reading += 1

    def close(self) -> None:
        """Wait for nothing any more."""
        self._reader.close()

    def load(self) -> None:
        """Find the pictures that fit the network's input and show the first."""
        document = self.document
        graph = document.graph
        self._samples = ()
        if graph.inputs:
            shape = graph.inputs[0].shape
            given = document.preprocessing
            if (given is None or given.shape != shape) and samples.is_picture(shape):
                document.preprocessing = samples.plain_preprocessing(shape)
            self._samples = samples.shipped(shape, document.preprocessing, graph.labels)
        self._index = samples.opening(self._samples)
        document.set_sample(self._samples[self._index] if self._samples else None)

    def some(self, count: int) -> list[Array]:
        """What the network receives of up to ``count`` shipped pictures, evenly from all of them.

        Without any, that of the picture that is shown.
        """
        known = len(self._samples)
        if not known:
            x = self.document.x
            return [] if x is None else [x]
        few = min(count, known)
        return [self._samples[i * known // few].x for i in range(few)]

    def next(self) -> None:
        """Show the next shipped picture."""
        self._show(self._index + 1)

    def previous(self) -> None:
        """Show the shipped picture before."""
        self._show(self._index - 1)

    def _show(self, index: int) -> None:
        if self._samples:
            self.forget()
            self._index = index % len(self._samples)
            self.document.set_sample(self._samples[self._index])

    def to_plain(self, sample: Sample) -> dict[str, Any] | None:
        """A picture as plain data for the project; None where it is from elsewhere, as a file."""
        if sample.drawing is not None:
            found: dict[str, Any] = {"drawing": sample.drawing.as_dict()}
        else:
            known = (i for i in range(len(self._samples)) if self._samples[i].x is sample.x)
            index = next(known, None) if not isinstance(self._samples, samples.Drawn) else None
            if index is None:
                return None
            found = {"shipped": index}
        return {**found, "label": sample.label, "origin": sample.origin}

    def from_plain(self, data: object) -> Sample | None:
        """What ``to_plain`` made, for the network as it is; None for anything else."""
        graph = self.document.graph
        if not isinstance(data, dict) or not graph.inputs:
            return None
        index, label, origin = data.get("shipped"), data.get("label"), data.get("origin", "")
        label = label if isinstance(label, int) else None
        if isinstance(index, int) and 0 <= index < len(self._samples):
            return replace(self._samples[index], label=label)
        try:
            drawing = drawing_from_dict(data.get("drawing"))
        except StrokeError:
            return None
        shape, preprocessing = graph.inputs[0].shape, self.document.preprocessing
        made = samples.from_drawing(drawing, shape, preprocessing, graph.labels, str(origin))
        return replace(made, label=label)

    @property
    def can_draw(self) -> bool:
        """Whether a drawing can be given to the network."""
        return bool(self.document.graph.inputs)

    def draw(self, drawing: Drawing) -> None:
        """Show a drawn digit; an empty drawing changes nothing."""
        graph = self.document.graph
        if not drawing.strokes or not graph.inputs:
            return
        self.forget()
        self.document.set_sample(
            samples.from_drawing(
                drawing,
                graph.inputs[0].shape,
                self.document.preprocessing,
                graph.labels,
                self.tr("your drawing"),
            )
        )

    def open(self, path: Path) -> None:
        """Show the picture in a file; a large one appears when it has been read."""
        graph, preprocessing = self.document.graph, self.document.preprocessing
        if not graph.inputs:
            self._say("warning", self.tr("Open a network first: it decides the picture's size."))
            return
        shape = graph.inputs[0].shape
        self.forget()
        ticket = self._reading

        def read() -> Sample:
            return samples.from_file(path, shape, preprocessing)

        def done(result: Any) -> None:
            if ticket != self._reading:
                return  # another picture was chosen meanwhile
            if isinstance(result, Sample):
                self.document.set_sample(result)
            else:
                self._say("error", str(result) or type(result).__name__)

        try:
            small = path.stat().st_size <= SMALL_FILE
        except OSError:
            small = True  # reading it says what is wrong
        if not small:
            self._reader.run(read, done)
            return
        try:
            done(read())
        except (DataError, OSError, MemoryError) as error:
            done(error)

    def set_target(self, label: int | None) -> None:
        """Say which class is right for the picture; None or below 0: the network's own guess."""
        sample = self.document.sample
        wanted = label if label is not None and label >= 0 else None
        if sample is not None and sample.label != wanted:
            self.document.set_sample(replace(sample, label=wanted))
