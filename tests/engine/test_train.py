"""Training: exact steps, the same run for the same seed, stopping, divergence, and evaluation."""

import dataclasses
import itertools
import math
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.architectures.base import Builder
from engine.checkpoint import CheckpointError
from engine.data.augmentation import Augmentation
from engine.data.dataset import Dataset
from engine.data.digits import digits
from engine.graph import Graph, Input, Loss
from engine.layers.base import HyperparameterError
from engine.layers.batch_norm2d import BatchNorm2d
from engine.layers.conv2d import Conv2d
from engine.layers.dropout import Dropout
from engine.layers.flatten import Flatten
from engine.layers.linear import Linear
from engine.layers.relu import ReLU
from engine.losses import LeNetLoss, MeanSquaredError, Total
from engine.optimizers import SGD, Adam, AdamW, RMSProp
from engine.parameters import initial_parameters
from engine.plan import Batch, NotKeptError, Plan, compile, exhaust
from engine.train import (
    Evaluation,
    Report,
    Trainer,
    TrainingDiverged,
    TrainingError,
    TrainSettings,
    evaluate,
)

LABELS = tuple("0123456789")


def linear(outputs: int = 10) -> Graph:
    """Softmax regression on the digits."""
    build = Builder((1, 8, 8))
    logits = build.chain(build.input, ("flatten", Flatten()), ("fc", Linear(outputs)))
    return build.classifier(logits, "regression", LABELS[:outputs])


def convolutional() -> Graph:
    """Small, with running statistics and randomness."""
    build = Builder((1, 8, 8))
    logits = build.chain(
        build.input,
        ("conv", Conv2d(4, 3)),
        ("bn", BatchNorm2d()),
        ("relu", ReLU()),
        ("flatten", Flatten()),
        ("drop", Dropout(0.2)),
        ("fc", Linear(10)),
    )
    return build.classifier(logits, "small", LABELS)


def explosive() -> Graph:
    """Products of weights with nothing between them: a large step makes a larger one."""
    build = Builder((1, 8, 8))
    logits = build.chain(
        build.input,
        ("bn", BatchNorm2d()),
        ("flatten", Flatten()),
        ("fc1", Linear(32)),
        ("fc2", Linear(32)),
        ("fc3", Linear(10)),
    )
    return build.classifier(logits, "explosive", LABELS)


def trainer(graph: Graph, count: int = 96, **settings: Any) -> Trainer:
    training, held_out = digits()
    values = {"epochs": 1, "batch_size": 32, "optimizer": SGD(lr=0.05), "seed": 3, **settings}
    part = training.take(np.arange(count))
    return Trainer(
        graph,
        initial_parameters(graph, 0),
        part,
        held_out.take(np.arange(50)),
        TrainSettings(**values),
    )


def same(a: Any, b: Any) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)


# ---- a step ----------------------------------------------------------------------------------


def test_one_step_is_one_update_against_the_gradient_of_the_shuffled_batch() -> None:
    training, _ = digits()
    graph = linear()
    start = initial_parameters(graph, 0)
    settings = TrainSettings(epochs=2, batch_size=32, optimizer=SGD(lr=0.1), seed=5)
    run = Trainer(graph, start, training, None, settings)
    report = next(iter(run.reports()))

    x, labels = next(training.batches(32, seed=5, epoch=0))
    flat = x.reshape(32, 64).astype(np.float64)
    logits = flat @ start["fc", "weight"].T + start["fc", "bias"]
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    loss = -np.log(p[np.arange(32), labels]).mean()
    difference = (p - np.eye(10)[labels]) / 32
    assert report.loss == pytest.approx(loss, rel=1e-5)
    assert report.accuracy == (logits.argmax(1) == labels).mean()
    after = run.parameters()
    expected = start["fc", "weight"] - 0.1 * difference.T @ flat
    np.testing.assert_allclose(after["fc", "weight"], expected, rtol=0, atol=1e-6)
    np.testing.assert_allclose(after["fc", "bias"], -0.1 * difference.sum(0), rtol=0, atol=1e-6)
    assert np.abs(after["fc", "weight"] - start["fc", "weight"]).max() > 1e-3


