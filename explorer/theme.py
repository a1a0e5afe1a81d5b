"""Design tokens: the only place with colours, pixel sizes and fonts.

A view asks ``theme.current()`` for the colours and ``theme.metrics()`` for the sizes each time it
paints, and repaints when ``theme.theme().changed`` is emitted. Nothing is copied, so switching from
light to dark needs no restart.
"""

from __future__ import annotations

import atexit
import tempfile
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

from PySide6.QtCore import QObject, QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFont,
    QFontDatabase,
    QGuiApplication,
    QIcon,
    QIconEngine,
    QPainter,
    QPalette,
    QPen,
    QPixmap,
)
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QApplication

Mode = Literal["system", "light", "dark"]
FontRole = Literal["small", "body", "strong", "heading", "title", "number", "code"]
ICON_DIRECTORY = Path(__file__).resolve().parent.parent / "resources" / "icons"


@dataclass(frozen=True)
class Tokens:
    """The colours of one theme as ``#rrggbb``; pass them to QColor or a stylesheet as they are.

    ``forward``, ``backward``, ``skip`` and ``error`` are tested to be distinguishable under
    deuteranopia, and every colour that is used for text has a contrast of at least 4.5:1 on
    ``background``, ``surface`` and ``surface_raised``.
    """

    name: str
    dark: bool
    # Areas, from the back to the front.
    background: str
    surface: str
    surface_raised: str
    hover: str
    pressed: str
    border: str
    border_strong: str  # outlines of controls: at least 3:1
    grid: str
    # Text.
    text: str
    text_muted: str
    text_disabled: str  # exempt from the contrast rule, as in WCAG 1.4.3
    text_on_accent: str
    # Meaning.
    accent: str
    forward: str
    backward: str
    skip: str
    branch: str
    error: str
    warning: str
    success: str
    selection: str
    focus_ring: str  # the one focus: a selected cell, wherever it is drawn
    focus_halo: str  # drawn under the ring so that it stands out from any cell colour
    # Phases of a run.
    phase_forward: str
    phase_loss: str
    phase_backward: str
    phase_accumulate: str
    phase_update: str
    # Tensors.
    nan: str
    infinity: str
    minus_infinity: str
    padding: str  # the hatching of cells that exist only as padding
    cell_gap: str
    sequential: tuple[str, ...]  # stops, interpolated in OKLab by explorer.tensors.scales
    diverging: tuple[str, ...]  # negative … zero … positive
    windows: tuple[str, ...]  # one colour per pooling window, repeated
    tooltip: str
    tooltip_text: str
    shadow: str

    def phase(self, phase: str) -> str:
        """The colour of a phase of the run; KeyError for a name that is none."""
        try:
            return {
                "forward": self.phase_forward,
                "loss": self.phase_loss,
                "backward": self.phase_backward,
                "accumulate": self.phase_accumulate,
                "update": self.phase_update,
            }[phase]
        except KeyError:
            raise KeyError(
                f"no colour for phase {phase!r}: expected forward, loss, backward, accumulate "
                "or update"
            ) from None

    def colour(self, name: str, alpha: float = 1.0) -> QColor:
        """The named token as a QColor with an opacity between 0 and 1."""
        value = getattr(self, name)
        if not isinstance(value, str):
            raise TypeError(f"token {name!r} is {type(value).__name__}, expected a colour")
        colour = QColor(value)
        colour.setAlphaF(alpha)
        return colour

    @classmethod
    def colour_names(cls) -> tuple[str, ...]:
        """The names of all tokens that hold one colour."""
        return tuple(f.name for f in fields(cls) if f.type == "str" and f.name != "name")


