"""Fonts of the scale."""

from __future__ import annotations

from typing import Literal

from PySide6.QtGui import QFont

from explorer.theme.tokens import Metrics

FontRole = Literal["small", "body", "strong", "heading", "title", "number", "code"]
# Fallbacks by platform; Qt takes the first that is installed.
SANS = (
    "Inter",
    "Segoe UI Variable Text",
    "Segoe UI",
    "SF Pro Text",
    "Helvetica Neue",
    "Noto Sans",
    "Cantarell",
    "Ubuntu",
    "DejaVu Sans",
    "Arial",
)
MONO = (
    "JetBrains Mono",
    "Cascadia Mono",
    "SF Mono",
    "Menlo",
    "Consolas",
    "Noto Sans Mono",
    "DejaVu Sans Mono",
    "Liberation Mono",
)


def font_of(role: FontRole, m: Metrics) -> QFont:
    """A font of the scale; ``number`` has digits of equal width, ``code`` is monospaced."""
    size = {
        "small": m.text_small,
        "body": m.text_body,
        "strong": m.text_body,
        "heading": m.text_heading,
        "title": m.text_title,
        "number": m.text_body,
        "code": m.text_body,
    }[role]
    result = QFont()
    if role == "code":
        result.setFamilies(list(MONO))
        result.setStyleHint(QFont.StyleHint.Monospace)
    else:
        result.setFamilies(list(SANS))
        result.setStyleHint(QFont.StyleHint.SansSerif)
    if role == "number":
        # Tabular figures keep a changing number from dancing; fonts without the feature ignore it.
        result.setFeature(QFont.Tag("tnum"), 1)
    result.setPixelSize(size)
    result.setHintingPreference(QFont.HintingPreference.PreferNoHinting)
    if role in ("strong", "heading"):
        result.setWeight(QFont.Weight.DemiBold)
    return result
