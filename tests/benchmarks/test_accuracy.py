"""The accuracy table: its recipes keep to the rules, its figures are measured, a miss is a miss."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import accuracy
from benchmarks.published import marks
from engine.train import TrainSettings


def quick(goal: float) -> accuracy.Recipe:
    recipe = accuracy.RECIPES["vgg-digits"]
    settings = replace(recipe.settings, epochs=1, batch_size=128)
    return replace(recipe, settings=settings, goal=goal)


def test_recipes_keep_to_what_was_promised() -> None:
    lenet = accuracy.RECIPES["lenet5"]
    assert lenet.settings.epochs <= 12 and lenet.goal == 0.99 and lenet.data == "mnist"
    assert accuracy.RECIPES["resnet20"].goal == 0.97
    for name in ("alexnet", "vgg", "densenet"):
        recipe = accuracy.RECIPES[f"{name}-digits"]
        assert (recipe.goal, recipe.seconds, recipe.data) == (0.95, 120.0, "digits")
    for recipe in accuracy.RECIPES.values():
        recipe.build().check()
        assert TrainSettings.from_dict(recipe.settings.as_dict()) == recipe.settings


def test_the_test_part_is_the_fixed_one_in_the_network_s_size() -> None:
    recipe = accuracy.RECIPES["resnet20"]
    graph = recipe.build()
    training, test = accuracy.data_of(recipe, graph, None)
    assert (len(training), len(test)) == (1438, 359)
    assert test.images.shape[1:] == graph.inputs[0].shape == (1, 16, 16)


def test_figures_are_measured_kept_and_put_into_the_readmes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(accuracy, "RECIPES", {"vgg-digits": quick(0.05)})
    file, readme = tmp_path / "rows.json", tmp_path / "README.md"
    begin, end = marks("accuracy")
    readme.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    monkeypatch.setattr(accuracy, "TABLES", (readme,))
    assert accuracy.main(["--json", str(file)]) == 0
    printed = capsys.readouterr().out
    (row,) = json.loads(file.read_text())["rows"]
    assert row["total"] == 359 and 0.05 * 359 < row["correct"] < 359
    assert row["parameters"] == 77_050 and row["seconds"] > 0
    share = row["correct"] / 359
    assert f"| {share:.2%} ({row['correct']} of 359) | 5% |" in printed
    assert accuracy.main(["--read", str(file), "--markdown"]) == 0
    text = readme.read_text()
    assert text.startswith(f"before\n{begin}\n| Network ")
    assert text.endswith(f"{end}\nafter\n") and "old" not in text
    assert f"({row['correct']} of 359)" in text


def test_a_goal_that_is_missed_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(accuracy, "RECIPES", {"vgg-digits": replace(quick(1.0), seconds=0.0)})
    assert accuracy.main([]) == 1
    err = capsys.readouterr().err
    assert "expected 100%" in err and " s, expected 0\n" in err


@pytest.mark.parametrize(("words", "said"), [(["lion"], "received lion"), (["lenet5"], "--mnist")])
def test_wrong_usage_is_said(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        accuracy.main(words)
    assert said in capsys.readouterr().err
