"""The few numbers that stand over a tensor, as a line of text."""

from __future__ import annotations

from engine.statistics import Statistics
from explorer.tensors.scales import format_number


def text_of(statistics: Statistics, symbol: str = "x") -> str:
    """One line, such as ``min −1 · max 2 · mean 0.5 · ‖x‖ 3``; empty for an empty array."""
    if not statistics.size:
        return ""
    parts = [
        f"min {format_number(statistics.low)}",
        f"max {format_number(statistics.high)}",
        f"mean {format_number(statistics.mean)}",
        f"‖{symbol}‖ {format_number(statistics.norm)}",
    ]
    if statistics.zeros:
        parts.append(f"{share_text(statistics.zeros, statistics.size)} zero")
    return " · ".join(parts)


def share_text(part: int, whole: int) -> str:
    """A share in percent; rounding never turns nearly all into all, nor a few into none."""
    share = 100 * part / whole
    return "<1%" if 0 < share < 1 else ">99%" if 99 < share < 100 else f"{share:.0f}%"