def test_the_given_parameters_are_not_changed() -> None:
    graph = linear()
    start = initial_parameters(graph, 0)
    before = {k: v.copy() for k, v in start.items()}
    training, _ = digits()
    run = Trainer(graph, start, training.take(np.arange(64)), None, TrainSettings(epochs=1))
    list(run.reports())
    assert same(start, before)
    assert not same(run.parameters(), before)


def test_every_step_and_every_evaluated_batch_is_a_run_of_a_plan(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs: list[str] = []
    original = Plan.run

    def counted(self: Plan, *arguments: Any, **named: Any) -> Any:
        runs.append(self.mode)
        return original(self, *arguments, **named)

    monkeypatch.setattr(Plan, "run", counted)
    reports = list(trainer(linear(), epochs=2).reports())
    assert len(reports) == 6
    assert runs == ["train"] * 3 + ["eval"] + ["train"] * 3 + ["eval"]


# ---- a run -----------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", [SGD(lr=0.05, weight_decay=1e-3), Adam(lr=0.01)])
def test_the_same_seed_gives_the_same_run(optimizer: SGD | Adam) -> None:
    first, second, other = (
        trainer(convolutional(), epochs=2, optimizer=optimizer, seed=seed) for seed in (3, 3, 4)
    )
    losses = [[r.loss for r in run.reports()] for run in (first, second, other)]
    assert losses[0] == losses[1]
    assert same(first.parameters(), second.parameters())
    assert losses[0] != losses[2]
    assert not same(first.parameters(), other.parameters())


def test_reports_count_steps_and_epochs_and_validate_after_each_epoch() -> None:
    run = trainer(linear(), epochs=2)
    reports = list(run.reports())
    assert [r.step for r in reports] == [1, 2, 3, 4, 5, 6]
    assert [r.epoch for r in reports] == [1, 1, 1, 2, 2, 2]
    assert {r.steps_total for r in reports} == {6}
    measured = [r.validation_accuracy for r in reports]
    assert measured[:2] == [None, None]
    assert measured[2] is not None and measured[2] == measured[3] == measured[4]
    final = evaluate(run.graph, run.parameters(), digits()[1].take(np.arange(50)))
    assert (measured[5], reports[5].validation_loss) == (final.accuracy, final.loss)
    seconds = [r.seconds for r in reports]
    assert seconds == sorted(seconds) and seconds[0] > 0
    assert all(r.samples_per_second > 0 for r in reports)
    assert pickle.loads(pickle.dumps(reports[5])) == reports[5]  # noqa: TID251 (our own bytes)
    assert list(run.reports()) == []


def test_the_accuracy_looks_back_on_fifty_batches() -> None:
    run = trainer(linear(), count=256, batch_size=2, optimizer=SGD(lr=1e-9), schedule="constant")
    answers = np.concatenate(
        [
            evaluate(run.graph, run.parameters(), run.training).predictions[:, None],
            run.training.labels[:, None],
        ],
        axis=1,
    )
    # Weights that hardly move give each sample the answer of the evaluation.
    order = np.random.default_rng((3, 0)).permutation(256)
    right = (answers[order, 0] == answers[order, 1]).reshape(-1, 2).sum(1)
    for report in run.reports():
        recent = right[max(0, report.step - 50) : report.step]
        assert report.accuracy == recent.sum() / (2 * len(recent))


def test_whole_batches_are_taken_and_the_rest_sits_out() -> None:
    run = trainer(linear(), count=100, epochs=2)
    assert (run.steps_per_epoch, run.steps_total) == (3, 6)
    assert len(list(run.reports())) == 6
    small = trainer(linear(), count=20, epochs=2, batch_size=32)
    assert (small.batch_size, small.steps_total) == (20, 2)
    assert len(list(small.reports())) == 2


@pytest.mark.parametrize("stop", [1, 3, 4])
def test_a_run_can_be_closed_and_goes_on_where_it_was(stop: int) -> None:
    whole, parts = trainer(convolutional(), epochs=2), trainer(convolutional(), epochs=2)
    expected = [r.loss for r in whole.reports()]
    reports = parts.reports()
    losses = [r.loss for r in itertools.islice(reports, stop)]
    reports.close()  # type: ignore[attr-defined]
    between = parts.parameters()
    assert parts.step == stop
    assert same(between, parts.parameters())
    losses += [r.loss for r in parts.reports()]
    assert losses == expected
    assert same(whole.parameters(), parts.parameters())


def test_training_learns_the_digits() -> None:
    training, held_out = digits()
    graph = linear()
    settings = TrainSettings(epochs=4, batch_size=32, optimizer=SGD(lr=0.02), seed=0)
    run = Trainer(graph, initial_parameters(graph, 0), training, held_out, settings)
    before = evaluate(graph, run.parameters(), held_out)
    reports = list(run.reports())
    assert before.accuracy < 0.3
    assert reports[-1].validation_accuracy is not None
    assert reports[-1].validation_accuracy > 0.88
    assert reports[-1].validation_loss is not None
    assert reports[-1].validation_loss < before.loss / 5


def test_the_plan_holds_the_weights_as_they_change() -> None:
    graph = linear()
    training, _ = digits()
    run = Trainer(graph, initial_parameters(graph, 0), training, None, TrainSettings(epochs=1))
    flat = run.plan.weights.flat
    assert np.array_equal(flat[:640], initial_parameters(graph, 0)["fc", "weight"].ravel())
    seen = [flat.copy() for _ in itertools.islice(run.reports(), 3)]
    assert not np.array_equal(seen[0], seen[2])
    assert np.array_equal(flat[640:], run.parameters()["fc", "bias"])


def test_augmentation_changes_what_is_learnt_from_and_depends_on_the_seed() -> None:
    graph = linear()
    training, _ = digits()
    seen: list[tuple[int, ...]] = []
    draws: list[list[float]] = []

    def run() -> dict[tuple[str, str], Any]:
        numbers: list[float] = []
        draws.append(numbers)

        def negate(x: Any, random: np.random.Generator) -> Any:
            seen.append(x.shape)
            numbers.append(float(random.random()))
            return -x

        part = training.take(np.arange(64))
        settings = TrainSettings(epochs=1)
        start = initial_parameters(graph, 0)
        made = Trainer(graph, start, part, None, settings, augment=negate)
        list(made.reports())
        return made.parameters()

    first, second = run(), run()
    assert seen == [(32, 1, 8, 8)] * 4
    assert draws[0] == draws[1] and draws[0][0] != draws[0][1]
    assert same(first, second)


def test_the_augmentation_of_the_settings_is_applied_to_each_batch() -> None:
    graph = linear()
    start = initial_parameters(graph, 0)
    part = digits()[0].take(np.arange(64))
    how = Augmentation(shift=1, rotate=15.0)
    settings = TrainSettings(epochs=2, seed=4)

    def learnt(settings: TrainSettings, augment: Any = None) -> Any:
        run = Trainer(graph, start, part, None, settings, augment=augment)
        list(run.reports())
        return run.parameters()

    given = learnt(settings, how)
    assert same(learnt(dataclasses.replace(settings, augmentation=how)), given)
    assert not same(learnt(settings), given)


# ---- divergence ------------------------------------------------------------------------------


def test_divergence_names_the_step_and_keeps_the_weights_before_it() -> None:
    run = trainer(explosive(), epochs=50, optimizer=SGD(lr=100.0), schedule="constant")
    before: list[dict[tuple[str, str], Any]] = [run.parameters()]
    with pytest.raises(TrainingDiverged, match="Lower the learning rate") as caught:
        for _ in run.reports():
            before.append(run.parameters())
    error = caught.value
    assert error.step > 2  # it did train before
    assert error.step == len(before) == run.step + 1
    assert not math.isfinite(error.loss)
    assert f"step {error.step}" in str(error)
    kept = run.parameters()
    assert all(np.isfinite(v).all() for v in kept.values())
    # The weights that last gave a finite loss are those before the last finished step.
    assert same(kept, before[error.step - 2])
    again = pickle.loads(pickle.dumps(error))  # noqa: TID251 (our own bytes)
    assert (again.step, str(again)) == (error.step, str(error))


def test_no_update_is_made_from_a_loss_that_is_not_finite() -> None:
    graph = linear()
    start = initial_parameters(graph, 0)
    start["fc", "weight"][0, 0] = np.nan
    training, _ = digits()
    run = Trainer(graph, start, training, None, TrainSettings(epochs=1))
    with pytest.raises(TrainingDiverged) as caught:
        list(run.reports())
    assert caught.value.step == 1
    assert run.step == 0
    assert np.array_equal(run.parameters()["fc", "bias"], start["fc", "bias"])


def _zeroed(scales: dict[str, float]) -> tuple[Graph, dict[tuple[str, str], Any]]:
    """Three fully connected layers: the first all zeros, the others ones times a number."""
    build = Builder((1, 8, 8))
    logits = build.chain(
        build.input,
        ("flatten", Flatten()),
        ("fc1", Linear(8)),
        ("fc2", Linear(8)),
        ("fc3", Linear(10)),
    )
    graph = build.classifier(logits, "steep", LABELS)
    start = initial_parameters(graph, 0)
    for name in ("fc1", "fc2", "fc3"):
        start[name, "weight"][...] = 0
        start[name, "bias"][...] = 0
        np.fill_diagonal(start[name, "weight"], scales.get(name, 0.0))
    return graph, start


@pytest.mark.parametrize(
    ("scales", "lr", "what", "layer", "place"),
    [
        ({"fc1": 1.0, "fc2": 3e38, "fc3": 1.0}, 0.1, "loss", "fc2", "the output of fc2"),
        ({"fc1": 1.0, "fc2": math.nan}, 0.1, "loss", "fc2", "weight of fc2"),
        (
            {"fc2": 1e30, "fc3": 1e30},
            0.1,
            "gradient",
            "fc2",
            "the gradient that comes out of fc2",
        ),
        ({"fc2": 1e30, "fc3": 1e10}, 0.1, "gradient", "fc1", "the gradient of weight of fc1"),
        ({"fc2": 1e30, "fc3": 1e8}, 100.0, "weights", "fc1", "weight of fc1, after the update"),
    ],
)
def test_divergence_names_the_layer_where_it_began(
    scales: dict[str, float], lr: float, what: str, layer: str, place: str
) -> None:
    graph, start = _zeroed(scales)
    training, _ = digits()
    settings = TrainSettings(batch_size=32, optimizer=SGD(lr=lr), schedule="constant")
    run = Trainer(graph, start, training, None, settings)
    with pytest.raises(TrainingDiverged, match=f"It appeared first in {place}.") as caught:
        list(run.reports())
    error = caught.value
    assert (error.step, error.what, error.layer, error.place) == (1, what, layer, place)
    assert math.isfinite(error.loss) == (what != "loss")
    kept = run.parameters()
    assert all(np.array_equal(kept[k], v, equal_nan=True) for k, v in start.items())
    with pytest.raises(CheckpointError, match="received one that diverged"):
        run.checkpoint()
    again = pickle.loads(pickle.dumps(error))  # noqa: TID251 (our own bytes)
    assert (again.layer, again.what, str(again)) == (layer, what, str(error))


def test_divergence_may_begin_in_the_pictures_or_in_the_loss() -> None:
    training, _ = digits()
    graph, settings = linear(), TrainSettings(batch_size=32)
    spoilt = Trainer(
        graph,
        initial_parameters(graph, 0),
        training,
        None,
        settings,
        augment=lambda x, rng: np.where(x > 0.5, np.float32(np.inf), x),
    )
    with pytest.raises(TrainingDiverged, match="first in the input image") as caught:
        list(spoilt.reports())
    assert (caught.value.layer, caught.value.what) == ("image", "loss")
    (loss,) = graph.losses
    squared = dataclasses.replace(
        graph, losses=(dataclasses.replace(loss, function=MeanSquaredError()),)
    )
    start = initial_parameters(squared, 0)
    start["fc", "weight"] = np.full_like(start["fc", "weight"], 1e30)
    run = Trainer(squared, start, training, None, settings)
    with pytest.raises(TrainingDiverged, match=f"first in the loss {loss.id}") as caught:
        list(run.reports())
    assert (caught.value.layer, caught.value.what) == (loss.id, "loss")


def test_divergence_in_the_middle_of_a_run_names_a_layer_of_the_network() -> None:
    run = trainer(explosive(), epochs=50, optimizer=SGD(lr=100.0), schedule="constant")
    with pytest.raises(TrainingDiverged) as caught:
        list(run.reports())
    assert caught.value.step > 2
    assert caught.value.layer in {"fc1", "fc2", "fc3", "bn", "loss"}
    assert caught.value.layer in caught.value.place
    assert np.isfinite(run.plan.weights.flat).all()


def test_running_statistics_that_overflow_stop_the_run() -> None:
    graph = convolutional()
    start = initial_parameters(graph, 0)
    start["conv", "weight"] *= 1e25  # the variance is beyond float32, the normalised maps are not
    training, _ = digits()
    run = Trainer(graph, start, training, None, TrainSettings())
    with pytest.raises(TrainingDiverged) as caught:
        list(run.reports())
    assert caught.value.layer == "bn"
    assert np.isfinite(run.parameters()["bn", "running_var"]).all()


def test_with_one_thread_two_processes_reach_the_same_bits() -> None:
    code = (
        "import zlib, numpy as np\n"
        "from engine.architectures import ARCHITECTURES\n"
        "from engine.data.digits import digits\n"
        "from engine.parameters import initial_parameters\n"
        "from engine.train import Trainer, TrainSettings\n"
        "graph = ARCHITECTURES['vgg-digits'].build()\n"
        "part = digits()[0].take(np.arange(160))\n"
        "settings = TrainSettings(epochs=1, seed=SEED)\n"
        "run = Trainer(graph, initial_parameters(graph, 0), part, None, settings)\n"
        "list(run.reports())\n"
        "print(zlib.crc32(run.plan.weights.flat.tobytes()))\n"
    )
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}

    def bits(seed: int) -> str:
        words = [sys.executable, "-c", code.replace("SEED", str(seed))]
        root = Path(__file__).parents[2]
        return subprocess.run(
            words, env=environment, cwd=root, capture_output=True, text=True, check=True
        ).stdout

    assert bits(1) == bits(1) != bits(2)


