"""The table that the READMEs show."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.engine.measuring import Conditions, Figure


def table(figures: list[Figure], conditions: Conditions) -> str:
    """Markdown: a row a figure, and the conditions."""
    lines = [
        "| | ours | best torch | ratio (quartiles) | must / aim | |",
        "|---|---|---|---|---|---|",
    ]
    for f in figures:
        goals = "–" if f.must is None else f"{f.must:g} / {f.aim:g}"
        spread = f"{f.ratio:.2f}" + (f" ({f.low:.2f} to {f.high:.2f})" if f.high > f.low else "")
        digits = 0 if f.unit == "MB" else 2
        lines.append(
            f"| {f.title} | {f.ours:.{digits}f} {f.unit} | {f.theirs:.{digits}f} {f.unit} "
            f"| {spread} | {goals} | {f.verdict} |"
        )
    return "\n".join([*lines, "", f"Measured {conditions.sentence()}."])


def save(path: Path, figures: list[Figure], conditions: Conditions) -> None:
    """Write the figures for machines."""
    content = {"conditions": vars(conditions), "figures": [f.as_dict() for f in figures]}
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")


def load(path: Path) -> tuple[list[Figure], Conditions]:
    """The figures that :func:`save` wrote."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return [Figure(**f) for f in content["figures"]], Conditions(**content["conditions"])
