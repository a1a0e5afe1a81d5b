"""The verdict of the benchmark of explanations; what it measures, the window's tests drive."""

from __future__ import annotations

import pytest

from benchmarks.explain import EXPLAIN_LIMIT, PATHS_LIMIT, STEP_LIMIT, report


@pytest.mark.parametrize(
    ("explain", "step", "paths", "code"),
    [
        (EXPLAIN_LIMIT, STEP_LIMIT, PATHS_LIMIT, 0),
        (EXPLAIN_LIMIT + 1, STEP_LIMIT, PATHS_LIMIT, 1),
        (EXPLAIN_LIMIT, STEP_LIMIT + 1, PATHS_LIMIT, 1),
        (EXPLAIN_LIMIT, STEP_LIMIT, PATHS_LIMIT + 1, 1),
    ],
)
def test_one_limit_missed_is_enough(
    explain: float, step: float, paths: float, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    found = {
        "explain a": [1.0] * 100 + [explain] * 100,
        "step a": [step] * 9 + [1000.0],
        "paths a": [paths] * 9 + [1000.0],
    }
    assert report(found) == code
    assert ("MISSED" in capsys.readouterr().out) == bool(code)