# ---- what the loss weighs ----------------------------------------------------------------------


def test_label_smoothing_and_class_weights_concern_training_alone() -> None:
    graph = linear()
    training, held_out = digits()
    # 10 pictures of each class but 30 of class 3
    rows = np.concatenate(
        [np.flatnonzero(training.labels == k)[: 30 if k == 3 else 10] for k in range(10)]
    )
    part = training.take(rows)
    start = initial_parameters(graph, 0)
    settings = TrainSettings(
        epochs=1, batch_size=120, label_smoothing=0.2, class_weights="balanced"
    )
    run = Trainer(graph, start, part, held_out, settings)
    report = next(run.reports())
    weights = np.full(10, 1.2)
    weights[3] = 0.4
    logits = part.inputs().reshape(-1, 64).astype(np.float64) @ start["fc", "weight"].T
    logp = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    y = (0.8 * np.eye(10)[part.labels] + 0.02) * weights
    wanted = -(y * logp).sum() / weights[part.labels].sum()
    assert report.loss == pytest.approx(wanted, rel=1e-5)
    # Evaluation has the network's own loss.
    assert report.validation_loss == evaluate(graph, run.parameters(), held_out).loss
    assert run.graph is graph


def test_label_smoothing_asks_for_a_cross_entropy() -> None:
    graph = linear()
    squared = dataclasses.replace(
        graph,
        losses=tuple(
            dataclasses.replace(loss, function=MeanSquaredError()) for loss in graph.losses
        ),
    )
    training, _ = digits()
    with pytest.raises(TrainingError, match=r"expected a cross-entropy .* MeanSquaredError"):
        Trainer(
            squared,
            initial_parameters(graph, 0),
            training,
            None,
            TrainSettings(label_smoothing=0.1),
        )


