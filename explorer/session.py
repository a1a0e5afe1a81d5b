"""Which file the work is in: open, save, and work that was not saved.

Work that was open and unsaved when the window closed, or when the program was killed, comes back
at the next start. Work that another project replaced is set aside under its own name.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import time
from importlib import resources
from pathlib import Path

from PySide6.QtCore import QLockFile

from engine import project_file
from engine.project_file import Project, ProjectError
from explorer import settings as user_settings

SHIPPED = {"lenet5": "lenet5.gflow", "resnet-digits": "resnet-digits.gflow"}
ASIDE = 10
"""How many works that were set aside are kept; the oldest go."""
LEFT_SECONDS = 3600
"""No file takes that long to write."""
LONGEST_NAME = 80
"""Letters of a file's name that is proposed."""
WINDOWS = 9
"""How many programs at the same time have a place of their own for unsaved work."""


def shipped(name: str) -> Project:
    """A network that comes with the program; raises ProjectError or OSError."""
    data = resources.files("resources").joinpath("networks", SHIPPED[name]).read_bytes()
    return project_file.load_bytes(data, SHIPPED[name])


def load(path: Path) -> Project:
    """The project in a file; raises ProjectError."""
    return project_file.load(path)


def with_suffix(path: Path) -> Path:
    """The path with the project's suffix, unless it has it or names a file that is there."""
    if path.suffix.lower() == project_file.SUFFIX or path.is_file():
        return path
    return path.with_name(path.name + project_file.SUFFIX)


def file_name(title: str, suffix: str) -> str:
    """A name for a file of this title that Windows, macOS and Linux all take."""
    name = re.sub(r'[<>:"|?*\x00-\x1f]+', " ", re.sub(r"[/\\]", "-", title))
    name = " ".join(name.split()).strip("-. ")[:LONGEST_NAME].rstrip("-. ")
    if re.fullmatch(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", name, re.IGNORECASE):
        name = f"{name}_"  # Windows would write to a device
    return f"{name or 'network'}{suffix}"


def save(project: Project, path: Path) -> None:
    """Write the project; raises ProjectError and then has changed nothing."""
    project_file.save(project, path)


class Held:
    """The file that the work is in, which no other running program should write meanwhile."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = (folder or user_settings.folder()) / "open"
        self._path = ""
        self._lock: QLockFile | None = None

    def take(self, path: Path) -> bool:
        """Hold ``path`` instead of what was held; False when another program holds it.

        Where no lock can be written, nothing is known of others, and the answer is True.
        """
        real = os.path.realpath(path)
        if real == self._path:
            return True
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
        # Beside the user's files a lock would be litter; its name here stands for the whole path.
        name = hashlib.sha256(os.fsencode(real)).hexdigest()[:24]
        lock = _lock_of(self.folder / name)
        if not lock.tryLock(0) and lock.error() == QLockFile.LockError.LockFailedError:
            return False
        self.release()
        self._path, self._lock = real, lock
        return True

    def release(self) -> None:
        """Nothing is held any more."""
        if self._lock is not None:
            self._lock.unlock()
        self._path, self._lock = "", None


class Unsaved:
    """Keeps work that was not saved, until the next start.

    Each running program has a file of its own, so that two of them do not take each other's work.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or user_settings.folder()
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            _sweep(self.folder)
        self._lock: QLockFile | None = None
        self.path = self._places()[0]
        for path in self._places():
            lock = _lock_of(path)
            if lock.tryLock(0):
                self.path, self._lock = path, lock
                break
            if lock.error() != QLockFile.LockError.LockFailedError:
                break  # a folder that cannot be written: keeping will say so

    def _places(self) -> list[Path]:
        return [self.folder / f"unsaved{'' if n == 0 else n + 1}.gflow" for n in range(WINDOWS)]

    def keep(self, project: Project) -> None:
        """Write the work; raises ProjectError when that is not possible."""
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        project_file.save(project, self.path)

    def take(self) -> Project | None:
        """The kept work, or None; a damaged one is put under another name.

        Work of a program that ended is taken over, that of one still running is not.
        """
        if not self.path.exists():
            for other in self._places():
                if other != self.path and other.exists() and (lock := _lock_of(other)).tryLock(0):
                    with contextlib.suppress(OSError):
                        other.replace(self.path)
                    lock.unlock()
                    break
            else:
                return None
        try:
            return project_file.load(self.path)
        except ProjectError:
            with contextlib.suppress(OSError):
                self.path.replace(self.path.with_suffix(".damaged"))
            return None

    def set_aside(self, project: Project) -> Path:
        """Write work that another project replaces to a file of its own; return that file.

        Raises ProjectError or OSError.
        """
        folder = self.folder / "unsaved"
        folder.mkdir(parents=True, exist_ok=True)
        title = str(project.metadata.get("title", project.graph.name))
        name = re.sub(r"[^\w .-]+", "-", title).strip(" .-")[:40] or "network"
        stem = f"{name} {time.strftime('%Y-%m-%d %H.%M')}"
        path, count = folder / f"{stem}{project_file.SUFFIX}", 1
        while path.exists():
            count += 1
            path = folder / f"{stem} ({count}){project_file.SUFFIX}"
        project_file.save(project, path)
        self.forget()
        with contextlib.suppress(OSError):
            by_age = sorted(folder.glob(f"*{project_file.SUFFIX}"), key=lambda p: p.stat().st_mtime)
            for old in by_age[:-ASIDE]:
                old.unlink(missing_ok=True)
        return path

    def forget(self) -> None:
        """Remove the kept work (it is saved elsewhere, or was given up)."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)

    def release(self) -> None:
        """The program ends: another may use this place."""
        if self._lock is not None:
            self._lock.unlock()
            self._lock = None


def _sweep(folder: Path) -> None:
    """Remove what programs that were killed while writing left, old enough to be nobody's."""
    for part in folder.glob(".*.part"):
        if time.time() - part.stat().st_mtime > LEFT_SECONDS:
            part.unlink(missing_ok=True)


def _lock_of(path: Path) -> QLockFile:
    lock = QLockFile(str(path.with_suffix(".lock")))
    lock.setStaleLockTime(0)  # stale only when its program has ended
    return lock