LIGHT = Tokens(
    name="light",
    dark=False,
    background="#f1f3f6",
    surface="#ffffff",
    surface_raised="#e9ecf1",
    hover="#dfe4ec",
    pressed="#d0d7e2",
    border="#d3d8e0",
    border_strong="#7f8896",
    grid="#e4e7ec",
    text="#1a1e26",
    text_muted="#525a68",
    text_disabled="#8d95a3",
    text_on_accent="#ffffff",
    accent="#4549c4",
    forward="#1a5fb4",
    backward="#a94400",
    skip="#00706a",
    branch="#8b2a80",
    error="#990022",
    warning="#7d5200",
    success="#1d6b33",
    selection="#dcdffb",
    focus_ring="#9a00b8",
    focus_halo="#ffffff",
    phase_forward="#1a5fb4",
    phase_loss="#b8156f",
    phase_backward="#a94400",
    phase_accumulate="#3c424d",
    phase_update="#1d6b33",
    nan="#ff2fc8",
    infinity="#e3001b",
    minus_infinity="#00b4e0",
    padding="#9aa3b2",
    cell_gap="#ffffff",
    sequential=("#2a0a52", "#2f4a8c", "#1f7f8c", "#45b070", "#b9d63f", "#fdf3a0"),
    diverging=("#0b3c8c", "#3f83c9", "#9fc6e6", "#ededeb", "#f0b482", "#d9701f", "#8a3300"),
    windows=("#d6006c", "#0072b2", "#e69f00", "#00946b", "#8a4fd0", "#4d4d4d"),
    tooltip="#1f232c",
    tooltip_text="#f4f5f8",
    shadow="#1a1e26",
)

DARK = Tokens(
    name="dark",
    dark=True,
    background="#13151a",
    surface="#1b1e25",
    surface_raised="#272b34",
    hover="#323743",
    pressed="#3d4452",
    border="#363c48",
    border_strong="#7d8696",
    grid="#2a2f39",
    text="#e9ebf0",
    text_muted="#a9b1c0",
    text_disabled="#6b7382",
    text_on_accent="#10121a",
    accent="#a3a7ff",
    forward="#6cb2ff",
    backward="#ffa34d",
    skip="#45d9c5",
    branch="#f0a6e8",
    error="#ff7379",
    warning="#f2cc4d",
    success="#63d685",
    selection="#343a72",
    focus_ring="#ffe14d",
    focus_halo="#0b0c10",
    phase_forward="#6cb2ff",
    phase_loss="#ff85bd",
    phase_backward="#ffa34d",
    phase_accumulate="#d5d9e2",
    phase_update="#63d685",
    nan="#ff5ad6",
    infinity="#ff3b4e",
    minus_infinity="#2fd6ff",
    padding="#5d6675",
    cell_gap="#1b1e25",
    sequential=("#1d0a3c", "#2f4a8c", "#1f7f8c", "#45b070", "#b9d63f", "#fdf3a0"),
    diverging=("#a9d3ff", "#5a9fe6", "#2a5a94", "#262a32", "#8a4a17", "#e0812f", "#ffd0a1"),
    windows=("#ff6fb0", "#56b4e9", "#f5c04a", "#3fd3a4", "#b994ff", "#cfcfcf"),
    tooltip="#3a404d",
    tooltip_text="#f4f5f8",
    shadow="#000000",
)


@dataclass(frozen=True)
class Metrics:
    """Sizes in device-independent pixels."""

    space_1: int = 4
    space_2: int = 8
    space_3: int = 12
    space_4: int = 16
    text_small: int = 11
    text_body: int = 13
    text_heading: int = 16
    text_title: int = 20
    radius_small: int = 4
    radius: int = 6
    radius_large: int = 10
    hairline: float = 1.0
    line: float = 1.5
    line_strong: float = 2.5
    focus_width: float = 2.0
    halo_width: float = 4.0
    icon_small: int = 16
    icon: int = 20
    icon_large: int = 24
    control_height: int = 28
    scroll_bar: int = 12
    cell_gap: int = 1
    channel_gap: int = 6
    mark: float = 5.0  # diameter of an argmax mark at its smallest
    numbers_from: int = 28  # cells at least this large show their number
    cell_max: int = 96
    bar_height: int = 18
    scale_bar_height: int = 10
    strip_height: int = 40
    edge_thinnest: float = 1.0
    edge_thickest: float = 9.0
    pad_size: int = 280
    dash_skip: tuple[float, ...] = (6.0, 3.0)
    dash_zero: tuple[float, ...] = (1.0, 3.0)
    dash_field: tuple[float, ...] = (3.0, 2.0)  # what the focused cell changes