# ---- settings --------------------------------------------------------------------------------


def test_cosine_starts_at_the_rate_and_ends_near_zero() -> None:
    settings = TrainSettings(optimizer=SGD(lr=0.2), schedule="cosine")
    rates = [settings.learning_rate(step, 8) for step in range(8)]
    assert rates[0] == 0.2
    assert rates[4] == pytest.approx(0.1)
    assert rates[7] == pytest.approx(0.1 * (1 + math.cos(math.pi * 7 / 8)))
    assert rates == sorted(rates, reverse=True)
    constant = TrainSettings(optimizer=SGD(lr=0.2), schedule="constant")
    assert {constant.learning_rate(step, 8) for step in range(8)} == {0.2}


def test_the_reported_rate_is_the_one_that_moved_the_weights() -> None:
    run = trainer(linear(), epochs=1, optimizer=SGD(lr=0.1, momentum=0.0))
    before = run.parameters()["fc", "bias"]
    for report in run.reports():
        after = run.parameters()["fc", "bias"]
        gradient = run.plan.parameter_gradients()["fc", "bias"]
        np.testing.assert_allclose(before - after, report.learning_rate * gradient, atol=1e-7)
        assert np.abs(gradient).max() > 1e-3
        before = after


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"epochs": 0}, "epochs: expected at least 1, received 0"),
        ({"epochs": 1.5}, "epochs: expected a whole number, received 1.5"),
        ({"batch_size": 0}, "batch_size: expected at least 1, received 0"),
        ({"seed": -1}, "seed: expected at least 0, received -1"),
        (
            {"schedule": "linear"},
            "schedule: expected one of constant, cosine, step, one-cycle, rec",
        ),
        ({"optimizer": "SGD"}, "Optimizer: expected SGD, Adam, AdamW or RMSProp, received str"),
        ({"warmup": 0.95}, "warmup: expected at most 0.9"),
    ],
)
def test_settings_out_of_range_say_so(values: dict[str, Any], words: str) -> None:
    with pytest.raises((TrainingError, HyperparameterError), match=words):
        TrainSettings(**values)


