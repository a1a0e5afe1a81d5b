"""Known networks, one file each. A file dropped into this folder is found and listed here."""

from importlib import import_module
from pkgutil import iter_modules

from engine.architectures.base import Architecture

_FOUND = [
    import_module(f"{__name__}.{module.name}").ARCHITECTURE
    for module in iter_modules(__path__)
    if module.name != "base"
]

ARCHITECTURES: dict[str, Architecture] = {
    architecture.id: architecture
    for architecture in sorted(_FOUND, key=lambda found: (found.year, found.id))
}
"""All known networks by id, the oldest first."""

__all__ = ["ARCHITECTURES", "Architecture"]