METRICS = Metrics()
MUTED_OPACITY = 0.4
"""Of the card of a layer that is passed by."""
# For a projector: 24 px text and 3 px lines, readable from the last row.
PRESENTATION = replace(
    METRICS,
    text_small=18,
    text_body=24,
    text_heading=28,
    text_title=32,
    hairline=2.0,
    line=3.0,
    line_strong=4.0,
    focus_width=4.0,
    halo_width=8.0,
    icon=32,
    icon_small=24,
    icon_large=36,
    control_height=44,
    scroll_bar=18,
    mark=9.0,
    numbers_from=48,
    bar_height=30,
    scale_bar_height=18,
)

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
        application.setFont(font("body"))
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
    m = metrics()
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


def fixed_font_family() -> str:
    """The system's monospaced family, for text exports."""
    return QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont).family()


def palette(tokens: Tokens) -> QPalette:
    """The tokens as a QPalette, for what a stylesheet does not reach."""
    result = QPalette()
    role = QPalette.ColorRole
    for target, name in (
        (role.Window, "background"),
        (role.WindowText, "text"),
        (role.Base, "surface"),
        (role.AlternateBase, "background"),
        (role.Text, "text"),
        (role.PlaceholderText, "text_muted"),
        (role.Button, "surface_raised"),
        (role.ButtonText, "text"),
        (role.BrightText, "error"),
        (role.ToolTipBase, "tooltip"),
        (role.ToolTipText, "tooltip_text"),
        (role.Highlight, "accent"),
        (role.HighlightedText, "text_on_accent"),
        (role.Accent, "accent"),
        (role.Link, "accent"),
        (role.LinkVisited, "branch"),
        (role.Light, "surface"),
        (role.Midlight, "hover"),
        (role.Mid, "border"),
        (role.Dark, "border_strong"),
        (role.Shadow, "shadow"),
    ):
        result.setColor(target, QColor(getattr(tokens, name)))
    disabled = QPalette.ColorGroup.Disabled
    for target in (role.WindowText, role.Text, role.ButtonText):
        result.setColor(disabled, target, QColor(tokens.text_disabled))
    result.setColor(disabled, role.Highlight, QColor(tokens.pressed))
    result.setColor(disabled, role.HighlightedText, QColor(tokens.text_disabled))
    return result


