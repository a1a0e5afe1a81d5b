"""The user's settings, each described once: type, range, default, help. Kept as a JSON file."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QStandardPaths, Signal


@dataclass(frozen=True)
class Setting:
    """One setting: its default, what values it may take, and a sentence of help.

    One with a ``title`` is in the dialog; ``words`` name its choices there. The others are kept
    by the program itself.
    """

    default: Any
    help: str
    choices: tuple[Any, ...] = ()
    low: float | None = None
    high: float | None = None
    title: str = ""
    words: tuple[str, ...] = ()

    def accepts(self, value: Any) -> bool:
        """Whether a stored value still makes sense."""
        if self.choices:
            return value in self.choices
        if isinstance(self.default, bool) or isinstance(value, bool):
            return isinstance(self.default, bool) and isinstance(value, bool)
        if isinstance(self.default, int | float):
            if not isinstance(value, int | float):
                return False
            return (self.low is None or value >= self.low) and (
                self.high is None or value <= self.high
            )
        if isinstance(self.default, list):
            return isinstance(value, list) and all(isinstance(entry, str) for entry in value)
        return isinstance(value, type(self.default))


SETTINGS: dict[str, Setting] = {
    "theme": Setting(
        "system",
        "Colours of the window.",
        ("system", "light", "dark"),
        title="Theme",
        words=("Colours of the system", "Light", "Dark"),
    ),
    "workspace": Setting(
        "step", "Which panels are shown.", ("build", "step", "train", "flow", "learn")
    ),
    "play_speed": Setting(
        2.0, "Operations per second when playing.", low=0.25, high=20.0, title="Speed of playing"
    ),
    "recent": Setting([], "Projects that were opened or saved last."),
    "last_folder": Setting("", "Folder that file dialogs start in."),
    "export": Setting({}, "What was chosen at the last export."),
    "sizes": Setting({}, "Sizes chosen for ONNX files that leave them open."),
    "windows": Setting({}, "Sizes and places of the window and its panels."),
    "hint_seen": Setting(False, "The first hint was closed."),
    "lesson": Setting("", "The page of the lessons that was read last."),
    "receptive_field": Setting(
        True, "What the selected cell sees and changes is outlined.", title="Receptive field"
    ),
    "motion": Setting(
        "system",
        "Cards travel to where an edit puts them, instead of being there at once.",
        ("system", "always", "never"),
        title="Motion",
        words=("As the system has it", "Always", "Never"),
    ),
    "predict": Setting(
        "learn",
        "Ask what an operation will do before it is shown.",
        ("learn", "always", "never"),
        title="Predict, then reveal",
        words=("In the workspace Learn", "Always", "Never"),
    ),
    "scale_mode": Setting(
        "shared",
        "Colour scale of the maps.",
        ("shared", "per channel", "frozen"),
        title="Scale of maps",
        words=("One for all channels", "One for each channel", "As it was frozen"),
    ),
}


def folder() -> Path:
    """Where the program keeps the user's files; made when it is first written to."""
    chosen = os.environ.get("GRADIENT_FLOW_HOME")
    if chosen:
        return Path(chosen)
    base = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.GenericConfigLocation)
    return Path(base or Path.home()) / "gradient-flow-explorer"


class Settings(QObject):
    """Reads at start, writes when something changes; a damaged file means the defaults."""

    changed = Signal(str)

    def __init__(self, path: Path | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.path = path or folder() / "settings.json"
        self._values: dict[str, Any] = {}
        with contextlib.suppress(OSError, ValueError, RecursionError):
            stored = json.loads(self.path.read_text(encoding="utf-8"))
            if isinstance(stored, dict):
                self._values = {
                    k: v for k, v in stored.items() if k in SETTINGS and SETTINGS[k].accepts(v)
                }

    def __getitem__(self, name: str) -> Any:
        return self._values.get(name, SETTINGS[name].default)

    def set(self, name: str, value: Any) -> None:
        """Change one setting and keep it; raises ValueError for a value that is out of range."""
        if not SETTINGS[name].accepts(value):
            raise ValueError(f"Setting {name}: {SETTINGS[name].help} Received {value!r}.")
        if value == self[name]:
            return
        self._values[name] = value
        self._write()
        self.changed.emit(name)

    def _write(self) -> None:
        """Replace the file whole. Not flushed to the disk: a slider that is dragged would wait."""
        temporary = self.path.with_suffix(".part")
        # settings that cannot be kept are no reason to disturb the user's work
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                temporary.write_text(json.dumps(self._values, indent=1), encoding="utf-8")
                os.replace(temporary, self.path)
            except OSError:
                temporary.unlink(missing_ok=True)

    def remember_recent(self, path: Path) -> None:
        """Put a project first among the recent ones."""
        name = str(path)
        self.set("recent", [name, *(p for p in self["recent"] if p != name)][:8])
