"""The gallery in the window: its menu, and a network of it as a project."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QMenu

from engine.architectures import ARCHITECTURES, Architecture, Size
from engine.parameters import initial_parameters
from engine.project_file import Project
from explorer import folding, samples
from explorer.canvas.placement import place
from explorer.document import STRUCTURE_WEIGHTS

__all__ = ["ARCHITECTURES", "fill", "project"]

SEED = 0


def project(architecture: Architecture, aspect: float) -> Project:
    """The network laid out for a canvas of that shape, with new weights unless it needs too many.

    Takes up to a tenth of a second for the largest: it is called beside the window.
    """
    graph = architecture.build()
    preprocessing = samples.plain_preprocessing(architecture.input)
    pictures = samples.shipped(architecture.input, preprocessing, graph.labels)
    pictures[samples.opening(pictures)]  # is drawn here, and found when the network is shown
    few = Size.of(graph).parameters <= STRUCTURE_WEIGHTS
    return Project(
        graph,
        initial_parameters(graph, SEED) if few else {},
        # One that opens folded is laid out as it is shown.
        layout={} if folding.opening(graph) else place(graph, aspect=aspect),
        preprocessing=preprocessing,
        metadata={"title": architecture.title, "source": architecture.source},
    )


def fill(menu: QMenu, opener: Callable[[str], Callable[[], None]]) -> None:
    """A submenu for each family, the oldest first; networks of classroom size stand on top.

    ``opener`` makes the slot that opens the network of an id.
    """
    families: dict[str, list[Architecture]] = {}
    for architecture in ARCHITECTURES.values():
        families.setdefault(architecture.family, []).append(architecture)
    for family, members in families.items():
        submenu = menu.addMenu(family)
        submenu.setObjectName(f"gallery.{family}")
        submenu.setToolTipsVisible(True)
        for scale in ("classroom", "full"):
            if scale == "full" and not submenu.isEmpty():
                submenu.addSeparator()
            for architecture in (a for a in members if a.scale == scale):
                text = f"{architecture.title} · {architecture.year}"
                action = submenu.addAction(text, opener(architecture.id))
                action.setObjectName(f"gallery.{architecture.id}")
                action.setToolTip(architecture.idea)
                action.setStatusTip(architecture.idea)