def stylesheet(tokens: Tokens, m: Metrics) -> str:
    """The look of every standard widget, from the tokens alone."""
    t = tokens
    return f"""
* {{ outline: none; }}
QMainWindow, QDialog {{ background: {t.background}; }}
QWidget:disabled {{ color: {t.text_disabled}; }}
QToolTip {{
    background: {t.tooltip}; color: {t.tooltip_text}; border: 1px solid {t.tooltip};
    padding: {m.space_1}px {m.space_2}px; font-size: {m.text_small}px;
}}

QMainWindow::separator {{ background: {t.border}; width: 1px; height: 1px; margin: 2px; }}
QMainWindow::separator:hover {{ background: {t.accent}; }}
QSplitter::handle {{ background: {t.border}; }}
QSplitter::handle:horizontal {{ width: 1px; margin: 0 2px; }}
QSplitter::handle:vertical {{ height: 1px; margin: 2px 0; }}
QSplitter::handle:hover {{ background: {t.accent}; }}

QDockWidget {{ color: {t.text_muted}; font-weight: 600; titlebar-close-icon: none; }}
QDockWidget::title {{
    background: {t.background}; padding: {m.space_2}px {m.space_3}px; text-align: left;
}}
QDockWidget > QWidget {{ background: {t.surface}; }}

QToolBar {{
    background: {t.background}; border: none; border-bottom: 1px solid {t.border};
    spacing: {m.space_1}px; padding: {m.space_1}px {m.space_2}px;
}}
QToolBar::separator:horizontal {{
    background: {t.border}; width: 1px; margin: {m.space_1}px {m.space_2}px;
}}
QToolBar::separator:vertical {{
    background: {t.border}; height: 1px; margin: {m.space_2}px {m.space_1}px;
}}
QToolButton {{
    background: transparent; color: {t.text}; border: 1px solid transparent;
    border-radius: {m.radius}px; padding: {m.space_1}px {m.space_2}px;
    min-height: {m.control_height - 2 * m.space_1 - 2}px;
}}
QToolButton:hover {{ background: {t.hover}; }}
QToolButton:pressed {{ background: {t.pressed}; }}
QToolButton:checked {{
    background: {t.selection}; border-color: {t.accent}; color: {t.text};
}}
QToolButton[role="fold"] {{ padding-left: 0; margin-left: -1px; }}
QToolButton[role="fold"]:checked {{ background: transparent; border-color: transparent; }}
QToolButton[role="fold"]:checked:hover {{ background: {t.hover}; }}
QToolButton:focus, QToolButton[role="fold"]:checked:focus {{ border: 1px solid {t.accent}; }}
QToolButton:disabled {{ color: {t.text_disabled}; background: transparent; }}
QToolButton::menu-indicator {{ image: none; }}

QPushButton {{
    background: {t.surface_raised}; color: {t.text}; border: 1px solid {t.border_strong};
    border-radius: {m.radius}px; padding: {m.space_1}px {m.space_4}px;
    min-height: {m.control_height - 2 * m.space_1 - 2}px;
}}
QPushButton:hover {{ background: {t.hover}; }}
QPushButton:pressed {{ background: {t.pressed}; }}
QPushButton:focus {{ border: 2px solid {t.accent}; padding: {m.space_1 - 1}px {m.space_4 - 1}px; }}
QPushButton:default, QPushButton[primary="true"] {{
    background: {t.accent}; color: {t.text_on_accent}; border-color: {t.accent};
    font-weight: 600;
}}
QPushButton:default:focus, QPushButton[primary="true"]:focus {{
    border: 2px solid {t.text};
}}
QPushButton:flat {{ background: transparent; border-color: transparent; }}
QPushButton:flat:hover {{ background: {t.hover}; }}
QPushButton:flat:focus {{ border: 2px solid {t.accent}; }}
QPushButton:checked {{ background: {t.selection}; border-color: {t.accent}; }}
QPushButton:disabled {{
    background: {t.background}; color: {t.text_disabled}; border-color: {t.border};
}}

QLineEdit, QPlainTextEdit, QTextEdit, QAbstractSpinBox, QComboBox {{
    background: {t.surface}; color: {t.text}; border: 1px solid {t.border_strong};
    border-radius: {m.radius}px; padding: {m.space_1}px {m.space_2}px;
    selection-background-color: {t.accent}; selection-color: {t.text_on_accent};
}}
QLineEdit, QAbstractSpinBox, QComboBox {{
    min-height: {m.control_height - 2 * m.space_1 - 2}px;
}}
QLineEdit:focus, QPlainTextEdit:focus, QTextEdit:focus, QAbstractSpinBox:focus, QComboBox:focus {{
    border: 2px solid {t.accent}; padding: {m.space_1 - 1}px {m.space_2 - 1}px;
}}
QLineEdit[invalid="true"], QAbstractSpinBox[invalid="true"], QComboBox[invalid="true"] {{
    border: 2px solid {t.error}; padding: {m.space_1 - 1}px {m.space_2 - 1}px;
}}
QLineEdit:disabled, QAbstractSpinBox:disabled, QComboBox:disabled {{
    background: {t.background}; color: {t.text_disabled}; border-color: {t.border};
}}
{_indicators(t, m)}
QComboBox QAbstractItemView {{
    background: {t.surface}; color: {t.text}; border: 1px solid {t.border_strong};
    selection-background-color: {t.selection}; selection-color: {t.text};
}}

QMenuBar {{ background: {t.background}; color: {t.text}; padding: 0 {m.space_1}px; }}
QMenuBar::item {{
    background: transparent; padding: {m.space_1}px {m.space_2}px;
    border-radius: {m.radius_small}px;
}}
QMenuBar::item:selected {{ background: {t.hover}; }}
QMenu {{
    background: {t.surface}; color: {t.text}; border: 1px solid {t.border_strong};
    padding: {m.space_1}px;
}}
QMenu::item {{
    padding: {m.space_1 + 1}px {m.space_4 + m.space_2}px {m.space_1 + 1}px {m.space_3}px;
    border-radius: {m.radius_small}px;
}}
QMenu::item:selected {{ background: {t.selection}; color: {t.text}; }}
QMenu::item:disabled {{ color: {t.text_disabled}; }}
QMenu::separator {{ height: 1px; background: {t.border}; margin: {m.space_1}px {m.space_2}px; }}
QMenu::icon {{ padding-left: {m.space_2}px; }}

QTabWidget::pane {{ border: none; border-top: 1px solid {t.border}; background: {t.surface}; }}
QTabBar {{ background: transparent; qproperty-drawBase: 0; }}
QTabBar::tab {{
    background: transparent; color: {t.text_muted}; border: none;
    border-bottom: 2px solid transparent; padding: {m.space_2}px {m.space_3}px;
}}
QTabBar::tab:hover {{ color: {t.text}; background: {t.hover}; }}
QTabBar::tab:selected {{ color: {t.text}; border-bottom-color: {t.accent}; }}
QTabBar::tab:focus {{ color: {t.accent}; background: {t.hover}; }}
QTabBar::tab:disabled {{ color: {t.text_disabled}; }}

QAbstractItemView {{
    background: {t.surface}; alternate-background-color: {t.background}; color: {t.text};
    border: none; gridline-color: {t.grid};
    selection-background-color: {t.selection}; selection-color: {t.text};
}}
QTreeView::item, QListView::item {{
    padding: {m.space_1}px; min-height: {m.icon}px; border-radius: {m.radius_small}px;
}}
QTreeView::item:hover, QListView::item:hover {{ background: {t.hover}; }}
QTreeView::item:selected, QListView::item:selected {{
    background: {t.selection}; color: {t.text};
}}
QTableView::item:focus, QTreeView::item:focus, QListView::item:focus {{
    border: 1px solid {t.accent};
}}
QTreeView:focus, QListView:focus, QTableView:focus {{ border: 1px solid {t.accent}; }}
QHeaderView {{ background: {t.background}; }}
QHeaderView::section {{
    background: {t.background}; color: {t.text_muted}; border: none;
    border-bottom: 1px solid {t.border}; border-right: 1px solid {t.grid};
    padding: {m.space_1}px {m.space_2}px; font-weight: 600;
}}
QTableCornerButton::section {{ background: {t.background}; border: none; }}

QSlider {{ min-height: {m.icon_large}px; }}
QSlider::groove:horizontal {{ height: 4px; background: {t.border}; border-radius: 2px; }}
QSlider::groove:vertical {{ width: 4px; background: {t.border}; border-radius: 2px; }}
QSlider::sub-page:horizontal, QSlider::add-page:vertical {{
    background: {t.accent}; border-radius: 2px;
}}
QSlider::handle:horizontal {{
    background: {t.surface}; border: 2px solid {t.accent};
    width: 12px; height: 12px; margin: -6px 0; border-radius: 8px;
}}
QSlider::handle:vertical {{
    background: {t.surface}; border: 2px solid {t.accent};
    width: 12px; height: 12px; margin: 0 -6px; border-radius: 8px;
}}
QSlider::handle:hover {{ background: {t.selection}; }}
QSlider::handle:focus {{ background: {t.accent}; }}
QSlider::handle:disabled {{ border-color: {t.text_disabled}; }}
QSlider::sub-page:disabled {{ background: {t.text_disabled}; }}

QProgressBar {{
    background: {t.surface_raised}; color: {t.text}; border: none;
    border-radius: {m.radius_small}px; text-align: center; min-height: 8px;
}}
QProgressBar::chunk {{ background: {t.selection}; border-radius: {m.radius_small}px; }}

QScrollBar:vertical {{ background: transparent; width: {m.scroll_bar}px; margin: 0; }}
QScrollBar:horizontal {{ background: transparent; height: {m.scroll_bar}px; margin: 0; }}
QScrollBar::handle {{ background: {t.border_strong}; border-radius: 4px; margin: 2px; }}
QScrollBar::handle:vertical {{ min-height: 28px; }}
QScrollBar::handle:horizontal {{ min-width: 28px; }}
QScrollBar::handle:hover {{ background: {t.text_muted}; }}
QScrollBar::add-line, QScrollBar::sub-line {{ width: 0; height: 0; }}
QScrollBar::add-page, QScrollBar::sub-page {{ background: transparent; }}
QAbstractScrollArea::corner {{ background: transparent; }}

QGroupBox {{
    border: 1px solid {t.border}; border-radius: {m.radius}px;
    margin-top: {m.space_4}px; padding: {m.space_3}px;
}}
QGroupBox::title {{
    subcontrol-origin: margin; left: {m.space_2}px; padding: 0 {m.space_1}px;
    color: {t.text_muted};
}}
QLabel[role="muted"] {{ color: {t.text_muted}; }}
QLabel[role="small"] {{ color: {t.text_muted}; font-size: {m.text_small}px; }}
QLabel[role="heading"] {{ font-size: {m.text_heading}px; font-weight: 600; }}
QLabel[role="title"] {{ font-size: {m.text_title}px; }}
QLabel[role="error"] {{ color: {t.error}; }}
QLabel[role="warning"] {{ color: {t.warning}; }}
QLabel[role="forward"] {{ color: {t.forward}; font-weight: 600; }}
QLabel[role="backward"] {{ color: {t.backward}; font-weight: 600; }}
QLabel[role="skip"] {{ color: {t.skip}; font-weight: 600; }}
QFrame[role="banner"] {{
    background: {t.selection}; border: 1px solid {t.accent}; border-radius: {m.radius}px;
}}
QFrame[role="card"] {{
    background: {t.surface}; border: 1px solid {t.border}; border-radius: {m.radius_large}px;
}}
QStatusBar {{ background: {t.background}; color: {t.text_muted}; }}
QStatusBar::item {{ border: none; }}
QCheckBox:focus, QRadioButton:focus {{ color: {t.accent}; text-decoration: underline; }}
QCheckBox, QRadioButton {{ spacing: {m.space_2}px; }}
"""