@pytest.mark.parametrize(
    ("kind", "values", "words"),
    [
        (SGD, {"lr": 0.0}, "Learning rate: expected a number above 0"),
        (Adam, {"lr": -1}, "Learning rate: expected a number above 0"),
        (SGD, {"lr": math.nan}, "Learning rate: expected a number above 0"),
        (SGD, {"momentum": 1.0}, "Momentum: expected a number from 0 to below 1"),
        (Adam, {"beta2": 1.5}, "Beta2: expected a number from 0 to below 1"),
        (SGD, {"clip_norm": -1.0}, "Clip norm: expected a number from 0"),
        (SGD, {"nesterov": 1}, "nesterov: expected true or false, received 1"),
        (RMSProp, {"alpha": 1.0}, "Alpha: expected a number from 0 to below 1"),
        (Adam, {"weight_decay": -1.0}, "Weight decay: expected a number from 0 to 1"),
    ],
)
def test_an_optimizer_out_of_range_says_so(
    kind: type[Any], values: dict[str, Any], words: str
) -> None:
    with pytest.raises(HyperparameterError, match=words):
        kind(**values)


@pytest.mark.parametrize(
    "optimizer",
    [
        SGD(lr=0.3, momentum=0.5, nesterov=True, clip_norm=2.0, decay_biases=False),
        Adam(lr=0.02, beta1=0.8),
        AdamW(weight_decay=0.1),
        RMSProp(alpha=0.9),
    ],
)
def test_settings_survive_plain_data(optimizer: SGD | Adam) -> None:
    settings = TrainSettings(
        epochs=7,
        batch_size=9,
        optimizer=optimizer,
        seed=11,
        schedule="constant",
        label_smoothing=0.1,
        class_weights="balanced",
        augmentation=Augmentation(shift=2, rotate=5.0, flip="left-right"),
    )
    assert TrainSettings.from_dict(settings.as_dict()) == settings
    assert TrainSettings.from_dict({}) == TrainSettings()


