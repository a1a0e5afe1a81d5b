"""A run that was saved and loaded goes on to the same numbers, bit for bit, or says why not."""

import dataclasses
import itertools
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import checkpoint as checkpoints
from engine.architectures.base import Builder
from engine.checkpoint import Checkpoint, CheckpointError
from engine.data.augmentation import Augmentation
from engine.data.dataset import Dataset
from engine.data.digits import digits
from engine.graph import Graph
from engine.layers.batch_norm2d import BatchNorm2d
from engine.layers.conv2d import Conv2d
from engine.layers.dropout import Dropout
from engine.layers.flatten import Flatten
from engine.layers.linear import Linear
from engine.layers.relu import ReLU
from engine.optimizers import SGD, Adam, AdamW, RMSProp
from engine.parameters import initial_parameters
from engine.train import Report, Trainer, TrainSettings

OPTIMIZERS = [
    SGD(lr=0.05, momentum=0.9, weight_decay=1e-3, nesterov=True),
    Adam(lr=0.01),
    AdamW(lr=0.01, decay_biases=False),
    RMSProp(lr=0.002, momentum=0.5, clip_norm=1.0),
]


def network(width: int = 4) -> Graph:
    """Small, with running statistics and randomness."""
    build = Builder((1, 8, 8))
    logits = build.chain(
        build.input,
        ("conv", Conv2d(width, 3)),
        ("bn", BatchNorm2d()),
        ("relu", ReLU()),
        ("flatten", Flatten()),
        ("drop", Dropout(0.2)),
        ("fc", Linear(10)),
    )
    return build.classifier(logits, "small", tuple("0123456789"))


def data(count: int = 80) -> tuple[Dataset, Dataset]:
    training, held_out = digits()
    return training.take(np.arange(count)), held_out.take(np.arange(40))


def trainer(optimizer: Any = OPTIMIZERS[0], **settings: Any) -> Trainer:
    values = {
        "epochs": 2,
        "batch_size": 16,
        "optimizer": optimizer,
        "seed": 3,
        "label_smoothing": 0.1,
        "augmentation": Augmentation(shift=1, rotate=10.0, cutout=2),
        **settings,
    }
    graph = network()
    return Trainer(graph, initial_parameters(graph, 0), *data(), TrainSettings(**values))


def saved(run: Trainer, path: Path) -> Checkpoint:
    checkpoints.save(run.checkpoint(), path)
    return checkpoints.load(path)


def timeless(report: Report) -> Report:
    return dataclasses.replace(report, seconds=0.0, samples_per_second=0.0)


def same(a: Any, b: Any) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: type(o).__name__)
@pytest.mark.parametrize("steps", [0, 3, 5, 8, 10])
def test_saved_and_loaded_it_goes_on_to_the_same_numbers(
    steps: int, optimizer: Any, tmp_path: Path
) -> None:
    whole = trainer(optimizer)
    reports = [timeless(report) for report in whole.reports()]
    assert len(reports) == 10

    first = trainer(optimizer)
    list(itertools.islice(first.reports(), steps))
    path = tmp_path / "run.checkpoint"
    second = Trainer.resume(saved(first, path), *data())
    assert [p.name for p in tmp_path.glob("*run*")] == ["run.checkpoint"]
    assert not list(tmp_path.glob(".*"))
    assert second.step == steps and second.settings == first.settings
    assert same(second.parameters(), first.parameters())
    assert [timeless(report) for report in second.reports()] == reports[steps:]
    assert same(second.parameters(), whole.parameters())
    assert second.notes == ()
    # Not vacuous: without the optimizer's vectors the end is another.
    if 0 < steps < 10:
        poor = dataclasses.replace(checkpoints.load(path), state=())
        other = Trainer.resume(poor, *data())
        list(other.reports())
        assert not same(other.parameters(), whole.parameters())


def test_a_checkpoint_is_a_copy() -> None:
    run = trainer()
    steps = run.reports()
    next(steps)
    taken = run.checkpoint()
    before = [array.copy() for array in (taken.weights, taken.statistics, *taken.state)]
    next(steps)
    after = (taken.weights, taken.statistics, *taken.state)
    assert len(after) == 3
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    assert not np.array_equal(run.checkpoint().weights, before[0])


