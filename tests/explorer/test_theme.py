"""The tokens: readable, distinguishable, switchable; the icons: sharp and in the theme's colour."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QRect, QSize
from PySide6.QtGui import QColor, QIcon, QImage, QPalette, QPixmap
from PySide6.QtWidgets import QApplication, QLineEdit, QTreeWidget, QTreeWidgetItem
from pytestqt.qtbot import QtBot

from explorer import theme
from explorer.theme import DARK, LIGHT, METRICS, PRESENTATION, Tokens

THEMES = pytest.mark.parametrize("tokens", [LIGHT, DARK], ids=lambda t: t.name)

# Machado, Oliveira, Fernandes 2009, deuteranomaly of severity 1.0, on linear RGB.
DEUTERANOPIA = np.array(
    [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ]
)


@pytest.fixture(autouse=True)
def light_again(qapp: QApplication) -> Iterator[None]:
    theme.set_mode("light")
    yield
    theme.theme().set_presentation(False)
    theme.set_mode("system")


def linear(colour: str) -> np.ndarray:
    value = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def contrast(a: str, b: str) -> float:
    low, high = sorted(float(linear(c) @ [0.2126, 0.7152, 0.0722]) for c in (a, b))
    return (high + 0.05) / (low + 0.05)


def lab_seen_by_deuteranope(colour: str) -> np.ndarray:
    to_xyz = np.array(
        [
            [0.4124564, 0.3575761, 0.1804375],
            [0.2126729, 0.7151522, 0.0721750],
            [0.0193339, 0.1191920, 0.9503041],
        ]
    )
    xyz = to_xyz @ np.clip(DEUTERANOPIA @ linear(colour), 0, 1) / [0.95047, 1, 1.08883]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_contrast_of_black_on_white_is_21() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@THEMES
@pytest.mark.parametrize("area", ["background", "surface", "surface_raised"])
@pytest.mark.parametrize(
    "text",
    [
        *("text", "text_muted", "accent", "forward", "backward", "skip", "branch"),
        *("error", "warning", "success"),
        *("phase_forward", "phase_loss", "phase_backward", "phase_accumulate", "phase_update"),
    ],
)
def test_text_can_be_read(tokens: Tokens, area: str, text: str) -> None:
    assert contrast(getattr(tokens, text), getattr(tokens, area)) >= 4.5


@THEMES
def test_text_can_be_read_on_states_accent_and_tooltip(tokens: Tokens) -> None:
    for area in ("hover", "pressed", "selection"):
        assert contrast(tokens.text, getattr(tokens, area)) >= 4.5
    assert contrast(tokens.text_on_accent, tokens.accent) >= 4.5
    assert contrast(tokens.tooltip_text, tokens.tooltip) >= 4.5


@THEMES
def test_outlines_of_controls_and_the_focus_ring_stand_out(tokens: Tokens) -> None:
    for area in ("background", "surface", "surface_raised"):
        assert contrast(tokens.border_strong, getattr(tokens, area)) >= 3
        assert contrast(tokens.accent, getattr(tokens, area)) >= 3
    assert contrast(tokens.focus_ring, tokens.focus_halo) >= 4.5


@THEMES
@pytest.mark.parametrize(
    "names",
    [
        ("forward", "backward", "skip", "error"),
        ("skip", "branch"),
        (
            "phase_forward",
            "phase_loss",
            "phase_backward",
            "phase_accumulate",
            "phase_update",
        ),
    ],
)
def test_meanings_are_told_apart_under_deuteranopia(tokens: Tokens, names: tuple[str, ...]) -> None:
    for one, other in itertools.combinations(names, 2):
        seen = [lab_seen_by_deuteranope(getattr(tokens, n)) for n in (one, other)]
        # A difference of 2.3 is just noticeable; 12 is plain at a glance.
        assert np.linalg.norm(seen[0] - seen[1]) >= 12, (one, other)


def test_a_red_and_a_green_of_equal_lightness_would_fail_that_test() -> None:
    seen = [lab_seen_by_deuteranope(c) for c in ("#b85a3c", "#7c7a2e")]
    assert np.linalg.norm(seen[0] - seen[1]) < 12


@THEMES
def test_every_colour_is_a_colour(tokens: Tokens) -> None:
    for name in Tokens.colour_names():
        assert re.fullmatch("#[0-9a-f]{6}", getattr(tokens, name)), name
    assert tokens.phase("loss") == tokens.phase_loss
    with pytest.raises(KeyError, match="expected forward"):
        tokens.phase("forwards")


def test_the_mode_switches_palette_and_tells_listeners(qapp: QApplication, qtbot: object) -> None:
    theme.apply(qapp)
    heard: list[str] = []

    def listen() -> None:
        heard.append(theme.current().name)

    theme.theme().changed.connect(listen)
    try:
        theme.set_mode("dark")
        theme.set_mode("dark")
        assert qapp.palette().color(QPalette.ColorRole.Window) == QColor(DARK.background)
        assert DARK.surface in qapp.styleSheet()
        theme.set_mode("light")
        assert qapp.palette().color(QPalette.ColorRole.Window) == QColor(LIGHT.background)
    finally:
        theme.theme().changed.disconnect(listen)
    assert heard == ["dark", "light"]
    with pytest.raises(ValueError, match="'system', 'light' or 'dark'"):
        theme.set_mode("blue")  # type: ignore[arg-type]


def test_presentation_is_light_and_large(qapp: QApplication) -> None:
    theme.set_mode("dark")
    theme.theme().set_presentation(True)
    assert theme.current() is LIGHT
    assert theme.metrics() is PRESENTATION
    assert theme.font("body").pixelSize() == 24
    assert theme.metrics().line == 3
    theme.theme().set_presentation(False)
    assert theme.current() is DARK
    assert theme.metrics() is METRICS
    assert [theme.font(r).pixelSize() for r in ("small", "body", "heading", "title")] == [
        11,
        13,
        16,
        20,
    ]


@pytest.mark.parametrize("name", theme.icon_names())
def test_every_icon_is_drawn_in_the_themes_colour(qapp: QApplication, name: str) -> None:
    for tokens in (LIGHT, DARK):
        theme.set_mode("dark" if tokens.dark else "light")
        image = theme.icon(name).pixmap(QSize(24, 24), 4.0).toImage()
        colours = [
            QColor(image.pixelColor(x, y))
            for x in range(0, image.width(), 2)
            for y in range(0, image.height(), 2)
            if image.pixelColor(x, y).alpha() == 255
        ]
        assert len(colours) > 20, "hardly anything is drawn"
        wanted = QColor(tokens.text)
        assert all(abs(c.red() - wanted.red()) <= 2 for c in colours)


def test_icons_needed_by_name_exist() -> None:
    wanted = (
        "open save undo redo first back next inside finish play pause stop train export "
        "image-previous image-next pen eraser clear search fit zoom-in zoom-out help settings "
        "add delete connect eye copy warning error check palette theme-dark theme-light conv "
        "pool-max pool-average relu batch-norm linear flatten dropout add-layer concat softmax "
        "global-average input loss"
    )
    assert set(wanted.split()) <= set(theme.icon_names())
    with pytest.raises(KeyError, match="expected one of"):
        theme.icon("pensil")


@pytest.mark.parametrize("scale", [1.0, 1.25, 1.5, 2.0, 3.0])
def test_icons_are_rendered_at_the_exact_size(qapp: QApplication, scale: float) -> None:
    pixmap = theme.icon("save").pixmap(QSize(20, 20), scale)
    assert pixmap.size() == QSize(round(20 * scale), round(20 * scale))
    assert pixmap.devicePixelRatio() == scale


def test_an_icon_survives_copies_and_detaching(qapp: QApplication) -> None:
    for _ in range(20):
        copy = QIcon(theme.icon("save"))
        copy.addPixmap(QPixmap(4, 4))
        assert not copy.pixmap(16, 16).isNull()


def test_no_colour_outside_the_theme() -> None:
    """The rule that lets a theme be changed in one place."""
    package = Path(theme.__file__).parent.parent
    for path in sorted((package / "tensors").glob("*.py")):
        text = path.read_text("utf-8")
        assert not re.search(r"#[0-9a-fA-F]{6}\b", text), path.name
        assert not re.search(r"QColor\(\s*\d", text), path.name


def _inked(image: QImage, colour: str) -> list[tuple[int, int]]:
    return [
        (x, y)
        for x in range(image.width())
        for y in range(image.height())
        if image.pixelColor(x, y).name() == colour
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_selected_row_of_a_tree_is_one_piece(
    qtbot: QtBot, qapp: QApplication, scheme: theme.Mode
) -> None:
    """From the branch on the left to the end of the last column, without gaps."""
    theme.apply(qapp)
    theme.set_mode(scheme)
    tree = QTreeWidget()
    qtbot.addWidget(tree)
    tree.setColumnCount(2)
    top = QTreeWidgetItem(tree, ["", ""])  # no words, which have pixels of their own
    below = QTreeWidgetItem(top, ["", ""])
    tree.expandAll()
    tree.resize(300, 200)
    tree.show()
    for item in (top, below):
        tree.setCurrentItem(item)
        tree.clearFocus()
        rect = tree.visualItemRect(item)
        image = tree.viewport().grab().toImage()
        y = rect.top() + 1  # above the arrow
        row = {image.pixelColor(x, y).name() for x in range(2, image.width() - 2)}
        assert row == {theme.current().selection}
    branch = tree.viewport().grab(QRect(0, 0, tree.indentation(), rect.height())).toImage()
    grey = QColor(theme.current().text_muted).lightness()
    assert any(  # the arrow that folds is still there
        abs(branch.pixelColor(x, y).lightness() - grey) < 25
        for x in range(branch.width())
        for y in range(branch.height())
    )


def test_an_icon_in_a_field_stands_in_its_middle(qtbot: QtBot, qapp: QApplication) -> None:
    theme.apply(qapp)
    field = QLineEdit()
    qtbot.addWidget(field)
    field.addAction(theme.icon("stop"), QLineEdit.ActionPosition.LeadingPosition)
    field.resize(220, field.sizeHint().height())
    field.show()
    image = field.grab().toImage()
    rows = [y for x, y in _inked(image, theme.current().text) if x < 40]
    assert rows and abs((min(rows) + max(rows)) / 2 - (field.height() - 1) / 2) <= 1