@pytest.mark.parametrize(
    "data",
    [
        None,
        {"augmentation": {"zoom": 1}},
        {"augmentation": 3},
        {"epoch": 3},
        {"optimizer": {"kind": "Lion"}},
        {"optimizer": 3},
        {"epochs": "x"},
    ],
)
def test_damaged_settings_say_so(data: Any) -> None:
    with pytest.raises((TrainingError, HyperparameterError), match="expected"):
        TrainSettings.from_dict(data)


def test_fields_for_a_form_have_ranges_and_units() -> None:
    fields = {field.name: field for field in TrainSettings.hyperparameters()}
    plain = {"epochs", "batch_size", "seed", "schedule", "warmup"}
    assert set(fields) == plain | {"label_smoothing", "class_weights"}
    assert (fields["epochs"].unit, fields["batch_size"].unit) == ("epochs", "samples")
    assert fields["schedule"].choices == ("constant", "cosine", "step", "one-cycle")
    assert all(field.help for field in fields.values())


def test_schedules_are_those_of_the_papers() -> None:
    def rates(total: int, **settings: Any) -> list[float]:
        chosen = TrainSettings(optimizer=SGD(lr=0.2), **settings)
        return [chosen.learning_rate(step, total) for step in range(total)]

    steps = rates(8, schedule="step")
    np.testing.assert_allclose(steps, [0.2] * 4 + [0.02] * 2 + [0.002] * 2)
    with np.load(Path(__file__).parent / "recorded" / "training.npz") as file:
        np.testing.assert_allclose(rates(40, schedule="one-cycle"), file["one_cycle"], rtol=1e-9)
    np.testing.assert_allclose(
        rates(10, schedule="constant", warmup=0.4), [0.05, 0.1, 0.15, *[0.2] * 7]
    )
    warm = rates(10, schedule="cosine", warmup=0.4)
    np.testing.assert_allclose(warm[4:], rates(6, schedule="cosine"))
    for schedule in ("constant", "cosine", "step", "one-cycle"):
        for total in (1, 2, 3, 7):
            for warmup in (0.0, 0.5, 0.9):
                found = rates(total, schedule=schedule, warmup=warmup)
                assert all(math.isfinite(rate) and 0 < rate <= 0.2 + 1e-12 for rate in found)


