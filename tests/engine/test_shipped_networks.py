"""The shipped networks: right on the digits that they were measured on and on the drawn ones."""

import os
from importlib import resources
from typing import Any

import numpy as np
import pytest

from engine.architectures import ARCHITECTURES
from engine.cli.common import open_network
from engine.data.digits import digits
from engine.data.idx import MNIST_PREPROCESSING, mnist
from engine.data.strokes import shipped_digits
from engine.layers.relu import ReLU
from engine.plan import Batch, Plan, compile, exhaust
from engine.project_file import Project
from engine.samples import as_image
from engine.train import TrainSettings, evaluate

NAMES = ("lenet5", "resnet-digits")
LABELS = np.array([drawing.label for drawing in shipped_digits()])


def drawn(project: Project, parameters: Any = None) -> Plan:
    """A plan that has answered all shipped drawings, in their order."""
    preprocessing = project.preprocessing
    assert preprocessing is not None
    pictures = [as_image(drawing, preprocessing.size) for drawing in shipped_digits()]
    x = np.stack([preprocessing.apply(picture) for picture in pictures])
    plan = compile(project.graph, parameters or project.parameters, batch=len(x), mode="eval")
    exhaust(plan.run(Batch.of(project.graph, x)))
    return plan


@pytest.mark.parametrize("name", NAMES)
def test_every_shipped_drawing_is_classified_rightly(name: str) -> None:
    project = open_network(name)
    assert len(LABELS) >= 20 and set(LABELS) == set(range(10))
    answers = drawn(project).output().argmax(1)
    assert answers.tolist() == LABELS.tolist()


@pytest.mark.parametrize(("name", "owner"), [("lenet5", "conv2"), ("resnet-digits", "stem/conv")])
def test_that_check_fails_with_other_weights(name: str, owner: str) -> None:
    project = open_network(name)
    mirrored = dict(project.parameters)
    mirrored[owner, "weight"] = np.ascontiguousarray(mirrored[owner, "weight"][..., ::-1])
    answers = drawn(project, mirrored).output().argmax(1)
    assert (answers != LABELS).sum() >= 3


def test_the_residual_network_is_right_on_98_of_100_held_out_digits() -> None:
    project = open_network("resnet-digits")
    _, held_out = digits()
    result = evaluate(project.graph, project.parameters, held_out)
    assert result.accuracy >= 0.98
    metadata = project.metadata
    # One picture may stand on the border between two classes on another processor.
    assert abs(metadata["correct"] - result.correct) <= 1
    assert metadata["total"] == result.total == 359
    assert metadata["accuracy"] == metadata["correct"] / 359
    assert metadata["measured_on"] == held_out.name
    assert "CC BY 4.0" in metadata["credit"]


def test_lenet5_was_right_on_99_of_100_test_pictures_of_mnist() -> None:
    metadata = open_network("lenet5").metadata
    assert metadata["total"] == 10_000
    assert metadata["accuracy"] == metadata["correct"] / 10_000 >= 0.989
    assert metadata["measured_on"] == "MNIST, test"
    assert "MNIST" in metadata["credit"]


@pytest.mark.skipif(
    "MNIST_DIR" not in os.environ,
    reason="MNIST is not shipped: set MNIST_DIR to a folder with its four files to measure again",
)
def test_lenet5_is_as_accurate_as_its_file_says() -> None:
    project = open_network("lenet5")
    _, test = mnist(os.environ["MNIST_DIR"])
    result = evaluate(project.graph, project.parameters, test)
    # One picture may stand on the border between two classes on another processor.
    assert abs(result.correct - project.metadata["correct"]) <= 1


@pytest.mark.parametrize("name", NAMES)
def test_every_feature_map_answers_to_some_drawing(name: str) -> None:
    plan = drawn(open_network(name))
    checked = 0
    for node in plan.graph.nodes:
        maps = plan.value((node.id, 0))
        if isinstance(node.layer, ReLU) and maps.ndim == 4:
            answers = (maps > 0).any((2, 3))
            assert answers.any(0).all(), f"{node.id}: dead maps {np.flatnonzero(~answers.any(0))}"
            assert answers.mean() > 0.5, f"{node.id}: most maps are empty on most drawings"
            checked += 1
    assert checked >= 2


@pytest.mark.parametrize("name", NAMES)
def test_the_file_holds_its_architecture_and_how_it_was_made(name: str) -> None:
    architecture, project = ARCHITECTURES[name], open_network(name)
    assert project.graph == architecture.build()
    assert project.warnings == ()
    training, _ = digits()
    wanted = MNIST_PREPROCESSING if name == "lenet5" else training.preprocessing
    assert project.preprocessing == wanted
    assert {array.dtype.name for array in project.parameters.values()} == {"float32"}
    settings = TrainSettings.from_dict(project.settings["training"])
    metadata = project.metadata
    assert settings.seed == metadata["seed"]
    assert metadata["title"] == architecture.title
    assert metadata["command"].startswith("python -m resources.make.")
    folder = resources.files("resources").joinpath("networks")
    assert architecture.file is not None
    assert len(folder.joinpath(architecture.file).read_bytes()) < 300_000


@pytest.mark.parametrize("name", NAMES)
def test_the_readme_says_the_same_as_the_file(name: str) -> None:
    text = resources.files("resources").joinpath("networks", "README.md").read_text("utf-8")
    metadata = open_network(name).metadata
    assert f"{metadata['correct']:,} of {metadata['total']:,}" in text
    assert f"{metadata['accuracy']:.2%}".replace("%", " %") in text
    assert metadata["command"] in text
    assert metadata["date"] in text
