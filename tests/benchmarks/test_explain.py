"""The verdict of the benchmark of explanations; what it measures, the window's tests drive."""

from __future__ import annotations

import pytest

from benchmarks.explain import BEAT_LIMIT, EXPLAIN_LIMIT, PATHS_LIMIT, STEP_LIMIT, Times, report


def times(usual: float, rare: float = 0.0) -> Times:
    """A hundred as usual and a hundred others, on the clock; next to nothing of the processor."""
    return [(usual, 0.1)] * 100 + [(rare or usual, 0.2)] * 100


@pytest.mark.parametrize(
    ("explain", "step", "paths", "beat", "code"),
    [
        (EXPLAIN_LIMIT, STEP_LIMIT, PATHS_LIMIT, BEAT_LIMIT, 0),
        (EXPLAIN_LIMIT + 1, STEP_LIMIT, PATHS_LIMIT, BEAT_LIMIT, 1),
        (EXPLAIN_LIMIT, STEP_LIMIT + 1, PATHS_LIMIT, BEAT_LIMIT, 1),
        (EXPLAIN_LIMIT, STEP_LIMIT, PATHS_LIMIT + 1, BEAT_LIMIT, 1),
        (EXPLAIN_LIMIT, STEP_LIMIT, PATHS_LIMIT, BEAT_LIMIT + 1, 1),
    ],
)
def test_one_limit_missed_is_enough(
    explain: float,
    step: float,
    paths: float,
    beat: float,
    code: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = {
        "explain a": times(1.0, explain),
        "hover a": times(1.0),
        "step a": [*times(step), (1000.0, 0.1)],
        "paths a": [*times(paths), (1000.0, 0.1)],
        "beat a": times(0.0, beat),
    }
    assert report(found) == code
    assert ("MISSED" in capsys.readouterr().out) == bool(code)


@pytest.mark.parametrize("cpu", [False, True])
def test_the_clock_or_the_processor_decides_and_both_are_printed(
    cpu: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    slow = {"explain a": [(EXPLAIN_LIMIT + 1, EXPLAIN_LIMIT - 1)] * 10}
    assert report(slow, cpu) == (0 if cpu else 1)
    printed = capsys.readouterr().out
    assert "clock     51.0" in printed and "CPU       49.0" in printed
