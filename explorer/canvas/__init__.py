"""The network as a picture that is edited with the mouse and watched while it runs."""

from explorer.canvas.placement import place
from explorer.canvas.view import Canvas

__all__ = ["Canvas", "place"]