_clones: list[QIconEngine] = []


def _indicators(t: Tokens, m: Metrics) -> str:
    """Check marks and arrows: a stylesheet takes them from files only, so they are written once."""
    side = m.icon_small
    result = f"""
QComboBox::drop-down, QAbstractSpinBox::up-button, QAbstractSpinBox::down-button {{
    background: transparent; border: none; width: {side + m.space_1}px;
}}
QAbstractSpinBox::up-button:hover, QAbstractSpinBox::down-button:hover {{
    background: {t.hover};
}}
QCheckBox::indicator, QRadioButton::indicator, QAbstractItemView::indicator {{
    width: {side - 4}px; height: {side - 4}px; background: {t.surface};
    border: 1px solid {t.border_strong}; border-radius: {m.radius_small}px;
}}
QRadioButton::indicator {{ border-radius: {(side - 2) // 2}px; }}
QCheckBox::indicator:hover, QRadioButton::indicator:hover {{ border-color: {t.accent}; }}
QCheckBox::indicator:checked, QAbstractItemView::indicator:checked {{
    background: {t.accent}; border-color: {t.accent};
}}
QRadioButton::indicator:checked {{
    width: {side - 10}px; height: {side - 10}px; border: 4px solid {t.accent};
}}
QCheckBox::indicator:disabled, QRadioButton::indicator:disabled {{
    background: {t.background}; border-color: {t.border};
}}
"""
    for selector, name, colour in (
        ("QCheckBox::indicator:checked", "check", t.text_on_accent),
        ("QAbstractItemView::indicator:checked", "check", t.text_on_accent),
        ("QComboBox::down-arrow", "chevron-down", t.text_muted),
        ("QAbstractSpinBox::down-arrow", "chevron-down", t.text_muted),
        ("QAbstractSpinBox::up-arrow", "chevron-up", t.text_muted),
    ):
        path = _icon_file(name, colour)
        if path is not None:
            size = side - 4
            result += f"{selector} {{ image: url({path}); width: {size}px; height: {size}px; }}\n"
    return result