def test_a_file_tells_where_the_run_stands(tmp_path: Path) -> None:
    run = trainer()
    list(itertools.islice(run.reports(), 7))
    loaded = saved(run, tmp_path / "run")
    standing = checkpoints.standing(tmp_path / "run")
    assert standing == loaded.standing == run.checkpoint().standing
    assert (standing.step, standing.epoch, standing.steps_total) == (7, 2, 10)
    assert not standing.finished
    assert standing.settings == run.settings and standing.graph == run.graph
    assert standing.threads >= 1 and standing.data["samples"] == 80
    assert standing.kernels == {c.node: c.kernel for c in run.plan.choices}
    assert same(loaded.parameters(), run.parameters())
    list(run.reports())
    assert run.checkpoint().standing.finished and run.checkpoint().standing.epoch == 2


def test_the_kernels_are_those_of_the_run(tmp_path: Path) -> None:
    graph = network()
    start = initial_parameters(graph, 0)
    run = Trainer(graph, start, *data(), trainer().settings, pin={"conv": "plain", "bn": "plain"})
    next(run.reports())
    chosen = {c.node: c.kernel for c in trainer().plan.choices}
    assert chosen["conv"] != "plain"
    again = Trainer.resume(saved(run, tmp_path / "run"), *data())
    pinned = {c.node: c.kernel for c in again.plan.choices}
    assert pinned == {**chosen, "conv": "plain", "bn": "plain"}


def test_the_threads_are_those_of_the_run() -> None:
    graph = network()
    start = initial_parameters(graph, 0)
    run = Trainer(graph, start, *data(), trainer().settings, threads=2)
    taken = run.checkpoint()
    again = Trainer.resume(taken, *data())
    assert taken.standing.threads == again.threads == 2
    list(run.reports())
    list(again.reports())
    assert same(again.parameters(), run.parameters())
    for one in (run, again):
        one.plan.close()


def changed(taken: Checkpoint, **values: Any) -> Checkpoint:
    return dataclasses.replace(taken, standing=dataclasses.replace(taken.standing, **values))


def test_kernels_that_are_not_there_are_refused() -> None:
    taken = trainer().checkpoint()
    kernels = {**taken.standing.kernels, "conv": "winograd"}
    with pytest.raises(CheckpointError, match=r"conv.*'winograd'.*train on from its weights"):
        Trainer.resume(changed(taken, kernels=kernels), *data())
    kernels = {k: v for k, v in taken.standing.kernels.items() if k != "conv"}
    with pytest.raises(CheckpointError, match="expected kernel None for conv, received"):
        Trainer.resume(changed(taken, kernels=kernels), *data())


def test_another_network_is_refused() -> None:
    taken = trainer().checkpoint()
    with pytest.raises(CheckpointError, match="conv is another layer"):
        Trainer.resume(taken, *data(), graph=network(5))
    with pytest.raises(CheckpointError, match="fc is in one of them alone"):
        Trainer.resume(taken, *data(), graph=network().remove(["fc"]))
    renamed = dataclasses.replace(network(), labels=())
    with pytest.raises(CheckpointError, match="inputs, outputs or losses are others"):
        Trainer.resume(taken, *data(), graph=renamed)
    assert Trainer.resume(taken, *data(), graph=network()).step == 0


@pytest.mark.parametrize("change", ["fewer", "pixel", "label"])
def test_other_data_are_refused(change: str) -> None:
    taken = trainer().checkpoint()
    training, held_out = data()
    images, labels = training.images.copy(), training.labels.copy()
    if change == "pixel":
        images[7, 0, 3, 3] = 0.5 - images[7, 0, 3, 3] / 2
    if change == "label":
        labels[7] = (labels[7] + 1) % 10
    other = dataclasses.replace(training, images=images, labels=labels)
    if change == "fewer":
        other = training.take(np.arange(79))
    with pytest.raises(CheckpointError, match="expected the data that it was trained on, UCI"):
        Trainer.resume(taken, other, held_out)


def test_another_number_of_threads_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.workers.blas_threads", lambda: 3)
    taken = trainer().checkpoint()
    assert taken.standing.blas_threads == 3
    monkeypatch.setattr("engine.workers.blas_threads", lambda: None)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    (note,) = Trainer.resume(taken, *data()).notes
    assert "BLAS threads of 3, and this is 1" in note and "last digits" in note
    taken = changed(taken, numpy="1.0", blas_threads=1)
    (note,) = Trainer.resume(taken, *data()).notes
    assert "NumPy 1.0" in note


