"""Several inputs, outputs and losses in one network, and a layer that stands at two places."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.architectures import ARCHITECTURES
from engine.architectures.base import Builder
from engine.data.digits import digits
from engine.graph import Graph, Input, Loss, Node
from engine.layers.add import Add
from engine.layers.base import Array
from engine.layers.batch_norm2d import BatchNorm2d
from engine.layers.concat import Concat
from engine.layers.conv2d import Conv2d
from engine.layers.flatten import Flatten
from engine.layers.global_avg_pool import GlobalAvgPool
from engine.layers.linear import Linear
from engine.layers.relu import ReLU
from engine.layers.sigmoid import Sigmoid
from engine.layers.tanh import Tanh
from engine.losses import CrossEntropy, Hinge, MeanSquaredError
from engine.optimizers import SGD
from engine.parameters import Parameters, initial_parameters
from engine.plan import Batch, Plan, compile, exhaust
from engine.train import Trainer, TrainSettings, evaluate
from engine.weights import OwnerName

WEIGHTS = (1.0, 0.3, 0.5)


def mixed(weights: tuple[float, ...] = WEIGHTS, *, tied: bool = True) -> Graph:
    """A picture and a vector come in; two answers go out; three losses judge.

    The convolution stands at two places one behind the other, the fully connected layer at two
    side by side.
    """

    def owner(name: str) -> str | None:
        return name if tied else None

    nodes = (
        Node("conv", Conv2d(2, 3, padding=1, bias=False), (("image", 0),)),
        Node("tanh", Tanh(), (("conv", 0),)),
        Node("again", Conv2d(2, 3, padding=1, bias=False), (("tanh", 0),), owner("conv")),
        Node("skip", Add(), (("again", 0), ("image", 0))),
        Node("norm", BatchNorm2d(), (("skip", 0),)),
        Node("gap", GlobalAvgPool(), (("norm", 0),)),
        Node("flat", Flatten(), (("gap", 0),)),
        Node("both", Concat(), (("flat", 0), ("facts", 0))),
        Node("fc", Linear(4), (("both", 0),)),
        Node("early", GlobalAvgPool(), (("tanh", 0),)),
        Node("early_flat", Flatten(), (("early", 0),)),
        Node("early_both", Concat(), (("early_flat", 0), ("facts", 0))),
        Node("early_fc", Linear(4), (("early_both", 0),), owner("fc")),
        Node("squeezed", Sigmoid(), (("flat", 0),)),
    )
    losses = (
        Loss("loss", CrossEntropy(0.1), ("fc", 0), weights[0]),
        Loss("early_loss", CrossEntropy(), ("early_fc", 0), weights[1]),
        Loss("size_loss", MeanSquaredError(), ("squeezed", 0), weights[2]),
    )
    return Graph(
        (Input("image", (2, 5, 4)), Input("facts", (3,))),
        nodes,
        (("logits", ("fc", 0)), ("size", ("squeezed", 0))),
        losses,
    )


def batch(seed: int = 0, samples: int = 3) -> Batch:
    rng = np.random.default_rng(seed)
    inputs = {
        "image": rng.standard_normal((samples, 2, 5, 4)),
        "facts": rng.standard_normal((samples, 3)),
    }
    labels = rng.integers(0, 4, samples)
    targets = {"loss": labels, "early_loss": labels, "size_loss": rng.random((samples, 2))}
    return Batch(inputs, targets)


def parameters() -> dict[OwnerName, Array]:
    """Of the untied network, where the shared layers have the same weights at both places."""
    found = initial_parameters(mixed(tied=False), 1, "float64")
    rng = np.random.default_rng(2)
    found = {key: a + rng.uniform(0.1, 0.4, a.shape) for key, a in found.items()}
    for twin, owner in (("again", "conv"), ("early_fc", "fc")):
        for name in {name for of, name in found if of == owner}:
            found[twin, name] = found[owner, name].copy()
    return found


def ran(graph: Graph, given: Parameters, seed: int = 0) -> Plan:
    plan = compile(graph, given, batch=3, mode="train", dtype="float64")
    exhaust(plan.run(batch(seed)))
    return plan


def test_all_gradients_are_those_of_the_weighted_sum_of_the_losses() -> None:
    given, graph = parameters(), mixed()
    plan = ran(graph, given)
    watched = compile(graph, given, batch=3, mode="train", dtype="float64", backward=False)

    def loss_at(key: OwnerName, place: tuple[int, ...], by: float) -> float:
        moved = given[key].copy()
        moved[place] += by
        other = compile(
            graph, {**given, key: moved}, batch=3, mode="train", dtype="float64", backward=False
        )
        exhaust(other.run(batch(), backward=False))
        return other.loss()

    exhaust(watched.run(batch(), backward=False))
    assert watched.loss() == pytest.approx(plan.loss(), rel=1e-12)
    checked = 0
    for key, gradient in plan.parameter_gradients().items():
        largest = np.abs(gradient).max()
        assert largest > 1e-4, key
        for flat in np.random.default_rng(3).permutation(gradient.size)[:6]:
            place = tuple(int(i) for i in np.unravel_index(flat, gradient.shape))
            measured = (loss_at(key, place, 1e-5) - loss_at(key, place, -1e-5)) / 2e-5
            assert abs(measured - gradient[place]) <= 1e-6 * largest + 1e-10, (key, place)
            checked += 1
    assert checked >= 20


def test_the_gradients_of_both_inputs_are_right() -> None:
    given, graph = parameters(), mixed()
    plan = ran(graph, given)
    for name in ("image", "facts"):
        gradient = plan.gradient((name, 0))
        assert gradient is not None
        for flat in np.random.default_rng(4).permutation(gradient.size)[:8]:
            sides = []
            for by in (1e-5, -1e-5):
                moved = batch()
                moved.inputs[name].reshape(-1)[flat] += by
                exhaust(plan.run(moved))
                sides.append(plan.loss())
            exhaust(plan.run(batch()))
            again = plan.gradient((name, 0))
            assert again is not None
            measured = (sides[0] - sides[1]) / 2e-5
            assert measured == pytest.approx(again.reshape(-1)[flat], rel=1e-6, abs=1e-9)


def test_the_gradient_of_a_shared_layer_is_the_sum_over_its_places() -> None:
    given = parameters()
    apart, together = ran(mixed(tied=False), given), ran(mixed(), given)
    assert together.loss() == pytest.approx(apart.loss(), rel=1e-14)
    single, shared = apart.parameter_gradients(), together.parameter_gradients()
    for owner, twin in (("conv", "again"), ("fc", "early_fc")):
        for name in {name for of, name in shared if of == owner}:
            first, second = single[owner, name], single[twin, name]
            assert np.abs(first).max() > 1e-4 and np.abs(second).max() > 1e-4
            np.testing.assert_allclose(shared[owner, name], first + second, rtol=1e-12, atol=1e-15)
    kinds = [step.node for step in together.run(batch()) if step.phase == "accumulate"]
    assert (kinds.count("conv"), kinds.count("fc")) == (1, 2)  # weights; weights and biases


def test_a_shared_layer_is_moved_once_by_that_sum() -> None:
    given, graph = parameters(), mixed()
    plan = compile(graph, given, batch=3, mode="train", dtype="float64")
    steps = list(plan.run(batch(), optimizer=SGD(lr=0.5, momentum=0.0)))
    assert [s.node for s in steps if s.phase == "update"].count("conv") == 1
    moved = plan.parameters()
    for key, gradient in plan.parameter_gradients().items():
        np.testing.assert_allclose(moved[key], given[key] - 0.5 * gradient, rtol=1e-12, atol=1e-15)


def test_gradients_are_linear_in_the_weights_of_the_losses() -> None:
    given = parameters()
    whole = ran(mixed(), given).parameter_gradients()
    parts = [
        ran(mixed(tuple(w if i == j else 0.0 for j, w in enumerate(WEIGHTS))), given)
        for i in range(len(WEIGHTS))
    ]
    for key, gradient in whole.items():
        total = sum(part.parameter_gradients()[key] for part in parts)
        np.testing.assert_allclose(gradient, total, rtol=1e-10, atol=1e-14)
    heads = [np.abs(p.parameter_gradients()["fc", "weight"]).max() for p in parts]
    assert heads[0] > 0 < heads[1] and heads[2] == 0  # the third loss does not see that layer


# ---- heads on the way, which help in training --------------------------------------------------


def with_head(weight: float = 0.3) -> Graph:
    """A classifier of digits with a second one, behind a fork, in its middle."""
    build = Builder((1, 8, 8))
    x = build.chain(build.input, ("conv1", Conv2d(8, 3, padding=1)), ("relu1", ReLU()))
    y = build.chain(x, ("conv2", Conv2d(8, 3)), ("relu2", ReLU()), ("flat", Flatten()))
    logits = build.node("fc", Linear(10), y)
    head = build.chain(
        x, ("head/gap", GlobalAvgPool()), ("head/flat", Flatten()), ("head/fc", Linear(10))
    )
    heads = (("head_loss", head, weight),)
    return build.classifier(logits, "with a head", tuple("0123456789"), heads)


def test_a_network_with_a_head_on_the_way_learns_from_both_losses() -> None:
    training, held_out = digits()
    graph = with_head()
    start = initial_parameters(graph, 0)
    settings = TrainSettings(epochs=2, optimizer=SGD(lr=0.05))
    trainer = Trainer(graph, start, training, held_out, settings)
    reports = list(trainer.reports())
    assert reports[-1].validation_accuracy is not None and reports[-1].validation_accuracy > 0.9
    assert np.mean([r.loss for r in reports[:10]]) > np.mean([r.loss for r in reports[-10:]]) + 0.5
    after = trainer.parameters()
    for key in start:
        assert not np.array_equal(after[key], start[key]), key
    # at the start each loss is about ln 10, and the second counts 0.3 times
    assert reports[0].loss == pytest.approx(1.3 * np.log(10), rel=0.1)


def test_a_head_of_weight_0_changes_nothing() -> None:
    training, _ = digits()
    settings = TrainSettings(epochs=1, optimizer=SGD(lr=0.05))
    alone = replace(with_head(), losses=with_head().losses[:1])
    found = []
    for graph in (with_head(0.0), alone, with_head(0.3)):
        trainer = Trainer(graph, initial_parameters(graph, 0), training, None, settings)
        for _, _ in zip(range(8), trainer.reports(), strict=False):
            pass
        found.append(trainer.parameters()["conv1", "weight"])
    assert np.array_equal(found[0], found[1]) and not np.allclose(found[1], found[2])


@pytest.mark.parametrize("name", ["googlenet-digits"])
def test_evaluation_leaves_the_heads_on_the_way_out(name: str) -> None:
    _, held_out = digits()
    helped, plain = ARCHITECTURES[f"{name}-auxiliary"].build(), ARCHITECTURES[name].build()
    start = initial_parameters(helped, 3)
    with_heads, without = (evaluate(graph, start, held_out) for graph in (helped, plain))
    assert (with_heads.accuracy, with_heads.loss) == (without.accuracy, without.loss)
    assert np.array_equal(with_heads.predictions, without.predictions)
    # but a second loss that judges an output counts
    both = replace(helped, outputs=(*helped.outputs, ("early", helped.losses[1].input)))
    assert evaluate(both, start, held_out).loss > 1.2 * without.loss


def test_losses_of_several_kinds_get_the_same_labels() -> None:
    graph = with_head()
    second = replace(graph.losses[1], function=Hinge())
    graph = replace(graph, losses=(graph.losses[0], second))
    training, _ = digits()
    trainer = Trainer(graph, initial_parameters(graph, 0), training, None, TrainSettings(epochs=1))
    losses = [report.loss for report in trainer.reports()]
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
