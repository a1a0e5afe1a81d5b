"""Which file the work is in: open, save, export, and work that was not saved when the window
closed.
"""

from __future__ import annotations

import contextlib
from importlib import resources
from pathlib import Path

from engine import project_file
from engine.project_file import Project, ProjectError
from explorer import settings as user_settings

SHIPPED = {"lenet5": "lenet5.gflow", "resnet-digits": "resnet-digits.gflow"}


def shipped(name: str) -> Project:
    """A network that comes with the program; raises ProjectError."""
    data = resources.files("resources").joinpath("networks", SHIPPED[name]).read_bytes()
    return project_file.load_bytes(data, SHIPPED[name])


def load(path: Path) -> Project:
    """The project in a file; raises ProjectError."""
    return project_file.load(path)


def with_suffix(path: Path) -> Path:
    """The path with the project's suffix, unless it has one."""
    return path if path.suffix else path.with_suffix(project_file.SUFFIX)


def save(project: Project, path: Path) -> None:
    """Write the project; raises ProjectError and then has changed nothing."""
    project_file.save(project, path)


class Unsaved:
    """Keeps work that was not saved when the window closed, until the next start."""

    def __init__(self, folder: Path | None = None) -> None:
        self.path = (folder or user_settings.folder()) / "unsaved.gflow"

    def keep(self, project: Project) -> None:
        """Write the work; raises ProjectError when that is not possible."""
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        project_file.save(project, self.path)

    def take(self) -> Project | None:
        """The kept work, or None; a damaged one is set aside under another name."""
        if not self.path.exists():
            return None
        try:
            return project_file.load(self.path)
        except ProjectError:
            with contextlib.suppress(OSError):
                self.path.replace(self.path.with_suffix(".damaged"))
            return None

    def forget(self) -> None:
        """Remove the kept work (it is saved elsewhere, or was given up)."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)
