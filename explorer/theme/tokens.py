"""Colours and sizes: the tokens of the light and the dark theme, and of a projector."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from PySide6.QtGui import QColor


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
    windows=("#d6006c", "#0072b2", "#a66a00", "#008560", "#8a4fd0", "#4d4d4d"),
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