@lru_cache(maxsize=1)
def _icon_folder() -> str:
    folder = tempfile.TemporaryDirectory(prefix="gradient-flow-icons-")
    atexit.register(folder.cleanup)
    return folder.name


@lru_cache(maxsize=64)
def _icon_file(name: str, colour: str) -> str | None:
    """An icon in one colour as a file of its own; None if none can be written."""
    try:
        path = Path(_icon_folder()) / f"{name}-{colour[1:]}.svg"
        path.write_bytes(_svg(name, colour))
    except OSError:
        return None  # the look loses a check mark, the program runs
    return path.as_posix()


class _SvgIconEngine(QIconEngine):
    """Draws one SVG in the colour of the theme in force, at the exact size that is asked for."""

    def __init__(self, name: str, token: str) -> None:
        super().__init__()
        self._name = name
        self._token = token

    def clone(self) -> QIconEngine:
        # A clone that only C++ knows is collected under Qt's feet (PySide 6.11): one is kept per
        # detached icon, which is rare, since copies of an icon share their engine.
        result = _SvgIconEngine(self._name, self._token)
        _clones.append(result)
        return result

    def _colour(self, mode: QIcon.Mode) -> str:
        tokens = current()
        if mode == QIcon.Mode.Disabled:
            return tokens.text_disabled
        return str(getattr(tokens, self._token))

    def paint(self, painter: QPainter, rect: QRect, mode: QIcon.Mode, state: QIcon.State) -> None:
        renderer = QSvgRenderer(_svg(self._name, self._colour(mode)))
        side = min(rect.width(), rect.height())
        centre = QPointF(rect.center()) + QPointF(0.5, 0.5)
        renderer.render(painter, QRectF(centre.x() - side / 2, centre.y() - side / 2, side, side))

    def pixmap(self, size: QSize, mode: QIcon.Mode, state: QIcon.State) -> QPixmap:
        return self.scaledPixmap(size, mode, state, 1.0)

    def scaledPixmap(
        self, size: QSize, mode: QIcon.Mode, state: QIcon.State, scale: float
    ) -> QPixmap:
        """``size`` is in device-independent pixels: the scale multiplies it."""
        result = QPixmap(round(size.width() * scale), round(size.height() * scale))
        result.setDevicePixelRatio(scale)
        result.fill(Qt.GlobalColor.transparent)
        painter = QPainter(result)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self.paint(painter, QRect(0, 0, size.width(), size.height()), mode, state)
        painter.end()
        return result