# ---- network and data that do not fit --------------------------------------------------------


def test_pictures_of_another_size_are_refused() -> None:
    training, _ = digits()
    build = Builder((1, 28, 28))
    logits = build.chain(build.input, ("flatten", Flatten()), ("fc", Linear(10)))
    graph = build.classifier(logits, "large", LABELS)
    with pytest.raises(TrainingError, match="expected pictures of 1×28×28, received 1×8×8"):
        Trainer(graph, initial_parameters(graph, 0), training, None, TrainSettings())


def test_too_few_outputs_are_refused() -> None:
    graph = linear(7)
    training, _ = digits()
    with pytest.raises(TrainingError, match=r"at least 10 outputs.*received 7.*out_features"):
        Trainer(graph, initial_parameters(graph, 0), training, None, TrainSettings())


def test_a_network_without_a_loss_and_a_set_without_pictures_are_refused() -> None:
    training, _ = digits()
    full = linear()
    bare = Graph(full.inputs, full.nodes, full.outputs, (), "bare")
    with pytest.raises(TrainingError, match="bare: expected a loss"):
        evaluate(bare, initial_parameters(bare, 0), training)
    two = dataclasses.replace(full, inputs=(*full.inputs, Input("other", (1, 8, 8))))
    with pytest.raises(TrainingError, match="expected one input for pictures, received 2"):
        evaluate(two, initial_parameters(two, 0), training)
    with pytest.raises(TrainingError, match="Batch size: expected at least 1, received 0"):
        evaluate(full, initial_parameters(full, 0), training, 0)
    with pytest.raises(TrainingError, match="expected an Augmentation, received str"):
        TrainSettings(augmentation="mirror")  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match="at least one sample"):
        evaluate(full, initial_parameters(full, 0), training.take(np.arange(0)))


# ---- evaluation ------------------------------------------------------------------------------


