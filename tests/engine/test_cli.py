"""The commands that need no screen, in the process that runs the tests; one also as a program."""

import dataclasses
import itertools
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import main
from engine import checkpoint as checkpoints
from engine.architectures import ARCHITECTURES
from engine.architectures.base import Builder
from engine.cli.common import NetworkError, open_network, plain_preprocessing
from engine.data.augmentation import Augmentation
from engine.data.digits import digits
from engine.data.shapes import CLASSES as SHAPES
from engine.data.strokes import as_mnist, shipped_digits
from engine.graph import Graph, Input, Node
from engine.layers.batch_norm2d import BatchNorm2d
from engine.layers.conv2d import Conv2d
from engine.layers.flatten import Flatten
from engine.layers.linear import Linear
from engine.layers.softmax import Softmax
from engine.optimizers import OPTIMIZERS, SGD
from engine.parameters import initial_parameters
from engine.plan import Batch, Plan, compile, exhaust
from engine.project_file import Project, ProjectError, load, save
from engine.samples import picture
from engine.train import TrainSettings, evaluate

ROOT = Path(__file__).parents[2]
LABELS = tuple("0123456789")
Output = pytest.CaptureFixture[str]


def small_graph() -> Graph:
    build = Builder((1, 8, 8))
    logits = build.chain(build.input, ("flatten", Flatten()), ("fc", Linear(10)))
    return build.classifier(logits, "Regression", LABELS)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A project file with an untrained network that trains in a moment."""
    graph = small_graph()
    path = tmp_path / "small.gflow"
    training, _ = digits()
    parameters = initial_parameters(graph, 0)
    save(Project(graph, parameters, preprocessing=training.preprocessing), path)
    return path


def run(capsys: Output, *words: Any) -> tuple[int, list[str], str]:
    """(exit code, lines of stdout, stderr) of a command."""
    code = main.main([str(word) for word in words])
    printed = capsys.readouterr()
    return code, printed.out.splitlines(), printed.err


def refused(capsys: Output, *words: Any) -> str:
    """What a command that must fail for bad input says: one line, and nothing on stdout."""
    code, out, err = run(capsys, *words)
    assert code == main.BAD_INPUT
    assert out == []
    assert err.count("\n") == 1 and err.startswith("gradient-flow-explorer: ")
    return err


# ---- help ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["step", "train", "export", "gallery"])
def test_help_has_an_example_and_the_exit_codes(capsys: Output, name: str) -> None:
    with pytest.raises(SystemExit) as left:
        main.main([name, "--help"])
    assert left.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: gradient-flow-explorer {name} ")
    assert f"example:\n  gradient-flow-explorer {name}" in text
    assert re.search(r"exit codes:\n  0 .*\n  1 .*\n  2 .*\n  3 ", text)
    assert ("130" in text) == (name == "train")


@pytest.mark.parametrize(
    "words",
    [
        ["step", "lenet5"],
        ["step", "lenet5", "--image", "strokes:7", "--phase", "sideways"],
        ["step", "lenet5", "--image", "strokes:7", "--lr", "0.1"],
        ["step", "lenet5", "--image", "strokes:7", "--optimizer", "SGD", "--lr", "abc"],
        ["train", "lenet5", "--momentum", "much"],
        ["train", "lenet5", "--epochs", "many"],
        ["train", "lenet5", "--optimizer", "Lion"],
        ["export", "lenet5"],
        ["gallery", "lenet5", "vgg16"],
    ],
)
def test_wrong_usage_is_code_2(capsys: Output, words: list[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main.main(words)
    assert left.value.code == main.WRONG_USAGE
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("usage: gradient-flow-explorer")


def test_a_word_in_place_of_a_number_is_named(capsys: Output) -> None:
    with pytest.raises(SystemExit):
        main.main(["train", "lenet5", "--lr", "abc"])
    assert "argument --lr: expected a number, received 'abc'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "received"), [("notes.md", "a .md file"), ("no-such", "none of them")]
)
def test_what_is_no_network_says_which_kinds_are(
    capsys: Output, tmp_path: Path, name: str, received: str
) -> None:
    (tmp_path / "notes.md").write_text("# Notes", encoding="utf-8")
    code, lines, err = run(capsys, "inspect", tmp_path / name)
    assert (code, lines) == (main.BAD_INPUT, [])
    assert f"a project (.gflow) or an ONNX file (.onnx), received {received}." in err


# ---- gallery ---------------------------------------------------------------------------------


def test_gallery_lists_every_network_with_its_size(capsys: Output) -> None:
    code, lines, err = run(capsys, "gallery")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in lines] == ["name", *ARCHITECTURES]
    (vgg,) = (line for line in lines if line.startswith("vgg16 "))
    size = ["138,357,544", "15,470,264,320", "115.3", "MB"]
    assert vgg.split() == ["vgg16", "2014", "3×224×224", *size, "VGG-16"]
    years = [int(line.split()[1]) for line in lines[1:]]
    assert years == sorted(years)
    trained = [line.split()[0] for line in lines if line.endswith("(trained)")]
    assert trained == [a.id for a in ARCHITECTURES.values() if a.file]


def test_gallery_as_json_holds_the_same(capsys: Output) -> None:
    code, lines, err = run(capsys, "gallery", "--json")
    assert (code, err) == (0, "")
    found = {entry["name"]: entry for entry in json.loads("\n".join(lines))}
    assert list(found) == list(ARCHITECTURES)
    net = found["mobilenet-v1"]
    assert (net["parameters"], net["multiply_adds"]) == (4_231_976, 568_740_352)
    assert net["year"] == 2017 and net["input"] == [3, 224, 224] and not net["trained"]
    # 61 MB: the same as the tensors of a run would take
    specs = ARCHITECTURES["mobilenet-v1"].build().infer().specs.values()
    assert net["activation_bytes"] == sum(np.zeros(s.shape, s.dtype).nbytes for s in specs)
    assert found["lenet5"]["trained"] and found["lenet5"]["scale"] == "classroom"


def test_gallery_tells_about_one_network(capsys: Output) -> None:
    for name in ("lenet5", "resnet-digits"):
        text = "\n".join(run(capsys, "gallery", name)[1])
        about = open_network(name).metadata
        assert f"{about['accuracy']:.2%} right on {about['measured_on']}" in text
        assert ARCHITECTURES[name].idea in text and ARCHITECTURES[name].source in text
    text = "\n".join(run(capsys, "gallery", "lenet5")[1])
    assert "input 1×28×28, 61,706 parameters, 416,520 multiply-adds, 63.1 kB" in text
    assert "trained:" not in "\n".join(run(capsys, "gallery", "vgg-digits")[1])
    assert "vgg17: expected the name of a network" in refused(capsys, "gallery", "vgg17")


def test_a_network_without_shipped_weights_starts_with_new_ones_and_says_so(
    capsys: Output,
) -> None:
    project = open_network("mobilenet-digits")
    new = initial_parameters(project.graph, 0)
    assert project.parameters.keys() == new.keys()
    assert all(np.array_equal(project.parameters[key], new[key]) for key in new)
    code, lines, _ = run(capsys, "step", "mobilenet-digits", "--image", "digits:3")
    assert code == 0
    assert lines[0].startswith("MobileNet for digits (weights: new, not trained), ")
    assert "weights:" not in run(capsys, "step", "lenet5", "--image", "strokes:7")[1][0]


def test_an_unknown_network_says_where_they_are_listed(capsys: Output) -> None:
    words = refused(capsys, "step", "alexnet2", "--image", "strokes:7")
    assert "alexnet2: expected a network of the command gallery, a project (.gflow)" in words
    with pytest.raises(NetworkError):
        open_network("alexnet2")


def test_a_missing_and_a_damaged_project_are_named(capsys: Output, small: Path) -> None:
    gone = small.with_name("gone.gflow")
    assert str(gone) in refused(capsys, "step", gone, "--image", "strokes:7")
    small.write_bytes(small.read_bytes()[:-40])
    assert str(small) in refused(capsys, "step", small, "--image", "strokes:7")
    with pytest.raises(ProjectError):
        open_network(str(small))


# ---- step ------------------------------------------------------------------------------------


def test_step_prints_a_line_a_step_and_the_prediction(capsys: Output) -> None:
    code, lines, err = run(capsys, "step", "lenet5", "--image", "strokes:7")
    assert (code, err) == (0, "")
    assert lines[0] == "LeNet-5, drawing 1 of a 7 (plain), label 7"
    project = open_network("lenet5")
    graph = project.graph
    plan = compile(graph, project.parameters, mode="eval")
    assert project.preprocessing is not None
    x = picture("strokes:7", project.preprocessing).x[None]
    exhaust(plan.run(Batch.of(graph, x, np.array([7]))))
    expected = [o for o in plan.operations() if o.phase != "update"]
    steps = [line.split()[:3] for line in lines[1:-1]]
    assert steps == [[str(i), o.phase, o.node] for i, o in enumerate(expected)]
    logits = plan.output()[0].astype(np.float64)
    share = 1 / np.exp(logits - logits[7]).sum()
    assert lines[-1] == f"prediction: 7 with {share:.2%} (right)"

    conv1 = plan.value(("conv1", 0))
    words = (
        f"value conv1 6×28×28 [{conv1.min():.4g}, {conv1.max():.4g}] "
        f"‖·‖ {np.linalg.norm(conv1.astype(np.float64)):.4g}"
    )
    assert lines[1].endswith(words)
    loss = next(line for line in lines if " loss  " in line and "forward" not in line)
    assert f"= {plan.loss():.6g}" in loss


def test_step_tells_where_max_pooling_sends_the_gradient(capsys: Output) -> None:
    _, lines, _ = run(capsys, "step", "lenet5", "--image", "strokes:3")
    forward, backward = (line for line in lines if line.split()[2:3] == ["pool2"])
    project = open_network("lenet5")
    plan = compile(project.graph, project.parameters, mode="eval")
    assert project.preprocessing is not None
    x = picture("strokes:3", project.preprocessing).x[None]
    exhaust(plan.run(Batch.of(project.graph, x)))
    windows = plan.value(("pool2", 0)).size  # they do not overlap: one winner each
    words = f"{windows:,} of {plan.value(('relu2', 0)).size:,}"
    assert f"the largest of each 2×2 window: {words} cells won" in forward
    assert f"to the cells that won: {words}; every other gets an exact 0" in backward


def test_step_tells_how_a_skip_and_its_branch_are_added(capsys: Output) -> None:
    words = ("step", "resnet-digits", "--image", "strokes:3")
    _, lines, _ = run(capsys, *words, "--phase", "forward", "--phase", "accumulate")
    assert {line.split()[1] for line in lines[1:-1]} == {"forward", "accumulate"}
    project = open_network("resnet-digits")
    plan = compile(project.graph, project.parameters, mode="eval")
    assert project.preprocessing is not None
    x = picture("strokes:3", project.preprocessing).x[None]
    exhaust(plan.run(Batch.of(project.graph, x)))
    branch, skip = (
        float(np.linalg.norm(plan.value((node, 0)).astype(np.float64)))
        for node in ("stage1/block1/bn2", "stem/relu")
    )
    line = next(line for line in lines if "stage1/block1/add" in line)
    assert (
        f"(sum of stage1/block1/bn2 ‖{branch:.4g}‖ {branch / (branch + skip):.0%} + "
        f"stem/relu ‖{skip:.4g}‖ {skip / (branch + skip):.0%})"
    ) in line
    accumulated = [line for line in lines if line.split()[1] == "accumulate"]
    assert [line.split()[2] for line in accumulated] == [
        "stage2/block1/relu2",
        "stage1/block1/relu2",
        "stem/relu",
    ]
    assert "sum of stage1/block1/add ‖" in accumulated[2]
    assert "stage1/block1/conv1 ‖" in accumulated[2]


def test_step_ends_with_the_update_that_is_asked_for(capsys: Output, small: Path) -> None:
    before = small.read_bytes()
    words = ("step", small, "--image", "digits:1", "--phase", "update")
    _, without, _ = run(capsys, *words)
    assert len(without) == 3 and "needs --optimizer" in without[1]
    _, lines, _ = run(capsys, *words, "--optimizer", "SGD", "--lr", "0.5")
    assert len(lines) == 3 and "param fc.weight 10×64" in lines[1]
    project = load(small)
    assert project.preprocessing is not None
    _, held_out = digits()
    x = held_out.inputs(slice(0, 1)).reshape(64)
    w = project.parameters["fc", "weight"]
    p = np.exp(w @ x - (w @ x).max())
    p /= p.sum()
    moved = w - 0.5 * np.outer(p - np.eye(10)[held_out.labels[0]], x)
    assert f"[{moved.min():.4g}, {moved.max():.4g}]" in lines[1]
    assert small.read_bytes() == before


def test_without_a_label_the_guess_is_taken_and_a_wrong_label_is_said(
    capsys: Output, tmp_path: Path
) -> None:
    drawing = next(d for d in shipped_digits() if d.label == 4)
    file = tmp_path / "four.npy"
    np.save(file, as_mnist(drawing))
    _, lines, _ = run(capsys, "step", "lenet5", "--image", file, "--phase", "loss")
    assert lines[0].endswith("no label: the network's own guess, 4, is taken for it")
    assert re.fullmatch(r"prediction: 4 with \d+\.\d\d%", lines[-1])
    _, wrong, _ = run(capsys, "step", "lenet5", "--image", file, "--label", 9, "--phase", "loss")
    assert re.search(r"prediction: 4 .* \(wrong: 9 received \d+\.\d\d%\)", wrong[-1])
    losses = [float(out[1].rsplit("= ", 1)[1]) for out in (lines, wrong)]
    assert losses[1] > losses[0] + 1


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".pgm", ".npy"])
@pytest.mark.parametrize("paper", [False, True])
def test_step_reads_image_files(capsys: Output, tmp_path: Path, suffix: str, paper: bool) -> None:
    from PIL import Image

    drawing = next(d for d in shipped_digits() if d.label == 2)
    pixels = np.rint(as_mnist(drawing) * 255).astype(np.uint8)
    pixels = 255 - pixels if paper else pixels
    file = tmp_path / f"two{suffix}"
    if suffix == ".npy":
        np.save(file, pixels)
    else:
        Image.fromarray(pixels).save(file)
    code, lines, _ = run(capsys, "step", "lenet5", "--image", file, "--label", 2)
    assert code == 0
    assert ("dark on light: inverted" in lines[0]) == paper
    assert lines[-1].startswith("prediction: 2 ") and lines[-1].endswith("(right)")


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("strokes:x", "expected strokes:DIGIT or strokes:DIGIT.NUMBER"),
        ("strokes:7.4", "a number from 1 to 3"),
        ("digits:0", "expected a number from 1 to 359"),
        ("digits:360", "expected a number from 1 to 359"),
        ("gone.png", "gone.png: no such file"),
    ],
)
def test_a_picture_that_is_not_there_is_named(capsys: Output, image: str, words: str) -> None:
    assert words in refused(capsys, "step", "lenet5", "--image", image)


def test_a_text_file_is_no_picture(capsys: Output, tmp_path: Path) -> None:
    file = tmp_path / "notes.png"
    file.write_text("seven")
    words = refused(capsys, "step", "lenet5", "--image", file)
    assert f"{file.name}: not a picture" in words


def test_a_label_that_is_no_class_is_refused(capsys: Output) -> None:
    words = refused(capsys, "step", "lenet5", "--image", "strokes:7", "--label", "cat")
    assert "--label: expected 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, received 'cat'" in words


@pytest.mark.parametrize(
    ("layers", "marked"),
    [
        ((("conv", Conv2d(2, 3)),), True),
        ((("flat", Flatten()), ("fc", Linear(3))), False),
        ((("flat", Flatten()), ("fc", Linear(3)), ("shares", Softmax())), True),
        ((("flat", Flatten()), ("fc", Linear(3))), True),
    ],
)
def test_step_of_a_network_without_a_loss_only_looks(
    capsys: Output, tmp_path: Path, layers: Any, marked: bool
) -> None:
    names = ["image", *(name for name, _ in layers)]
    graph = Graph(
        inputs=(Input("image", (1, 8, 8)),),
        nodes=tuple(Node(n, layer, ((names[i], 0),)) for i, (n, layer) in enumerate(layers)),
        outputs=(("y", (names[-1], 0)),) if marked else (),
    )
    path, parameters = tmp_path / "open.gflow", initial_parameters(graph, 3)
    save(Project(graph, parameters), path)
    code, out, _ = run(capsys, "step", path, "--image", "strokes:2")
    assert code == main.OK
    assert {line.split()[1] for line in out[1:-1]} == {"forward"}
    if names[-1] == "conv" or not marked:
        assert out[-1] == ("prediction: none, the network's output is not one number per class")
        assert "expected none, received '1'" in refused(
            capsys, "step", path, "--image", "strokes:2", "--label", "1"
        )
        return
    plan = compile(graph, parameters, mode="eval")
    exhaust(plan.run(Batch.of(graph, picture("strokes:2", plain_preprocessing(graph)).x[None])))
    scores = plan.output()[0]
    shares = scores if names[-1] == "shares" else np.exp(scores) / np.exp(scores).sum()
    best = int(shares.argmax())
    verdict = "right" if best == 2 else f"wrong: 2 received {shares[2]:.2%}"
    assert out[-1] == f"prediction: {best} with {shares[best]:.2%} ({verdict})"
    assert "from 0 to 2, received '3'" in refused(
        capsys, "step", path, "--image", "strokes:2", "--label", "3"
    )


def test_a_drawing_of_a_class_that_the_network_lacks_is_neither_right_nor_wrong(
    capsys: Output, tmp_path: Path
) -> None:
    graph = small_graph()
    graph = dataclasses.replace(
        graph.replace_node("fc", layer=Linear(3)), labels=("nought", "one", "two")
    )
    path = tmp_path / "three.gflow"
    save(Project(graph, initial_parameters(graph, 0)), path)
    code, out, _ = run(capsys, "step", path, "--image", "strokes:7")
    assert code == main.OK and re.fullmatch(r"prediction: (nought|one|two) with [\d.]+%", out[-1])


def test_a_shipped_digit_is_no_answer_where_the_classes_are_not_digits(
    capsys: Output, tmp_path: Path
) -> None:
    graph = small_graph()
    graph = dataclasses.replace(graph.replace_node("fc", layer=Linear(12)), labels=())
    path = tmp_path / "twelve.gflow"
    save(Project(graph, initial_parameters(graph, 0)), path)
    code, out, _ = run(capsys, "step", path, "--image", "strokes:7")
    assert code == main.OK and "no label: the network's own guess" in out[0]
    assert re.fullmatch(r"prediction: \d+ with [\d.]+%", out[-1])


def test_pictures_of_each_kind_and_their_labels() -> None:
    preprocessing = open_network("resnet-digits").preprocessing
    assert preprocessing is not None
    _, held_out = digits()
    shown = picture("digits:12", preprocessing)
    assert shown.label == str(held_out.labels[11])
    np.testing.assert_array_equal(shown.x, held_out.inputs([11])[0])
    first, second = picture("strokes:7", preprocessing), picture("strokes:7.2", preprocessing)
    assert (first.label, second.label) == ("7", "7")
    assert not np.array_equal(first.x, second.x)
    np.testing.assert_array_equal(first.x, picture("strokes:7.1", preprocessing).x)


def test_step_and_train_run_networks_through_plans_alone(
    capsys: Output, monkeypatch: pytest.MonkeyPatch, small: Path, tmp_path: Path
) -> None:
    steps = 0
    original = Plan.run

    def counted(self: Plan, *arguments: Any, **named: Any) -> Any:
        nonlocal steps
        for step in original(self, *arguments, **named):
            steps += 1
            yield step

    monkeypatch.setattr(Plan, "run", counted)
    run(capsys, "step", small, "--image", "digits:1")
    assert steps == 2 + 2 + 1 + 3  # the guess; then forward, loss, backward
    steps = 0
    run(capsys, "train", small, "--epochs", 1, "--out", tmp_path / "out.gflow")
    # 44 batches; then 359 digits in two batches, at the end of the epoch and for the file.
    assert steps == 44 * 6 + 2 * 2 * 3


# ---- train -----------------------------------------------------------------------------------


def test_train_prints_progress_and_saves_what_it_learnt(
    capsys: Output, small: Path, tmp_path: Path
) -> None:
    out = tmp_path / "trained.gflow"
    options = ("--data", "digits", "--epochs", 3, "--batch-size", 16, "--lr", 0.02, "--seed", 4)
    code, lines, err = run(capsys, "train", small, *options, "--out", out)
    assert (code, err) == (0, "")
    assert lines[0] == (
        "Regression: 1,438 pictures of UCI digits, train, 267 steps of 16, 359 held out"
    )
    epochs = [line for line in lines if "held-out " in line]
    assert [line.split()[:4] for line in epochs] == [
        ["epoch", str(i), "step", f"{i * 89}/267"] for i in (1, 2, 3)
    ]
    project = load(out)
    _, held_out = digits()
    result = evaluate(project.graph, project.parameters, held_out)
    assert result.accuracy > 0.85
    assert f"held-out {result.accuracy:.2%}" in epochs[-1]
    assert project.metadata["accuracy"] == result.accuracy
    assert project.settings["training"]["seed"] == 4
    assert project.settings["training"]["optimizer"]["lr"] == 0.02
    assert lines[-1] == f"saved {out} after 267 of 267 steps"

    again = tmp_path / "again.gflow"
    run(capsys, "train", small, *options, "--out", again)
    assert again.read_bytes() == out.read_bytes()


def test_train_goes_on_from_the_weights_unless_told_to_start_afresh(
    capsys: Output, small: Path, tmp_path: Path
) -> None:
    first, more, fresh = (tmp_path / f"{name}.gflow" for name in ("first", "more", "fresh"))
    run(capsys, "train", small, "--epochs", 2, "--out", first)
    tiny = ("--epochs", 1, "--lr", 1e-6, "--out")
    run(capsys, "train", first, *tiny, more)
    run(capsys, "train", first, "--fresh", *tiny, fresh)
    accuracy = [load(path).metadata["accuracy"] for path in (first, more, fresh)]
    assert abs(accuracy[1] - accuracy[0]) < 0.02
    assert accuracy[2] < 0.4


def test_train_without_a_name_never_replaces_an_earlier_run(
    capsys: Output, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("small-trained.gflow", "small-trained-2.gflow"):
        _, lines, _ = run(capsys, "train", small, "--epochs", 1)
        assert lines[-1].startswith(f"saved {name} ")
        assert load(tmp_path / name).metadata["steps"] == 44


def test_train_takes_data_of_another_size(capsys: Output, small: Path, tmp_path: Path) -> None:
    graph = small_graph()
    wide = graph.replace_node("fc", layer=Linear(len(SHAPES)))
    project = Project(wide, initial_parameters(wide, 0))
    save(project, small)
    out = tmp_path / "shapes.gflow"
    code, lines, _ = run(
        capsys,
        "train",
        small,
        "--data",
        "shapes",
        "--epochs",
        1,
        "--optimizer",
        "Adam",
        "--out",
        out,
    )
    assert code == 0 and "Shapes and textures" in lines[0]
    made = load(out)
    assert made.preprocessing is not None and made.preprocessing.size == (8, 8)
    assert made.settings["training"]["optimizer"]["kind"] == "Adam"


def test_a_diverging_run_keeps_finite_weights_and_says_what_to_do(
    capsys: Output, tmp_path: Path
) -> None:
    build = Builder((1, 8, 8))
    logits = build.chain(
        build.input,
        ("bn", BatchNorm2d()),
        ("flatten", Flatten()),
        ("fc1", Linear(32)),
        ("fc2", Linear(32)),
        ("fc3", Linear(10)),
    )
    graph = build.classifier(logits, "Explosive", LABELS)
    path, out = tmp_path / "explosive.gflow", tmp_path / "out.gflow"
    save(Project(graph, initial_parameters(graph, 0)), path)
    code, lines, err = run(capsys, "train", path, "--lr", 100, "--epochs", 20, "--out", out)
    assert code == main.BAD_INPUT
    assert re.search(r"step \d+: expected a finite loss.*appeared first in the .*Lower the", err)
    assert err.count("\n") == 1
    assert lines[-1].startswith(f"saved {out} after ")
    assert all(np.isfinite(array).all() for array in load(out).parameters.values())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--epochs", "0"], "epochs: expected at least 1, received 0"),
        (["--lr", "-1"], "Learning rate: expected a number above 0"),
        (["--lr", "nan"], "Learning rate: expected a number above 0"),
        (["--beta1", "0.5"], "--beta1: expected an optimizer that has it, received SGD"),
        (["--rotate", "200"], "Augmentation.rotate: expected at most 180"),
        (["--resume", "nowhere"], "expected a file, received none of that name"),
        (["--checkpoint", "no/such/folder/x"], "--checkpoint no/such/folder/x: there is no"),
        (["--data", "cifar"], "received 'cifar'"),
        (["--data", "mnist:nowhere"], "nowhere: has neither"),
        (["--data", "shapes"], f"at least {len(SHAPES)} outputs"),
        (["--out", "no/such/folder/x.gflow"], "there is no folder"),
        (["--out", "."], "received a folder"),
    ],
)
def test_train_refuses_before_it_starts(
    capsys: Output, small: Path, options: list[str], words: str
) -> None:
    before = small.read_bytes()
    assert words in refused(capsys, "train", small, "--out", small, *options)
    assert small.read_bytes() == before


def test_ctrl_c_saves_what_has_been_reached(small: Path, tmp_path: Path) -> None:
    out = tmp_path / "reached.gflow"
    words = [sys.executable, str(ROOT / "main.py"), "train", str(small), "--epochs", "5000"]
    with subprocess.Popen(
        [*words, "--out", str(out)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        started = list(itertools.islice(process.stdout, 3))
        process.send_signal(signal.SIGINT)
        rest, err = process.communicate(timeout=60)
    assert started[2].startswith("epoch 2 ")
    assert process.returncode == main.INTERRUPTED
    assert err == ""
    assert rest.splitlines()[-1].startswith(f"saved {out} after ")
    project = load(out)
    assert 88 <= project.metadata["steps"] < 5000 * 44
    assert project.metadata["accuracy"] > 0.5


def test_train_has_an_option_for_every_setting(capsys: Output, small: Path, tmp_path: Path) -> None:
    options = {
        "epochs": 1,
        "batch_size": 64,
        "seed": 5,
        "schedule": "one-cycle",
        "warmup": 0.1,
        "label_smoothing": 0.1,
        "class_weights": "balanced",
    }
    augmentation = {"shift": 1, "rotate": 5.0, "crop": 0.1, "flip": "left-right", "cutout": 2}
    optimizers: dict[str, dict[str, Any]] = {
        "SGD": {"momentum": 0.8},
        "Adam": {"beta1": 0.8, "beta2": 0.99, "eps": 1e-6},
        "AdamW": {"weight_decay": 0.1},
        "RMSProp": {"alpha": 0.9, "momentum": 0.1},
    }
    both = {"lr": 0.002, "clip_norm": 2.0}
    assert set(options) == {f.name for f in TrainSettings.hyperparameters()}
    assert set(augmentation) == {f.name for f in Augmentation.hyperparameters()}
    assert set(optimizers) == set(OPTIMIZERS)
    given = {name for numbers in optimizers.values() for name in numbers} | set(both)
    fields = {f.name for kind in OPTIMIZERS.values() for f in dataclasses.fields(kind)}
    assert given | {"nesterov", "decay_biases"} == fields

    def words(values: dict[str, Any]) -> list[Any]:
        return [w for k, v in values.items() for w in (f"--{k.replace('_', '-')}", v)]

    out = tmp_path / "out.gflow"
    for name, numbers in optimizers.items():
        switches = ["--no-decay-biases", *["--nesterov"] * (name == "SGD")]
        rest = words({**both, **numbers, **options, **augmentation})
        code, _, err = run(
            capsys, "train", small, "--optimizer", name, *switches, *rest, "--out", out
        )
        assert (code, err) == (0, "")
        made = TrainSettings.from_dict(load(out).settings["training"])
        wanted = OPTIMIZERS[name](**both, **numbers, decay_biases=False)
        if isinstance(wanted, SGD):
            wanted = dataclasses.replace(wanted, nesterov=True)
        assert made == TrainSettings(
            optimizer=wanted, augmentation=Augmentation(**augmentation), **options
        )


def test_a_checkpoint_goes_on_to_the_same_file(
    capsys: Output, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ("--epochs", 3, "--shift", 1, "--optimizer", "Adam", "--batch-size", 64)
    whole, parts, kept = (tmp_path / name for name in ("whole.gflow", "parts.gflow", "run"))
    run(capsys, "train", small, *settings, "--out", whole)

    # Ctrl-C in the middle of the second epoch
    original = TrainSettings.learning_rate

    def interrupted(self: TrainSettings, step: int, steps_total: int) -> float:
        if step == 29:
            signal.raise_signal(signal.SIGINT)
        return original(self, step, steps_total)

    with monkeypatch.context() as patch:
        patch.setattr(TrainSettings, "learning_rate", interrupted)
        code, lines, _ = run(
            capsys, "train", small, *settings, "--out", parts, "--checkpoint", kept
        )
    assert code == main.INTERRUPTED
    assert lines[-2:] == [f"saved {parts} after 30 of 66 steps", f"go on with --resume {kept}"]
    assert parts.read_bytes() != whole.read_bytes()
    assert checkpoints.standing(kept).step == 30
    for more in (["--epochs", 9], ["--fresh"]):
        text = refused(capsys, "train", small, "--resume", kept, "--out", parts, *more)
        assert more[0] in text and "Leave them out" in text

    code, lines, err = run(capsys, "train", small, "--resume", kept, "--out", parts)
    assert (code, err) == (0, "")
    assert lines[1] == "going on after 30 steps"
    assert lines[-1] == f"saved {parts} after 66 of 66 steps"
    assert parts.read_bytes() == whole.read_bytes()
    assert checkpoints.standing(kept).finished
    text = refused(capsys, "train", small, "--resume", kept, "--out", parts)
    assert "has made all 66" in text


def test_a_checkpoint_of_something_else_is_refused(
    capsys: Output, small: Path, tmp_path: Path
) -> None:
    kept, out = tmp_path / "run", tmp_path / "out.gflow"
    settings = ("--epochs", 1, "--batch-size", 256, "--out", out)
    run(capsys, "train", small, *settings, "--checkpoint", kept)
    found = checkpoints.load(kept)
    standing = dataclasses.replace(found.standing, steps_total=99)
    checkpoints.save(dataclasses.replace(found, standing=standing), kept)
    text = refused(capsys, "train", "vgg-digits", "--resume", kept, "--out", out)
    assert "expected one of VGG for digits, received one of Regression" in text
    kept.write_text("nothing")
    text = refused(capsys, "train", small, "--resume", kept, "--out", out)
    assert "expected a checkpoint of a training" in text


# ---- export ----------------------------------------------------------------------------------


def test_export_writes_a_file_that_another_runtime_agrees_with(
    capsys: Output, tmp_path: Path
) -> None:
    import onnxruntime

    out = tmp_path / "lenet5.onnx"
    code, lines, err = run(capsys, "export", "lenet5", "--out", out)
    assert (code, err) == (0, "")
    assert lines[0] == f"wrote {out} ({out.stat().st_size:,} bytes)"
    assert lines[1].startswith("onnxruntime, 8 samples: largest difference ")
    assert lines[1].endswith(": agrees") and len(lines) == 2
    project = open_network("lenet5")
    assert project.preprocessing is not None
    x = picture("strokes:5", project.preprocessing).x[None]
    plan = compile(project.graph, project.parameters, mode="eval")
    exhaust(plan.run(Batch.of(project.graph, x)))
    (other,) = onnxruntime.InferenceSession(out).run(["logits"], {"image": x})
    assert np.abs(other - plan.output()).max() <= 1e-5 * np.abs(other).max()
    assert np.ptp(other) > 1


def test_export_takes_a_version_of_the_operators(capsys: Output, tmp_path: Path) -> None:
    import onnx

    out = tmp_path / "r.onnx"
    assert run(capsys, "export", "resnet-digits", "--out", out, "--opset", 13)[0] == 0
    assert onnx.load(out).opset_import[0].version == 13
    before = out.read_bytes()
    assert "13" in refused(capsys, "export", "resnet-digits", "--out", out, "--opset", 3)
    assert out.read_bytes() == before


def test_export_has_options(capsys: Output, tmp_path: Path, monkeypatch: Any) -> None:
    import onnx

    from engine.onnx import comparison

    out = tmp_path / "r.onnx"
    words = ("export", "resnet-digits", "--out", out)
    code, lines, _ = run(
        capsys, *words, "--batch", 3, "--softmax", "add", "--merge-norms", "--meta", "author=é=1"
    )
    assert code == 0 and "3 samples" in lines[1]
    model = onnx.load(out)
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 3
    assert [o.name for o in model.graph.output] == ["probabilities"]
    assert "BatchNormalization" not in {n.op_type for n in model.graph.node}
    assert {p.key: p.value for p in model.metadata_props}["author"] == "é=1"
    assert len(run(capsys, *words, "--no-compare")[1]) == 1
    assert "expected NAME=TEXT" in refused(capsys, *words, "--meta", "author")
    assert "softmax at the end" in refused(capsys, *words, "--softmax", "remove")
    assert "at least 1 sample" in refused(capsys, *words, "--batch", 0)
    right = comparison._onnxruntime

    def wrong(*arguments: Any) -> Any:
        return {k: v * np.float32(1.01) for k, v in right(*arguments).items()}

    monkeypatch.setattr(comparison, "_onnxruntime", wrong)
    code, lines, _ = run(capsys, *words)
    assert code == 1 and lines[1].endswith(": DIFFERS")


def test_export_writes_a_script_with_its_weights(capsys: Output, tmp_path: Path) -> None:
    out = tmp_path / "net.py"
    assert run(capsys, "export", "lenet5", "--out", out)[0] == 0
    assert "from torch import nn" in out.read_text()
    code, lines, _ = run(capsys, "export", "lenet5", "--out", out, "--format", "keras")
    assert code == 0 and "import keras" in out.read_text()
    weights = tmp_path / "net.safetensors"
    assert [line.split()[1] for line in lines] == [str(out), str(weights)]
    assert "--opset" in refused(
        capsys, "export", "lenet5", "--out", out, "--format", "keras", "--opset", 13
    )
    for option in ("--merge-norms", "--no-compare"):
        assert option in refused(
            capsys, "export", "lenet5", "--out", out, "--format", "keras", option
        )
    text = refused(capsys, "export", "lenet5-1998", "--out", out, "--format", "keras")
    assert "has no Keras form" in text


# ---- as a program ----------------------------------------------------------------------------


def test_the_program_itself_steps_and_fails_in_one_line() -> None:
    def program(*words: str, encoding: str = "utf-8") -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, str(ROOT / "main.py"), *words],
            capture_output=True,
            text=True,
            encoding=encoding,
            env={**os.environ, "PYTHONIOENCODING": encoding},
            timeout=60,
            check=False,
        )

    words = ("step", "resnet-digits", "--image", "digits:12", "--phase", "backward")
    done = program(*words)
    assert "‖" in done.stdout
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].endswith("(right)")
    plain = program(*words, encoding="ascii")
    assert (plain.returncode, plain.stderr) == (0, "")
    assert plain.stdout == done.stdout.encode("ascii", "replace").decode("ascii")
    failed = program("step", "resnet-digits", "--image", "no such.png")
    assert failed.returncode == main.BAD_INPUT
    assert failed.stderr == "gradient-flow-explorer: no such.png: no such file; check the name\n"


# ---- what a newcomer stumbles over -----------------------------------------------------------


def test_steps_of_a_phase_that_does_not_come_are_no_silence(capsys: Output) -> None:
    code, lines, _ = run(capsys, "step", "lenet5", "--image", "strokes:3", "--phase", "update")
    assert code == 0
    assert "no step in the phase update (an update needs --optimizer)" in lines


def test_a_name_that_is_nearly_one_of_the_gallery_is_answered_with_those(capsys: Output) -> None:
    assert "resnet18, " in refused(capsys, "gallery", "resnet")
    assert "densenet-digits" in refused(capsys, "gallery", "densnet-digits")
    assert "(" not in refused(capsys, "gallery", "§")


def test_export_asks_for_a_suffix_that_says_what_is_written(capsys: Output, tmp_path: Path) -> None:
    out = tmp_path / "net.foo"
    text = refused(capsys, "export", "lenet5", "--out", out)
    assert ".onnx or .py, received '.foo'" in text and not out.exists()
    assert run(capsys, "export", "lenet5", "--out", out, "--format", "onnx")[0] == 0


def test_run_says_which_file_is_missing_and_which_class(capsys: Output, tmp_path: Path) -> None:
    out = tmp_path / "y.npz"
    text = refused(capsys, "run", "lenet5", "--input", "nope.npy", "--out", out)
    assert "received none of that name" in text
    np.save(tmp_path / "x.npy", np.zeros((1, 1, 28, 28), "float32"))
    text = refused(
        capsys,
        *("run", "lenet5", "--input", tmp_path / "x.npy", "--out", out, "--gradient", "logits:70"),
    )
    assert "expected a class from 0 to 9 of logits, received 'logits:70'" in text


def test_training_says_that_it_goes_on_from_the_weights_that_ship(
    capsys: Output, tmp_path: Path
) -> None:
    words = ["train", "resnet-digits", "--epochs", 1, "--out", tmp_path / "a.gflow"]
    words += ["--batch-size", 1438]
    assert any("--fresh starts from new ones" in line for line in run(capsys, *words)[1])
    assert not any("--fresh starts" in line for line in run(capsys, *words, "--fresh")[1])