@lru_cache(maxsize=512)
def _svg(name: str, colour: str) -> bytes:
    path = ICON_DIRECTORY / f"{name}.svg"
    return path.read_bytes().replace(b"currentColor", colour.encode("ascii"))


def icon_names() -> tuple[str, ...]:
    """The names of all icons, sorted."""
    return tuple(sorted(path.stem for path in ICON_DIRECTORY.glob("*.svg")))


def icon(name: str, token: str = "text") -> QIcon:
    """An icon that follows the theme and is sharp at any size and scale.

    ``token`` names its colour. Raises KeyError, naming the icons that exist, for an unknown name.
    """
    if not (ICON_DIRECTORY / f"{name}.svg").is_file():
        raise KeyError(f"no icon {name!r}: expected one of {', '.join(icon_names())}")
    if token not in Tokens.colour_names():
        raise KeyError(f"no colour {token!r} for icon {name!r}: see theme.Tokens")
    return QIcon(_SvgIconEngine(name, token))


def field_pens(changed: bool, whole: bool = False) -> tuple[QPen, ...]:
    """The lines around the field of the focused cell, to be drawn in this order: halo and line.

    Of its ring's colour but thinner; dashed around what it changes, unbroken around what it sees.
    Around a ``whole`` tensor, which says little, a faint line alone.
    """
    tokens, m = current(), metrics()
    line = QPen(QColor(tokens.focus_ring), m.line)
    if whole:
        line = QPen(tokens.colour("focus_ring", 0.6), m.hairline)
    halo = QPen(QColor(tokens.focus_halo), 2 * m.line)
    if changed:
        line.setCapStyle(Qt.PenCapStyle.FlatCap)
        line.setDashPattern(list(m.dash_field))
    for pen in (halo, line):
        pen.setJoinStyle(Qt.PenJoinStyle.MiterJoin)
        pen.setCosmetic(True)
    return (line,) if whole else (halo, line)


def focus_pens(presentation: bool | None = None) -> tuple[QPen, QPen]:
    """The halo and the ring of the one focus, to be drawn in this order."""
    tokens = current()
    m = metrics() if presentation is None else (PRESENTATION if presentation else METRICS)
    pens = []
    for colour, width in (
        (tokens.focus_halo, m.focus_width + m.halo_width / 2),
        (tokens.focus_ring, m.focus_width),
    ):
        pen = QPen(QColor(colour), width)
        pen.setJoinStyle(Qt.PenJoinStyle.MiterJoin)
        pen.setCosmetic(True)
        pens.append(pen)
    return pens[0], pens[1]
