"""One file per layer. A file dropped into this folder is found and registered here."""

from importlib import import_module
from pkgutil import iter_modules

from engine.layers.base import REGISTRY, Layer

for _module in sorted(m.name for m in iter_modules(__path__) if m.name != "base"):
    _loaded = import_module(f"{__name__}.{_module}")
    for _name, _value in vars(_loaded).items():
        if _name in REGISTRY and REGISTRY[_name] is _value:
            globals()[_name] = _value

__all__ = [*sorted(REGISTRY), "REGISTRY", "Layer"]
