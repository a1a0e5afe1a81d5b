"""One node from inside: the panel, and the pure functions that read the trace for it."""

from explorer.panels.inspector.panel import Inspector
from explorer.panels.inspector.pin_bar import PinnedPicture

__all__ = ["Inspector", "PinnedPicture"]