def test_a_function_that_augments_must_be_given_again() -> None:
    def dimmed(x: Any, random: np.random.Generator) -> Any:
        return x * np.float32(random.uniform(0.5, 1))

    graph = network()
    start = initial_parameters(graph, 0)
    run = Trainer(graph, start, *data(), trainer().settings, augment=dimmed)
    list(itertools.islice(run.reports(), 4))
    taken = run.checkpoint()
    with pytest.raises(CheckpointError, match="expected the function that augmented"):
        Trainer.resume(taken, *data())
    again = Trainer.resume(taken, *data(), augment=dimmed)
    list(again.reports())
    list(run.reports())
    assert same(again.parameters(), run.parameters())
    with pytest.raises(CheckpointError, match="expected no function"):
        Trainer.resume(trainer().checkpoint(), *data(), augment=dimmed)


def test_a_failed_write_leaves_the_earlier_file(tmp_path: Path) -> None:
    path = tmp_path / "run"
    run = trainer()
    checkpoints.save(run.checkpoint(), path)
    before = path.read_bytes()
    with pytest.raises(CheckpointError, match="Create it or choose another"):
        checkpoints.save(run.checkpoint(), tmp_path / "no" / "run")
    assert path.read_bytes() == before and not list(tmp_path.glob(".*"))


def rewritten(path: Path, **changes: Any) -> Path:
    """The file with other members: bytes, or None to leave one out."""
    copy = path.with_name("copy")
    packed = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(copy, "w", packed) as new:
        for name in old.namelist():
            content = changes.get(name.split(".")[0], old.read(name))
            if content is not None:
                new.writestr(name, content)
    return copy


@pytest.mark.parametrize(
    "damage",
    [
        "empty",
        "text",
        "cut",
        "missing",
        "no weights",
        "short",
        "float64",
        "json",
        "version",
        "steps",
        "no epochs",
        "huge description",
        "vectors",
        "newer array",
        "less than promised",
    ],
)
def test_a_damaged_file_is_refused(damage: str, tmp_path: Path) -> None:
    run = trainer()
    next(run.reports())
    path = tmp_path / "run"
    good = saved(run, path)
    description = json.loads(zipfile.ZipFile(path).read("checkpoint.json"))

    def array(a: Any) -> bytes:
        np.save(tmp_path / "a.npy", a)
        return (tmp_path / "a.npy").read_bytes()

    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "text":
        path.write_text("not a zip")
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "missing":
        path.unlink()
    elif damage == "no weights":
        path = rewritten(path, weights=None)
    elif damage == "short":
        path = rewritten(path, weights=array(good.weights[:-1]))
    elif damage == "float64":
        path = rewritten(path, weights=array(good.weights.astype(np.float64)))
    elif damage == "json":
        path = rewritten(path, checkpoint=b"{")
    elif damage == "version":
        path = rewritten(path, checkpoint=json.dumps({**description, "version": 2}).encode())
    elif damage == "steps":
        path = rewritten(path, checkpoint=json.dumps({**description, "step": -1}).encode())
    elif damage == "no epochs":
        changed = {**description, "steps_per_epoch": 0}
        path = rewritten(path, checkpoint=json.dumps(changed).encode())
    elif damage == "huge description":
        path = rewritten(path, checkpoint=json.dumps(description).encode() + b" " * 70_000_000)
    elif damage == "vectors":
        path = rewritten(path, checkpoint=json.dumps({**description, "states": 5}).encode())
    elif damage == "newer array":
        content = array(good.weights)
        path = rewritten(path, weights=content[:6] + b"\x02" + content[7:])
    elif damage == "less than promised":
        path = rewritten(path, weights=array(good.weights)[:-4])
    with pytest.raises(CheckpointError, match=str(path)):
        checkpoints.load(path)


def test_fewer_vectors_than_the_optimizer_has_are_refused(tmp_path: Path) -> None:
    run = trainer(Adam())
    next(run.reports())
    path = tmp_path / "run"
    assert len(saved(run, path).state) == 2
    description = json.loads(zipfile.ZipFile(path).read("checkpoint.json"))
    path = rewritten(path, checkpoint=json.dumps({**description, "states": 1}).encode())
    with pytest.raises(CheckpointError, match="1 vectors of the optimizer"):
        checkpoints.load(path)
