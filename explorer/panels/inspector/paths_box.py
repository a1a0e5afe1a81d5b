"""What the paths add at a join, or send back to their fork: heading, sentence and bars."""

from __future__ import annotations

from PySide6.QtWidgets import QVBoxLayout, QWidget

from engine.graph import Node, Ref
from engine.statistics import norm
from explorer import theme
from explorer.narration import join_at
from explorer.panels.inspector.lens import Lens, is_kind, name_of
from explorer.panels.inspector.paths import (
    Fork,
    gradients_met,
    gradients_parted,
    values_joined,
)
from explorer.panels.labels import wrapped
from explorer.tensors.scales import format_number
from explorer.tensors.shares import SharesView


class PathsBox(QWidget):
    """A heading, a sentence where there are no numbers yet, and the shares."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        m = theme.metrics()
        box = QVBoxLayout(self)
        box.setContentsMargins(m.space_3, m.space_2, m.space_2, m.space_2)
        box.setSpacing(m.space_1)
        self.heading = wrapped()
        self.note = wrapped("muted")
        self.view = SharesView()
        self.sent_heading = wrapped()
        self.sent_heading.setText(self.tr("Backward: each input receives its own channels"))
        self.sent = SharesView()
        for widget in (self.heading, self.note, self.view, self.sent_heading, self.sent):
            box.addWidget(widget)
        self.sent_heading.hide()
        self.sent.hide()
        theme.theme().changed.connect(self._restyle)
        self._restyle()

    def _restyle(self) -> None:
        for heading in (self.heading, self.sent_heading):
            heading.setFont(theme.font("strong"))

    def show_join(self, lens: Lens, node: Node | None) -> None:
        """What each input of an Add or Concat contributes; hidden for any other layer."""
        side_by_side = is_kind(node, "Concat")
        joins = is_kind(node, "Add") or side_by_side
        self.setVisible(joins)
        if not joins or node is None:
            return
        shares = None
        if lens.trace is not None:
            shares = values_joined(lens.graph, lens.trace, lens.position, node)
        sent = None
        if side_by_side and lens.trace is not None:
            sent = gradients_parted(lens.graph, lens.trace, lens.position, node)
        self.sent_heading.setVisible(sent is not None)
        self.sent.setVisible(sent is not None)
        self.sent.set_shares(sent)
        self.heading.setText(
            self.tr("Forward: what each input brings")
            if side_by_side
            else self.tr("Forward: what each path adds")
        )
        self.view.setVisible(shares is not None)
        self.view.set_shares(shares)
        notes = []
        if shares is None:
            notes.append(self.tr("Step forward through this layer to see its paths."))
        gradient = lens.array(lens.key("grad", (node.id, 0)))
        if gradient is not None and not side_by_side:
            size = format_number(norm(gradient))
            notes.append(
                self.tr("Backward: the whole gradient, ‖∂‖ {norm}, leaves on every path.").format(
                    norm=size
                )
            )
        self.note.setText(" ".join(notes))
        self.note.setVisible(bool(notes))

    def show_fork(self, lens: Lens, ref: Ref | None) -> None:
        """The accumulate step of a forked tensor, or of the one that an Add's paths came from."""
        node = lens.node
        fork: Fork | None = None
        if ref is not None:
            fork = gradients_met(lens.graph, lens.trace, lens.position, ref)
        if fork is None and node is not None and is_kind(node, "Add"):
            start = join_at(lens.graph, node.id).fork
            if start is not None:
                fork = gradients_met(lens.graph, lens.trace, lens.position, start)
        self.setVisible(fork is not None)
        if fork is None:
            return
        self.heading.setText(
            self.tr("Add up: gradients that meet at {name}").format(name=name_of(fork.ref))
        )
        self.view.setVisible(fork.shares is not None)
        self.view.set_shares(fork.shares)
        self.note.setVisible(fork.shares is None)
        arrived = [
            f"‖{name}‖ {format_number(size)}"
            for name, size in zip(fork.names, fork.arrived, strict=True)
            if size is not None
        ]
        self.note.setText(
            self.tr("Arrived so far: {parts}.").format(parts=", ".join(arrived))
            if arrived
            else self.tr("Step into the backward pass: {names} are added there.").format(
                names=self.tr(" and ").join(fork.names)
            )
        )
