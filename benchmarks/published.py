"""Where figures are published: between two marks of a README, with the machine's name."""

from __future__ import annotations

import platform
from pathlib import Path


def marks(name: str) -> tuple[str, str]:
    """The lines between which the table ``name`` stands."""
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"


def put_into(path: Path, name: str, text: str) -> None:
    """Replace what stands between the marks; raises SystemExit when they are missing."""
    begin, end = marks(name)
    before, found, rest = path.read_text(encoding="utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise SystemExit(f"{path}: expected {begin} and {end}, to put the table between them.")
    path.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


def processor() -> str:
    """The processor's name, as the system says it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(x.split(":")[1].strip() for x in lines if x.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
