"""The look of standard widgets: palette and stylesheet, from the tokens alone."""

from __future__ import annotations

from PySide6.QtGui import QColor, QPalette

from explorer.theme.icon_files import icon_file
from explorer.theme.tokens import Metrics, Tokens


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
QFrame#hint, QFrame#notice {{
    background: {t.surface_raised}; border: none; border-bottom: 1px solid {t.border_strong};
}}
QFrame#hint QToolButton[role="offer"] {{
    background: {t.surface_raised}; border-color: {t.border_strong};
}}
QFrame#hint QToolButton[role="offer"]:hover {{ background: {t.hover}; }}
QFrame#hint QToolButton[role="offer"]:focus {{ border-color: {t.accent}; }}
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
QLineEdit > QToolButton {{ min-height: 0; padding: 0; border: none; }}
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
QMenu::icon:checked {{
    background: {t.selection}; border: 1px solid {t.accent}; border-radius: {m.radius_small}px;
    padding: 1px; margin-left: {m.space_1}px;
}}

QTabWidget::pane {{ border: none; border-top: 1px solid {t.border}; background: {t.surface}; }}
QTabBar {{ background: transparent; qproperty-drawBase: 0; }}
QTabBar::tab {{
    background: transparent; color: {t.text_muted}; border: none;
    border-bottom: 2px solid transparent; padding: {m.space_2}px;
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
QTreeView {{ show-decoration-selected: 1; }}
QTreeView::item {{ border-radius: 0; }}
QTreeView::branch {{ background: {t.surface}; }}
QTreeView::branch:hover {{ background: {t.hover}; }}
QTreeView::branch:selected {{ background: {t.selection}; }}
QTreeView::item:hover, QListView::item:hover {{ background: {t.hover}; }}
QTreeView::item:selected, QListView::item:selected {{
    background: {t.selection}; color: {t.text};
}}
QTableView::item:focus, QTreeView::item:focus, QListView::item:focus {{
    border: 1px solid {t.accent};
}}
QTreeView:focus, QListView:focus, QTableView:focus {{ border: 1px solid {t.accent}; }}
QTableView[role="sheet"]::item {{ padding: 0 {m.space_1 + 1}px; }}
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
        ("QTreeView::branch:has-children:closed", "chevron-right", t.text_muted),
        ("QTreeView::branch:has-children:open", "chevron-down", t.text_muted),
    ):
        path = icon_file(name, colour)
        if path is not None:
            size = side - 4
            result += f"{selector} {{ image: url({path}); width: {size}px; height: {size}px; }}\n"
    return result
