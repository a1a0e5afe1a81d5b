"""The drawings of the icons, in the colour that is asked for."""

from __future__ import annotations

import atexit
import tempfile
from functools import lru_cache
from pathlib import Path

ICON_DIRECTORY = Path(__file__).resolve().parent.parent.parent / "resources" / "icons"


@lru_cache(maxsize=512)
def svg(name: str, colour: str) -> bytes:
    """The icon's drawing in one colour (``#rrggbb``)."""
    path = ICON_DIRECTORY / f"{name}.svg"
    return path.read_bytes().replace(b"currentColor", colour.encode("ascii"))


def icon_names() -> tuple[str, ...]:
    """The names of all icons, sorted."""
    return tuple(sorted(path.stem for path in ICON_DIRECTORY.glob("*.svg")))


@lru_cache(maxsize=1)
def _icon_folder() -> str:
    folder = tempfile.TemporaryDirectory(prefix="gradient-flow-icons-")
    atexit.register(folder.cleanup)
    return folder.name


@lru_cache(maxsize=64)
def icon_file(name: str, colour: str) -> str | None:
    """An icon in one colour as a file of its own; None if none can be written."""
    try:
        path = Path(_icon_folder()) / f"{name}-{colour[1:]}.svg"
        path.write_bytes(svg(name, colour))
    except OSError:
        return None  # the look loses a check mark, the program runs
    return path.as_posix()
