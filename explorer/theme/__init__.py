"""Design tokens: the only place with colours, pixel sizes and fonts.

A view asks ``theme.current()`` for the colours and ``theme.metrics()`` for the sizes each time it
paints, and repaints when ``theme.theme().changed`` is emitted. Nothing is copied, so switching from
light to dark needs no restart.
"""

from explorer.theme.fonts import FontRole
from explorer.theme.icon_files import ICON_DIRECTORY, icon_names
from explorer.theme.icons import icon
from explorer.theme.in_force import Mode, Theme, apply, current, font, metrics, set_mode, theme
from explorer.theme.pens import field_pens, focus_pens
from explorer.theme.tokens import (
    DARK,
    LIGHT,
    METRICS,
    MUTED_OPACITY,
    PRESENTATION,
    Metrics,
    Tokens,
)

__all__ = [
    "DARK",
    "ICON_DIRECTORY",
    "LIGHT",
    "METRICS",
    "MUTED_OPACITY",
    "PRESENTATION",
    "FontRole",
    "Metrics",
    "Mode",
    "Theme",
    "Tokens",
    "apply",
    "current",
    "field_pens",
    "focus_pens",
    "font",
    "icon",
    "icon_names",
    "metrics",
    "set_mode",
    "theme",
]
