"""The engine as a library: its names, a network in one expression, and what the README shows."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

import engine
from engine.layers import REGISTRY
from engine.layers.base import ShapeError
from engine.losses import LOSSES

ROOT = Path(__file__).parents[2]


def readme_code() -> str:
    """The code in README's section on the notebook."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = re.search(r"^## The engine in a notebook$(.*?)^## ", text, re.M | re.S)
    assert section is not None
    blocks = re.findall(r"^```python\n(.*?)^```$", section[1], re.M | re.S)
    assert len(blocks) == 1
    return str(blocks[0])


def test_the_readmes_code_trains_steps_and_exports(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code = readme_code()
    assert 18 <= len([line for line in code.splitlines() if line.strip()]) <= 25
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)  # the README's own text
    lines = capsys.readouterr().out.splitlines()
    accuracy = re.fullmatch(r"held-out accuracy (\d+\.\d)%", lines[0])
    assert accuracy is not None and float(accuracy[1]) > 90
    phases = [line.split()[1] for line in lines if re.match(r" *\d+ (forward|loss|back)", line)]
    assert phases == ["forward"] * 5 + ["loss"] + ["backward"] * 6
    shown = lines[1 + len(phases) :]
    assert re.match(r"pool1\[3, 1, 2\] = [\d.]+ = max of the window", shown[0])
    assert len(shown) == 6 and shown[-1] == "(4, 4)"
    terms = [float(line.split(" ·")[0].split()[-1]) for line in shown[1:-1]]
    assert float(shown[0].split(" = ")[1]) == max(terms)
    x = np.asarray(names["held_out"].inputs([0]))  # type: ignore[attr-defined]
    session = onnxruntime.InferenceSession("digits.onnx")
    (scores,) = session.run(None, {session.get_inputs()[0].name: x})
    trace = names["trace"]
    ours = trace.look("value", ("fc1", 0))  # type: ignore[attr-defined]
    assert np.ptp(ours) > 1
    np.testing.assert_allclose(scores, ours, rtol=1e-4, atol=1e-4)


def test_every_name_is_there() -> None:
    for name in (*engine.__all__, *REGISTRY, *LOSSES):
        assert name in dir(engine)
        assert getattr(engine, name) is not None
    assert engine.Conv2d is REGISTRY["Conv2d"]
    assert engine.MeanSquaredError is LOSSES["MeanSquaredError"]


def test_a_run_is_saved_and_gone_on_with_by_names_of_the_engine_alone(tmp_path: Path) -> None:
    training, held_out = engine.load_data("digits")
    net = engine.sequential((1, 8, 8), engine.Flatten(), engine.Linear(10), labels=training.classes)
    settings = engine.TrainSettings(epochs=1, optimizer=engine.Adam())

    def trainer() -> engine.Trainer:
        return engine.Trainer(net, engine.initial_parameters(net, 0), training, held_out, settings)

    whole, first = trainer(), trainer()
    *_, last = whole.reports()
    reports = first.reports()
    for _ in range(7):
        next(reports)
    engine.save_checkpoint(first.checkpoint(), tmp_path / "run.gfckpt")
    found = engine.load_checkpoint(tmp_path / "run.gfckpt")
    assert isinstance(found, engine.Checkpoint) and found.standing.step == 7
    resumed = engine.Trainer.resume(found, training, held_out)
    *_, end = resumed.reports()
    assert (end.step, end.loss) == (last.step, last.loss)
    for key, array in whole.parameters().items():
        assert np.array_equal(resumed.parameters()[key], array), key
    assert issubclass(engine.TrainingDiverged, engine.train.TrainingError)


def test_a_name_is_never_a_module_of_the_same_name() -> None:
    """What is loaded first may not decide what a name means."""
    for name in engine.__all__:
        assert not (ROOT / "engine" / f"{name}.py").exists(), name
        assert not (ROOT / "engine" / name).is_dir(), name


def test_modules_can_be_reached_and_strangers_are_named() -> None:
    script = "import engine; print(engine.explain.origin.__name__, engine.cell.Cell.__name__)"
    out = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert out.stdout.split() == ["origin", "Cell"]
    with pytest.raises(AttributeError, match=r"expected .*Conv2d.*, received 'Conv7d'"):
        _ = engine.Conv7d
    with pytest.raises(ImportError):
        importlib.import_module("engine.nothing")


def test_sequential_names_its_layers_by_kind() -> None:
    net = engine.sequential(
        (1, 8, 8),
        engine.Conv2d(4, 3),
        engine.ReLU(),
        engine.Conv2d(4, 3),
        engine.Flatten(),
        engine.Linear(2),
        loss=engine.MeanSquaredError(),
        labels=("a", "b"),
        name="mine",
    )
    assert [n.id for n in net.nodes] == ["conv1", "relu1", "conv2", "flatten1", "fc1"]
    assert [n.inputs for n in net.nodes][:3] == [
        (("image", 0),),
        (("conv1", 0),),
        (("relu1", 0),),
    ]
    assert (net.name, net.labels, net.outputs) == ("mine", ("a", "b"), (("logits", ("fc1", 0)),))
    assert net.losses[0].function == engine.MeanSquaredError()
    assert net.check().specs["fc1", 0].shape == (1, 2)


def test_sequential_refuses_layers_that_do_not_fit() -> None:
    with pytest.raises(ShapeError, match="conv1"):
        engine.sequential((1, 4, 4), engine.Conv2d(4, 5), engine.Flatten(), engine.Linear(2))
    with pytest.raises(engine.graph.GraphError, match="at least one layer"):
        engine.sequential((1, 4, 4))
    with pytest.raises(engine.graph.GraphError, match="shape of the input first"):
        engine.sequential(8, engine.Linear(10))  # type: ignore[arg-type]
    assert not {"Any", "TYPE_CHECKING"} & set(dir(engine))
