"""Fast forms of layers, chosen by the plan. A file dropped into this folder is found here.

It has KERNEL, or KERNELS where several share their work.

Of two that serve a site the plan takes the first in the order of the file names, so the choice
depends on shapes alone and a run can be repeated exactly.
"""

from importlib import import_module
from pkgutil import iter_modules

from engine.kernels.base import Kernel, Plain

KERNELS: tuple[Kernel, ...] = tuple(
    kernel
    for module in (
        import_module(f"{__name__}.{m.name}")
        for m in sorted(iter_modules(__path__), key=lambda m: m.name)
        if m.name != "base"
    )
    for kernel in getattr(module, "KERNELS", None) or (module.KERNEL,)
)
PLAIN = Plain()

__all__ = ["KERNELS", "PLAIN"]
