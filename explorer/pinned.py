"""A second picture that is kept beside the present one, run by the same network and weights."""

from __future__ import annotations

from typing import Any, Literal

from PySide6.QtCore import QObject, Signal

from engine.layers.base import Array
from engine.trace import Gains, Trace
from explorer.document import Document
from explorer.notices import Say
from explorer.pictures import Pictures
from explorer.run import Replay, Run
from explorer.samples import Sample
from explorer.stepping import Stepping

State = Literal["none", "ready", "stale", "unfit", "failed"]
"""ready: ``trace`` is of the network as it is. stale: it is not, and is being made anew. unfit: the
network as it is cannot take the picture. failed: the run stopped, ``error`` says why."""


class Pinned(QObject):
    """Follows the document. How one looks, not what there is: no undo entry knows it, but the
    project remembers a picture that it can make again.

    The run of the document comes first: this one begins when that is complete.
    """

    changed = Signal()

    def __init__(
        self,
        document: Document,
        stepping: Stepping,
        pictures: Pictures,
        say: Say,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.document, self._stepping, self._say = document, stepping, say
        self._pictures = pictures
        self.sample: Sample | None = None
        self.x: Array | None = None
        """What the network received when it was pinned: with the numbers of a what-if."""
        self.state: State = "none"
        self.error = ""
        self._trace: Trace | None = None
        self._run: Run | None = None
        self._gains: Gains = {}
        self._recorded = False
        document.parameters_changed.connect(self._network_changed)
        document.what_if_changed.connect(self._gains_changed)
        document.run_changed.connect(self._run_changed)
        document.keeping.connect(self._keep)

    @property
    def trace(self) -> Trace | None:
        """The whole run of the pinned picture; None while there is none that is true now."""
        return self._trace if self.state == "ready" else None

    def toggle(self) -> None:
        """Pin the present picture, or let go of the one that is pinned."""
        if self.sample is not None:
            self.unpin()
        else:
            self.pin()

    def pin(self) -> None:
        """Keep the present picture with its run; another that was pinned goes."""
        document = self.document
        run = document.run
        if document.sample is None or document.x is None:
            self._say("info", self.tr("There is no picture yet that could be pinned."))
            return
        self._stop()
        self.sample, self.x = document.sample, document.x
        self._gains, self.error = dict(document.gains), ""
        if run is not None and run.complete and not run.error:
            self._recorded = isinstance(run, Replay)
            self._trace, self.state = run.trace, "ready"
            self.changed.emit()
        else:
            self._renew()
        self._say(
            "info",
            self.tr("Pinned: choose or draw another picture, and the inspector shows both."),
        )

    def _keep(self, kept: dict[str, Any]) -> None:
        kept["pinned"] = self._pictures.to_plain(self.sample) if self.sample else None

    def restore(self) -> None:
        """Pin the picture that the project was saved with, where it can be made again."""
        sample = self._pictures.from_plain(self.document.settings.get("pinned"))
        if sample is not None and self.sample is None:
            self.sample, self.x = sample, sample.x
            self._renew()

    def unpin(self) -> None:
        """Let go of the pinned picture."""
        if self.sample is None:
            return
        self._stop()
        self.sample, self.x, self._trace, self.state = None, None, None, "none"
        self.changed.emit()

    def close(self) -> None:
        """Compute no further."""
        self._stop()

    # ---- the run -----------------------------------------------------------------------------

    def _stop(self) -> None:
        if self._run is not None:
            self._run.stop()
            self._run.deleteLater()
            self._run = None

    def _network_changed(self) -> None:
        if self.sample is not None:
            self._renew()

    def _gains_changed(self) -> None:
        """Another picture's changed pixels do not concern this one; factors at an Add do."""
        if self.sample is not None and dict(self.document.gains) != self._gains:
            self._renew()

    def _renew(self) -> None:
        """What was computed is not true any more: compute it anew."""
        self._stop()
        self._trace, self.state, self.error = None, "stale", ""
        self._recorded = False
        self._gains = dict(self.document.gains)
        self._begin()
        self.changed.emit()

    def _run_changed(self) -> None:
        if self.sample is None:
            return
        if self._recorded and not isinstance(self.document.run, Replay):
            self._renew()  # the recorded run had weights of its own
        elif self.state in ("stale", "unfit") and self._run is None:
            before = self.state
            self._begin()
            if self.state != before:
                self.changed.emit()

    def _begin(self) -> None:
        """Start the run, once the document's own is there and does not wait any more."""
        main = self.document.run
        if main is None:
            self.state = "unfit"
            return
        self.state = "stale"
        if not (main.complete or main.error) or self.x is None or self.sample is None:
            return
        run = self._stepping.run_of(self.x, self.sample.label, self)
        if run is None:
            self.state = "unfit"
            return
        self._run = run
        run.progressed.connect(self._progressed)
        run.finish_in_background()

    def _progressed(self) -> None:
        run = self._run
        if run is None or self.sender() is not run:
            return
        if run.error:
            self.state, self.error = "failed", run.error
        elif run.complete:
            self._trace, self.state = run.trace, "ready"
        else:
            return
        self._stop()
        self.changed.emit()