def test_the_answer_is_what_the_first_loss_of_classes_judges() -> None:
    _, validation = digits()
    full = linear()
    parameters = initial_parameters(full, 0)
    alone = evaluate(full, parameters, validation)
    image = full.inputs[0].id
    # a sum of the pictures before it in the list, whose numbers are no classes
    joined = dataclasses.replace(full, losses=(Loss("sum", Total(), (image, 0)), *full.losses))
    both = evaluate(joined, parameters, validation)
    np.testing.assert_array_equal(both.predictions, alone.predictions)
    assert both.correct == alone.correct and 0 < alone.correct < len(validation)
    report = next(iter(trainer(joined).reports()))
    assert report.accuracy == next(iter(trainer(full).reports())).accuracy
    only = full.replace_loss(full.losses[0].id, function=Total())
    with pytest.raises(TrainingError, match="target is a class, received Sum of the output"):
        evaluate(only, parameters, validation)


def test_of_distances_the_smallest_is_the_answer() -> None:
    _, validation = digits()
    full = linear()
    parameters = initial_parameters(full, 0)
    name = full.losses[0].id
    largest = evaluate(full, parameters, validation).predictions
    smallest = evaluate(
        full.replace_loss(name, function=LeNetLoss()), parameters, validation
    ).predictions
    turned = evaluate(
        full.replace_loss(name, function=LeNetLoss(negative=True)), parameters, validation
    ).predictions
    np.testing.assert_array_equal(turned, largest)
    negative = {key: -value for key, value in parameters.items()}
    np.testing.assert_array_equal(smallest, evaluate(full, negative, validation).predictions)
    assert np.mean(smallest == largest) < 0.5


@pytest.mark.parametrize("batch_size", [1, 7, 50, 256])
def test_evaluation_answers_every_sample_whatever_the_batch(batch_size: int) -> None:
    graph = convolutional()
    parameters = initial_parameters(graph, 2)
    part: Dataset = digits()[1].take(np.arange(50))
    result = evaluate(graph, parameters, part, batch_size)
    plan = compile(graph, parameters, batch=1, mode="eval", backward=False)
    answers, losses = [], []
    for i in range(50):
        x, label = part.inputs(slice(i, i + 1)), part.labels[i : i + 1]
        exhaust(plan.run(Batch.of(graph, x, label)))
        answers.append(int(plan.output().argmax()))
        losses.append(plan.loss())
    assert result.predictions.tolist() == answers
    assert len(set(answers)) > 1
    assert result.correct == sum(a == b for a, b in zip(answers, part.labels, strict=True))
    assert (result.total, result.accuracy) == (50, result.correct / 50)
    assert result.loss == pytest.approx(np.mean(losses), rel=1e-5)


def test_evaluation_uses_and_keeps_the_running_statistics() -> None:
    graph = convolutional()
    parameters = initial_parameters(graph, 2)
    part = digits()[1].take(np.arange(50))
    before = {k: v.copy() for k, v in parameters.items()}
    first = evaluate(graph, parameters, part)
    assert same(parameters, before)
    moved = {**parameters, ("bn", "running_mean"): parameters["bn", "running_mean"] + 3}
    assert evaluate(graph, moved, part).loss != first.loss


def test_values_are_frozen() -> None:
    with pytest.raises(AttributeError):
        TrainSettings().epochs = 3  # type: ignore[misc]
    report = Report(1, 1, 1, 0.0, 0.0, None, None, 0.1, 1.0, 1.0)
    with pytest.raises(AttributeError):
        report.loss = 1.0  # type: ignore[misc]
    result = Evaluation(1.0, 0.0, 1, 1, np.zeros(1, np.int64))
    with pytest.raises(AttributeError):
        result.loss = 1.0  # type: ignore[misc]


def test_a_trainer_keeps_results_alone_and_asks_for_no_gradient_of_the_pictures() -> None:
    training, _ = digits()
    graph = convolutional()
    trainer = Trainer(graph, initial_parameters(graph, 0), training, None, TrainSettings())
    next(trainer.reports())
    assert trainer.plan.gradient((graph.inputs[0].id, 0)) is None
    with pytest.raises(NotKeptError):
        trainer.plan.value((graph.nodes[0].id, 0))
