"""Which theme is in force, and what it gives: colours, sizes, fonts."""

from __future__ import annotations

from typing import Literal

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QFont, QGuiApplication
from PySide6.QtWidgets import QApplication

from explorer.theme.fonts import FontRole, font_of
from explorer.theme.stylesheet import palette, stylesheet
from explorer.theme.tokens import DARK, LIGHT, METRICS, PRESENTATION, Metrics, Tokens

Mode = Literal["system", "light", "dark"]


class Theme(QObject):
    """Which tokens are in force; follows the system unless told otherwise."""

    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._mode: Mode = "system"
        self._presentation = False
        self._tokens = LIGHT
        self._applied_to: QApplication | None = None
        application = QGuiApplication.instance()
        if isinstance(application, QGuiApplication):
            application.styleHints().colorSchemeChanged.connect(self._refresh)
        self._tokens = self._choose()

    @property
    def mode(self) -> Mode:
        return self._mode

    @property
    def tokens(self) -> Tokens:
        return self._tokens

    @property
    def presentation(self) -> bool:
        return self._presentation

    @property
    def metrics(self) -> Metrics:
        return PRESENTATION if self._presentation else METRICS

    def set_mode(self, mode: Mode) -> None:
        """Follow the system, or keep to ``light`` or ``dark``; ValueError for another name."""
        if mode not in ("system", "light", "dark"):
            raise ValueError(f"theme mode {mode!r}: expected 'system', 'light' or 'dark'")
        if mode == self._mode:
            return
        self._mode = mode
        # The window frame is the system's: it is asked to match. It is a no-op where unsupported.
        hints = QGuiApplication.styleHints()
        if mode == "system":
            hints.unsetColorScheme()
        else:
            hints.setColorScheme(Qt.ColorScheme.Dark if mode == "dark" else Qt.ColorScheme.Light)
        self._refresh()

    def set_presentation(self, on: bool) -> None:
        """Light theme, large text and thick lines while on; the mode is kept for afterwards."""
        if on == self._presentation:
            return
        self._presentation = on
        self._tokens = self._choose()
        self._restyle()
        self.changed.emit()

    def apply(self, application: QApplication) -> None:
        """Set style, palette, font and stylesheet of the application, now and on each change."""
        self._applied_to = application
        application.setStyle("Fusion")
        self._restyle()

    def _choose(self) -> Tokens:
        if self._presentation:
            return LIGHT
        if self._mode != "system":
            return DARK if self._mode == "dark" else LIGHT
        if QGuiApplication.instance() is None:
            return LIGHT
        scheme = QGuiApplication.styleHints().colorScheme()
        return DARK if scheme == Qt.ColorScheme.Dark else LIGHT

    def _refresh(self) -> None:
        tokens = self._choose()
        if tokens is self._tokens:
            return
        self._tokens = tokens
        self._restyle()
        self.changed.emit()

    def _restyle(self) -> None:
        application = self._applied_to
        if application is None:
            return
        application.setPalette(palette(self._tokens))
        application.setFont(font_of("body", self.metrics))
        application.setStyleSheet(stylesheet(self._tokens, self.metrics))


_theme: Theme | None = None


def theme() -> Theme:
    """The one theme of the program, made on first use."""
    global _theme
    if _theme is None:
        _theme = Theme()
    return _theme


def current() -> Tokens:
    """The colours in force."""
    return theme().tokens


def metrics() -> Metrics:
    """The sizes in force."""
    return theme().metrics


def apply(application: QApplication) -> None:
    """Style the application and keep it styled when the theme changes."""
    theme().apply(application)


def set_mode(mode: Mode) -> None:
    """Shorthand for ``theme().set_mode(mode)``."""
    theme().set_mode(mode)


def font(role: FontRole = "body") -> QFont:
    """A font of the scale; ``number`` has digits of equal width, ``code`` is monospaced."""
    return font_of(role, metrics())
