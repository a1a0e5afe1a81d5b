"""Workspaces: which panels are shown for which kind of work. They never change the document."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication


@dataclass(frozen=True)
class Workspace:
    """The panels of one kind of work; ``front`` are those shown on top of their tabs."""

    id: str
    panels: frozenset[str]
    front: tuple[str, ...] = ()


WORKSPACES: dict[str, Workspace] = {
    w.id: w
    for w in (
        Workspace(
            "build",
            frozenset(("layers", "outline", "history", "properties", "problems")),
            ("properties", "layers", "outline"),
        ),
        Workspace(
            "step",
            frozenset(("inspector", "cell", "inside", "timeline", "breakpoints", "watches")),
            ("inspector", "timeline"),
        ),
        Workspace("train", frozenset(("inspector", "training")), ("training",)),
        Workspace(
            "flow",
            frozenset(("inspector", "paths", "field", "timeline", "flow")),
            ("flow", "inspector"),
        ),
        Workspace(
            "learn",
            frozenset(("lessons", "inspector", "cell", "inside", "timeline")),
            ("inspector", "timeline", "lessons"),
        ),
    )
}


def panel_title(panel: str) -> str:
    """Name of a panel on its tab."""
    titles = {
        "layers": QCoreApplication.translate("Workspaces", "Layers"),
        "outline": QCoreApplication.translate("Workspaces", "Outline"),
        "lessons": QCoreApplication.translate("Workspaces", "Lessons"),
        "history": QCoreApplication.translate("Workspaces", "History"),
        "inspector": QCoreApplication.translate("Workspaces", "Inspector"),
        "cell": QCoreApplication.translate("Workspaces", "Where from?"),
        "inside": QCoreApplication.translate("Workspaces", "Inside"),
        "field": QCoreApplication.translate("Workspaces", "Receptive field"),
        "paths": QCoreApplication.translate("Workspaces", "Residual paths"),
        "properties": QCoreApplication.translate("Workspaces", "Properties"),
        "breakpoints": QCoreApplication.translate("Workspaces", "Breakpoints"),
        "timeline": QCoreApplication.translate("Workspaces", "Timeline"),
        "flow": QCoreApplication.translate("Workspaces", "Gradient flow"),
        "watches": QCoreApplication.translate("Workspaces", "Watches"),
        "training": QCoreApplication.translate("Workspaces", "Training"),
        "problems": QCoreApplication.translate("Workspaces", "Problems"),
    }
    return titles[panel]


def short_title(panel: str) -> str:
    """Its name where the tabs have little room."""
    titles = {
        "cell": QCoreApplication.translate("Workspaces", "From?"),
        "field": QCoreApplication.translate("Workspaces", "Field"),
        "paths": QCoreApplication.translate("Workspaces", "Paths"),
        "breakpoints": QCoreApplication.translate("Workspaces", "Stops"),
        "flow": QCoreApplication.translate("Workspaces", "Flow"),
    }
    return titles.get(panel, panel_title(panel))
