"""Where a number came from: its terms, the window that they lie in, the way that led here."""

from explorer.panels.cell.panel import CellPanel

__all__ = ["CellPanel"]
