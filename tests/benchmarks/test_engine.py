"""The benchmark's own arithmetic: verdicts, spread, table, marks, and that unequal sides end it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.engine import __main__ as command
from benchmarks.engine import measuring, report
from benchmarks.engine.cases import CASES, MEMORY, TRACED, samples
from benchmarks.engine.ours import OurSide, Outcome
from benchmarks.published import marks, put_into

CASE = replace(CASES[0], must=1.5, aim=1.0)
CONDITIONS = measuring.Conditions("2026-11-25", "a machine", "2", "blas", "2.13", "wall clock")


def figure(ours: list[float], theirs: list[float]) -> measuring.Figure:
    return measuring.figure(CASE, ours, theirs, "ours 1; torch NCHW 1", {"conv1": "banded"})


@pytest.mark.parametrize(
    ("ours", "verdict"),
    [
        ([0.9, 0.9, 0.9, 0.9], "aim met"),
        ([1.2, 1.2, 1.2, 1.2], "must met"),
        ([1.8, 1.8, 1.8, 1.8], "missed by 20%"),
        ([0.5, 0.9, 1.1, 1.9], "no verdict: the spread exceeds 30%"),
    ],
)
def test_verdict(ours: list[float], verdict: str) -> None:
    assert figure(ours, [1.0] * 4).verdict == verdict


def test_ratios_are_taken_within_a_round() -> None:
    """A busy moment meets both sides of its round."""
    found = figure([1.0, 10.0, 1.0, 20.0], [2.0, 20.0, 2.0, 40.0])
    assert (found.low, found.ratio, found.high) == (0.5, 0.5, 0.5)


def test_the_best_side_has_the_lowest_median() -> None:
    times = {"torch NCHW 1": [1.0, 9.0, 9.0], "torch NHWC 1": [3.0, 3.0, 3.0], "ours 1": [0.1]}
    assert measuring.best(times, "torch") == "torch NHWC 1"


def test_unequal_gradients_are_noticed() -> None:
    key = ("conv", "weight")
    ours, theirs = (Outcome(1.0, None, {key: np.full(4, v)}) for v in (1.1, 1.0))
    found = measuring.differences(ours, theirs)
    assert found["loss"] == 0 and found["gradients"] == pytest.approx(0.1)
    assert found["gradients"] > measuring.TOLERANCE["gradients"]


def test_the_table_goes_between_the_marks(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    begin, end = marks("speed")
    path.write_text(f"before\n{begin}\nold\n{end}\nafter\n", encoding="utf-8")
    figures = [figure([1.2] * 4, [1.0] * 4)]
    put_into(path, "speed", report.table(figures, CONDITIONS))
    text = path.read_text(encoding="utf-8")
    assert text.startswith(f"before\n{begin}\n| |")
    assert text.endswith(f"{end}\nafter\n")
    assert "| 1.20 | 1.5 / 1 | must met |" in text and "old" not in text
    path.write_text("no marks", encoding="utf-8")
    with pytest.raises(SystemExit, match="expected"):
        put_into(path, "speed", "table")


def test_figures_come_back_from_their_file(tmp_path: Path) -> None:
    figures = [figure([1.2, 1.3, 1.4], [1.0] * 3)]
    report.save(tmp_path / "f.json", figures, CONDITIONS)
    assert report.load(tmp_path / "f.json") == (figures, CONDITIONS)


def test_the_marks_stand_in_both_readmes() -> None:
    root = Path(__file__).parents[2]
    for path in (root / "README.md", root / "benchmarks" / "README.md"):
        text = path.read_text(encoding="utf-8")
        for mark in (*marks("speed"), *marks("accuracy")):
            assert text.count(mark) == 1


def test_wrong_arguments_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["lenet-2"], ["--rounds", "1"]):
        with pytest.raises(SystemExit):
            command.options_of(arguments)
        assert "expected" in capsys.readouterr().err
    assert set(command.options_of([]).cases) == {c.name for c in (*CASES, *TRACED, MEMORY)}


@pytest.mark.parametrize("case", [c for c in CASES if c.name.startswith(("lenet", "resnet20"))])
def test_a_case_runs_and_leaves_an_outcome(case: measuring.Case) -> None:
    side = OurSide(replace(case, batch=2))
    side()
    outcome = side.outcome()
    assert outcome.loss is not None and np.isfinite(outcome.loss)
    assert all(np.isfinite(g).all() for g in outcome.gradients.values())


def test_samples_fit_their_graph() -> None:
    for case in (*CASES, *TRACED, MEMORY):
        graph = case.build()
        x, target = samples(case, graph)
        assert x.shape == (case.batch, *graph.inputs[0].shape) and target.shape == (case.batch,)
        assert graph.check(case.batch).specs[graph.losses[0].input].shape[1] > target.max()
