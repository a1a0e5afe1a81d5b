"""The banner that stands above the canvas while a what-if is on, and the way back."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QWidget

from engine.graph import Graph
from engine.trace import Gains
from explorer import theme
from explorer.narration import join_at
from explorer.tensors.scales import format_number

FEW = 3  # changed pixels that are named one by one


class WhatIfBar(QFrame):
    """Says which inputs of a join and which pixels are not what they are; hidden when none is."""

    reset_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("what-if")
        m = theme.metrics()
        row = QHBoxLayout(self)
        row.setContentsMargins(m.space_3, m.space_1, m.space_2, m.space_1)
        row.setSpacing(m.space_2)
        self._icon = QLabel(self)
        self.label = QLabel(self)
        self.label.setWordWrap(True)
        self.label.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.reset = QPushButton(self.tr("Reset"), self)
        self.reset.setToolTip(self.tr("Run the network as it is (Ctrl+R)"))
        self.reset.clicked.connect(self.reset_requested)
        row.addWidget(self._icon)
        row.addWidget(self.label, 1)
        row.addWidget(self.reset)
        theme.theme().changed.connect(self._restyle)
        self._restyle()
        self.hide()

    def _restyle(self) -> None:
        size = theme.metrics().icon_small
        self._icon.setPixmap(theme.icon("info", "accent").pixmap(size, size))
        tokens = theme.current()
        self.setStyleSheet(
            f"QFrame#what-if {{ background: {tokens.selection}; }}"
            f"QFrame#what-if QLabel {{ color: {tokens.text}; }}"
        )

    def set_what_if(
        self, graph: Graph, gains: Gains, pixels: Mapping[tuple[int, ...], float]
    ) -> None:
        """Say what is asked, or hide."""
        parts = []
        for (node_id, slot), gain in gains.items():
            if node_id not in graph.by_id:
                continue
            inputs = graph.node(node_id).inputs
            connected = [i for i, ref in enumerate(inputs) if ref is not None]
            name = join_at(graph, node_id).names[connected.index(slot)]
            if gain == 0:
                parts.append(self.tr("{name} of {node} muted").format(name=name, node=node_id))
            else:
                parts.append(
                    self.tr("{name} of {node} × {gain}").format(
                        name=name, node=node_id, gain=format_number(gain)
                    )
                )
        if len(pixels) > FEW:
            parts.append(self.tr("{0} pixels changed").format(len(pixels)))
        else:
            parts += [
                self.tr("pixel [{index}] = {value}").format(
                    index=", ".join(map(str, index)), value=format_number(value)
                )
                for index, value in pixels.items()
            ]
        self.label.setText(self.tr("What if: {0}").format(" · ".join(parts)))
        self.setVisible(bool(parts))
