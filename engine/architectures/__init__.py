"""Known networks, a file for each family. A file dropped into this folder is found and listed.

It has ``ARCHITECTURES``, a tuple of its entries in the order in which they are to be listed.
"""

from importlib import import_module
from pkgutil import iter_modules

from engine.architectures.base import Architecture, Size

_FOUND: list[Architecture] = [
    architecture
    for module in iter_modules(__path__)
    if module.name != "base"
    for architecture in import_module(f"{__name__}.{module.name}").ARCHITECTURES
]

ARCHITECTURES: dict[str, Architecture] = {
    architecture.id: architecture for architecture in sorted(_FOUND, key=lambda found: found.year)
}
"""All known networks by id, the oldest first."""

__all__ = ["ARCHITECTURES", "Architecture", "Size"]
