"""The panels around the canvas: each shows what it is given and asks for what it wants changed.

A panel is imported when it is first named, so that the first picture does not wait for the rest.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from explorer.panels.breakpoints import Breakpoints
    from explorer.panels.cell import CellPanel
    from explorer.panels.effective_field import EffectiveFieldPanel
    from explorer.panels.flow import FlowPanel
    from explorer.panels.history import HistoryPanel
    from explorer.panels.inside import InsidePanel
    from explorer.panels.inspector import Inspector
    from explorer.panels.lessons import LessonsPanel
    from explorer.panels.narration import Narration
    from explorer.panels.outline import Outline
    from explorer.panels.palette import Palette
    from explorer.panels.paths import PathsPanel
    from explorer.panels.problems import Problems
    from explorer.panels.properties import Properties
    from explorer.panels.sample_bar import SampleBar
    from explorer.panels.timeline import Timeline
    from explorer.panels.training import TrainingPanel
    from explorer.panels.watches import WatchesPanel

__all__ = [
    "Breakpoints",
    "CellPanel",
    "EffectiveFieldPanel",
    "FlowPanel",
    "HistoryPanel",
    "InsidePanel",
    "Inspector",
    "LessonsPanel",
    "Narration",
    "Outline",
    "Palette",
    "PathsPanel",
    "Problems",
    "Properties",
    "SampleBar",
    "Timeline",
    "TrainingPanel",
    "WatchesPanel",
]

_MODULES = {
    "Breakpoints": "breakpoints",
    "CellPanel": "cell",
    "EffectiveFieldPanel": "effective_field",
    "FlowPanel": "flow",
    "HistoryPanel": "history",
    "InsidePanel": "inside",
    "Inspector": "inspector",
    "LessonsPanel": "lessons",
    "Narration": "narration",
    "Outline": "outline",
    "Palette": "palette",
    "PathsPanel": "paths",
    "Problems": "problems",
    "Properties": "properties",
    "SampleBar": "sample_bar",
    "Timeline": "timeline",
    "TrainingPanel": "training",
    "WatchesPanel": "watches",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value
