"""The present run as a file: to be reopened, as a table of its steps, or as an animated GIF."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from engine import recording
from engine.atomic_file import reason, replacing
from engine.project_file import ProjectError
from engine.recording import Recording
from engine.trace import Trace
from explorer.animation import Animation, Film
from explorer.background import Background
from explorer.document import Document
from explorer.notices import Say

SUFFIXES = (recording.SUFFIX, ".txt", ".gif")


class RunFiles(QObject):
    """Writes beside the window; says what became of it."""

    progressed = Signal(int, int)  # frames of an animation
    ended = Signal()

    def __init__(self, document: Document, say: Say, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.document, self._say = document, say
        self._writer = Background(self)
        self._animation: Animation | None = None

    @property
    def recording(self) -> bool:
        """Whether an animation is being made."""
        return self._animation is not None

    def save(self, path: Path, seconds: float = 1.0) -> bool:
        """Begin to write the run; the suffix says as what. False, with a word, where it cannot.

        ``seconds`` is how long a step stands in an animation.
        """
        document, run = self.document, self.document.run
        suffix = path.suffix.lower()
        if run is None:
            self._say("info", self.tr("There is no run to save yet."))
        elif suffix not in SUFFIXES:
            self._say(
                "warning",
                self.tr("{0}: expected a name that ends in {1}. Choose one of them.").format(
                    path.name, ", ".join(SUFFIXES)
                ),
            )
        elif not run.complete:
            self._say(
                "info",
                self.tr("The run is not computed to its end yet: save it in a moment.")
                if not run.error
                else self.tr("The run stopped before its end: {0}").format(run.error),
            )
        elif self.recording and suffix == ".gif":
            self._say("info", self.tr("An animation is being made already."))
        elif suffix == ".gif":
            self._animate(path, seconds)
            return True
        else:
            trace = run.trace
            tuple(trace.keys())  # its index is complete before another thread looks
            if suffix == ".txt":
                title = document.title
                self._write(lambda: write_text(trace, title, path))
                return True
            try:
                project = dataclasses.replace(document.project(), parameters={})
            except ProjectError as error:
                self._say("error", str(error))
                return False
            origin = document.sample.origin if document.sample is not None else ""
            made = Recording(project, trace, run.target, run.assumed_target, origin)
            self._write(lambda: _saved(made, path))
            return True
        return False

    def cancel(self) -> None:
        """Give up the animation that is being made."""
        if self._animation is not None:
            self._animation.cancel()

    def close(self) -> None:
        """Wait for what is being written; an animation that is not complete is given up."""
        if self._animation is not None:
            self._animation.close()
            self._animation = None
        self._writer.close()

    def _write(self, write: Callable[[], Path]) -> None:
        self._writer.run(write, self._told)

    def _told(self, result: Any) -> None:
        if isinstance(result, Path):
            self._say("success", self.tr("Saved {0}.").format(result.name))
        else:
            self._say("error", str(result) or type(result).__name__)

    def _animate(self, path: Path, seconds: float) -> None:
        d, run = self.document, self.document.run
        assert run is not None
        film = Film(
            d.graph,
            d.layout,
            d.inference,
            d.costs,
            frozenset(d.folded),
            run.trace,
            len(run.operations),
            run.assumed_target,
            seconds,
        )
        self._animation = Animation(film, path, self)
        self._animation.progressed.connect(self.progressed)
        self._animation.ended.connect(self._animated)
        self.progressed.emit(0, len(film.positions))
        self._animation.start()

    def _animated(self, result: Any) -> None:
        if self._animation is not None:
            self._animation.deleteLater()
            self._animation = None
        self.ended.emit()
        if result is None:
            self._say("info", self.tr("No animation was written."))
        else:
            self._told(result)


def _saved(made: Recording, path: Path) -> Path:
    try:
        recording.save(made, path)
    except OSError as error:
        raise OSError(f"{os.path.basename(path)}: {reason(error, path)}") from error
    return path


def write_text(trace: Trace, title: str, path: Path) -> Path:
    """Write the steps as a table: number, phase, layer, and what was written with its range."""
    lines = [title, "", *trace.lines(), ""]
    try:
        with replacing(path) as file:
            file.write("\n".join(lines).encode("utf-8", "replace"))
    except OSError as error:
        raise OSError(f"{os.path.basename(path)}: {reason(error, path)}") from error
    return path
