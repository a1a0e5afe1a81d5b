"""The gradient by the number of branches crossed: its parts add up, and equal enumerated paths."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engine.architectures.densenet import densenet_bc100, densenet_digits
from engine.architectures.googlenet import googlenet_digits
from engine.architectures.lenet5 import lenet5
from engine.architectures.resnet import resnet_digits
from engine.architectures.resnet_cifar import resnet_cifar
from engine.architectures.squeezenet import squeezenet_digits
from engine.graph import Graph, GraphError, Input, Loss, Node
from engine.layers import REGISTRY
from engine.layers.add import Add
from engine.layers.conv2d import Conv2d
from engine.losses import CrossEntropy, softmax
from engine.parameters import initial_parameters
from engine.paths import meeting, path_counts, path_parts, path_work, residual_joins
from engine.plan import Batch, compile, exhaust

L = REGISTRY
WIDTH = 5


def chain(blocks: int, post: bool) -> Graph:
    """Residual blocks of two linear layers; ``post`` puts a ReLU after each Add."""
    nodes: list[Node] = []
    x = ("x", 0)
    for i in range(blocks):
        nodes += [
            Node(f"b{i}/fc1", L["Linear"](WIDTH), (x,)),
            Node(f"b{i}/relu", L["ReLU"](), ((f"b{i}/fc1", 0),)),
            Node(f"b{i}/fc2", L["Linear"](WIDTH), ((f"b{i}/relu", 0),)),
            Node(f"b{i}/add", L["Add"](), ((f"b{i}/fc2", 0), x)),
        ]
        x = (f"b{i}/add", 0)
        if post:
            nodes.append(Node(f"b{i}/out", L["ReLU"](), (x,)))
            x = (f"b{i}/out", 0)
    nodes.append(Node("fc", L["Linear"](3), (x,)))
    return Graph(
        inputs=(Input("x", (WIDTH,)),),
        nodes=tuple(nodes),
        losses=(Loss("loss", CrossEntropy(), ("fc", 0)),),
        name="chain",
    )


def full_gradients(graph: Graph, parameters, x, target):
    plan = compile(graph, parameters, batch=1, mode="eval", dtype="float64")
    exhaust(plan.run(Batch.of(graph, x, target)))
    return plan


def enumerated(graph: Graph, parameters, x: np.ndarray, target: int, blocks: int, post: bool):
    """Σ over all 2^L paths, by the number of branches, from Jacobians written out by hand."""
    p = {k: np.asarray(v, np.float64) for k, v in parameters.items()}
    h, jacobians, masks = x[0].astype(np.float64), [], []
    for i in range(blocks):
        w1, b1 = p[f"b{i}/fc1", "weight"], p[f"b{i}/fc1", "bias"]
        w2, b2 = p[f"b{i}/fc2", "weight"], p[f"b{i}/fc2", "bias"]
        inner = w1 @ h + b1
        jacobians.append(w2 @ (np.diag((inner > 0).astype(float)) @ w1))
        h = w2 @ np.maximum(inner, 0) + b2 + h
        masks.append(h > 0 if post else np.ones(WIDTH, bool))
        h = np.maximum(h, 0) if post else h
    scores = p["fc", "weight"] @ h + p["fc", "bias"]
    g = softmax(scores[None])[0]
    g[target] -= 1
    g = p["fc", "weight"].T @ g
    found = np.zeros((blocks + 1, WIDTH))
    for path in itertools.product((0, 1), repeat=blocks):
        v = g
        for i in reversed(range(blocks)):
            v = v * masks[i]
            v = jacobians[i].T @ v if path[i] else v
        found[sum(path)] += v
    return found


@pytest.mark.parametrize("blocks", [1, 2, 5, 10])
@pytest.mark.parametrize("post", [False, True])
def test_the_parts_equal_all_enumerated_paths(blocks: int, post: bool) -> None:
    graph = chain(blocks, post)
    parameters = initial_parameters(graph, 11)
    x = np.random.default_rng(blocks).normal(size=(1, WIDTH))
    parts = path_parts(graph, parameters, {"x": x}, {"loss": np.array([1])})
    first = parts[0]
    assert first.ref == ("x", 0)
    assert first.counts == tuple(math.comb(blocks, k) for k in range(blocks + 1))
    expected = enumerated(graph, parameters, x, 1, blocks, post)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(first.parts, expected, atol=1e-12 * scale, rtol=0)
    plan = full_gradients(graph, parameters, x, np.array([1]))
    np.testing.assert_allclose(first.total, plan.gradient(("x", 0))[0], atol=1e-10 * scale)


def test_at_every_block_of_the_residual_network() -> None:
    graph = resnet_digits()
    parameters = initial_parameters(graph, 5)
    x = np.random.default_rng(3).random((1, 1, 8, 8))
    target = np.array([4])
    parts = path_parts(graph, parameters, {"image": x}, {"loss": target})
    assert [p.block for p in parts] == ["image", "stage1/block1", "stage2/block1", "stage2/block2"]
    assert [p.counts for p in parts] == [(1, 3, 3, 1), (1, 3, 3, 1), (1, 2, 1), (1, 1)]
    plan = full_gradients(graph, parameters, x, target)
    for part in parts:
        recorded = plan.gradient(part.ref)[0]
        assert np.abs(part.total - recorded).max() <= 1e-10 * max(1.0, np.abs(recorded).max())
        assert sum(part.shares) == pytest.approx(1.0, abs=1e-12)
        assert part.norm == pytest.approx(np.linalg.norm(recorded))
        assert all(n >= 0 for n in part.norms)


def test_a_slot_without_connection_is_neither_skip_nor_branch() -> None:
    graph = resnet_digits()
    parameters = initial_parameters(graph, 5)
    x = {"image": np.random.default_rng(3).random((1, 1, 8, 8))}
    target = {"loss": np.array([4])}
    gapped = replace(
        graph,
        nodes=tuple(
            replace(n, inputs=(None, *n.inputs)) if isinstance(n.layer, Add) else n
            for n in graph.nodes
        ),
    )
    before, after = (path_parts(g, parameters, x, target) for g in (graph, gapped))
    assert [p.counts for p in after] == [p.counts for p in before]
    assert all(np.array_equal(a.parts, b.parts) for a, b in zip(after, before, strict=True))


def test_all_parts_go_back_together_once_through_each_layer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One pass whose samples are the parts, not one for each of the 2^L paths."""
    graph = resnet_digits()
    samples: list[int] = []
    original = Conv2d.backward

    def counted(self: Conv2d, p: Any, saved: Any, dys: Any, need: Any, ctx: Any = None) -> Any:
        samples.append(len(dys[0]))
        return original(self, p, saved, dys, need, ctx)

    monkeypatch.setattr(Conv2d, "backward", counted)
    x = np.random.default_rng(3).random((1, 1, 8, 8))
    path_parts(graph, initial_parameters(graph, 5), {"image": x}, {"loss": np.array([4])})
    convolutions = sum(isinstance(node.layer, Conv2d) for node in graph.nodes)
    assert samples == [len(residual_joins(graph)) + 1] * convolutions


def test_a_branch_that_gives_nothing_leaves_the_skips_alone() -> None:
    graph = chain(4, post=False)
    parameters = dict(initial_parameters(graph, 2))
    for i in range(4):
        parameters[f"b{i}/fc2", "weight"] = np.zeros((WIDTH, WIDTH), np.float32)
    x = np.random.default_rng(0).normal(size=(1, WIDTH))
    first = path_parts(graph, parameters, {"x": x}, {"loss": np.array([0])})[0]
    assert first.shares == pytest.approx((1.0, 0.0, 0.0, 0.0, 0.0))


def test_a_network_without_a_skip_says_so() -> None:
    graph = lenet5()
    with pytest.raises(GraphError, match="where a skip meets its branch"):
        path_parts(graph, initial_parameters(graph, 0), {}, {})
    assert residual_joins(graph) == ()


def test_meetings() -> None:
    graph = resnet_digits()
    joins = residual_joins(graph)
    assert [j.fork for j in joins] == [
        ("stem/relu", 0),
        ("stage1/block1/relu2", 0),
        ("stage2/block1/relu2", 0),
    ]
    assert [j.lengths for j in joins] == [(5, 0), (5, 2), (5, 0)]
    assert all(j.skip == 1 for j in joins)
    assert meeting(graph, "fc") is None


def test_inputs_that_never_were_one_have_no_skip() -> None:
    graph = Graph(
        inputs=(Input("x", (WIDTH,)), Input("y", (WIDTH,))),
        nodes=(
            Node("apart", L["Add"](), (("x", 0), ("y", 0))),
            Node("left", L["Linear"](WIDTH), (("apart", 0),)),
            Node("right", L["Linear"](WIDTH), (("apart", 0),)),
            Node("equal", L["Add"](), (("left", 0), ("right", 0))),
        ),
    )
    apart, equal = meeting(graph, "apart"), meeting(graph, "equal")
    assert apart is not None and (apart.fork, apart.lengths, apart.skip) == (None, (), None)
    assert equal is not None and (equal.fork, equal.skip) == (("apart", 0), None)
    assert residual_joins(graph) == ()


def test_what_no_loss_reads_takes_no_part() -> None:
    plain = chain(2, post=False)
    side = Node("side", L["Softmax"](), (("fc", 0),))
    graph = Graph(
        plain.inputs, (*plain.nodes, side), (*plain.outputs, ("side", ("side", 0))), plain.losses
    )
    parameters = initial_parameters(graph, 2)
    x = {"x": np.random.default_rng(0).normal(size=(1, WIDTH))}
    target = {"loss": np.array([0])}
    for a, b in zip(
        path_parts(graph, parameters, x, target),
        path_parts(plain, parameters, x, target),
        strict=True,
    ):
        assert a.block == b.block and np.array_equal(a.parts, b.parts)


class TestDense:
    """At a Concat that keeps a tensor beside what a layer made of it, the tensor is the skip."""

    @pytest.mark.parametrize("lines", [True, False])
    def test_they_add_up_to_the_gradient_at_every_layer(self, lines: bool) -> None:
        graph = densenet_digits() if lines else chained_densenet()
        parameters = initial_parameters(graph, 5)
        x = np.random.default_rng(3).random((1, 1, 8, 8))
        found = path_parts(graph, parameters, {"image": x}, {"loss": np.array([4])})
        plan = full_gradients(graph, parameters, x, np.array([4]))
        names = [f"block{b}/layer{n}" for b in (1, 2) for n in (1, 2, 3)]
        assert [p.block for p in found] == ["image", *(("block1", "block2") if lines else names)]
        depths = [6, 6, 3] if lines else [6, 6, 5, 4, 3, 2, 1]
        assert [p.counts for p in found] == [
            tuple(math.comb(n, k) for k in range(n + 1)) for n in depths
        ]
        for part in found:
            recorded = plan.gradient(part.ref)[0]
            assert np.abs(part.total - recorded).max() <= 1e-12 * np.abs(recorded).max()
            assert sum(part.shares) == pytest.approx(1.0, abs=1e-12)

    def test_its_last_layer_is_worked_out_by_hand(self) -> None:
        """What passed the last Concat on the tensor's own channels crossed no branch."""
        graph = chained_densenet()
        parameters = initial_parameters(graph, 5)
        x = np.random.default_rng(3).random((1, 1, 8, 8))
        last = path_parts(graph, parameters, {"image": x}, {"loss": np.array([4])})[-1]
        plan = full_gradients(graph, parameters, x, np.array([4]))
        sent = plan.gradient((last.join, 0))[0]
        assert last.parts is not None and last.join == "block2/layer3/concat"
        own = sent[: last.parts.shape[1]]
        np.testing.assert_allclose(last.parts[0], own, atol=1e-16)
        np.testing.assert_allclose(last.parts[1], last.total - own, atol=1e-16)

    def test_a_join_of_several_branches_has_no_skip(self) -> None:
        assert residual_joins(googlenet_digits()) == residual_joins(squeezenet_digits()) == ()

    def test_the_paths_of_a_deep_one_are_counted_exactly(self) -> None:
        counts = path_counts(densenet_bc100())
        assert counts["image", 0] == tuple(math.comb(48, k) for k in range(49))


def chained_densenet() -> Graph:
    """The dense network for digits, with the channels passed on from Concat to Concat."""
    graph = densenet_digits()

    def passed_on(node: Node) -> Node:
        block, layer, _ = (*node.id.split("/"), "", "")[:3]
        if not isinstance(node.layer, L["Concat"]) or layer == "layer1":
            return node
        before = (f"{block}/layer{int(layer[-1]) - 1}/concat", 0)
        return replace(node, inputs=(before, node.inputs[-1]))

    return replace(graph, nodes=tuple(passed_on(node) for node in graph.nodes))


@pytest.mark.parametrize("preactivation", [False, True])
def test_other_forms_of_block_add_up(preactivation: bool) -> None:
    graph = resnet_cifar(20, preactivation=preactivation)
    parameters = initial_parameters(graph, 5)
    x = np.random.default_rng(3).random((1, 3, 32, 32))
    target = np.array([4])
    found = path_parts(graph, parameters, {"image": x}, {"loss": target})
    plan = full_gradients(graph, parameters, x, target)
    assert found[0].counts == tuple(math.comb(9, k) for k in range(10))
    for part in found:
        recorded = plan.gradient(part.ref)[0]
        assert np.abs(part.total - recorded).max() <= 1e-10 * np.abs(recorded).max()


def test_blocks_within_a_block() -> None:
    """A branch that holds a block of its own: 2 + 1 ways, of 0, 1 and 2 branches."""
    linear = L["Linear"](WIDTH)
    graph = Graph(
        inputs=(Input("x", (WIDTH,)),),
        nodes=(
            Node("outer/fc", linear, (("x", 0),)),
            Node("inner/fc", linear, (("outer/fc", 0),)),
            Node("inner/add", L["Add"](), (("inner/fc", 0), ("outer/fc", 0))),
            Node("outer/add", L["Add"](), (("inner/add", 0), ("x", 0))),
            Node("fc", L["Linear"](3), (("outer/add", 0),)),
        ),
        losses=(Loss("loss", CrossEntropy(), ("fc", 0)),),
    )
    parameters = initial_parameters(graph, 2)
    x = np.random.default_rng(0).normal(size=(1, WIDTH))
    outer, inner = path_parts(graph, parameters, {"x": x}, {"loss": np.array([0])})
    assert (outer.block, outer.counts) == ("outer", (1, 1, 1))
    assert (inner.block, inner.counts) == ("inner", (0, 1, 1))
    p = {k: np.asarray(v, np.float64) for k, v in parameters.items()}
    weights = [p[name, "weight"] for name in ("outer/fc", "inner/fc", "fc")]
    plan = full_gradients(graph, parameters, x, np.array([0]))
    sent = plan.gradient(("outer/add", 0))[0]
    first, second = weights[0].T @ sent, weights[0].T @ weights[1].T @ sent
    np.testing.assert_allclose(outer.parts, [sent, first, second], atol=1e-14)


def test_in_little_memory_the_numbers_are_the_same() -> None:
    graph = resnet_digits()
    parameters = initial_parameters(graph, 5)
    x = {"image": np.random.default_rng(3).random((1, 1, 8, 8))}
    target = {"loss": np.array([4])}
    whole = path_parts(graph, parameters, x, target)
    for rows in (1, 3):  # of 4: one by one, and a last batch that is not full
        specs = graph.infer().specs
        row = path_work(graph, specs, graph.costs(specs), 1.0)
        assert row.chunk == 1
        cells = sum(math.prod(spec.shape[1:]) for spec in specs.values())
        memory = 40.0 * cells * rows
        assert path_work(graph, specs, graph.costs(specs), memory).chunk == rows
        some = path_parts(graph, parameters, x, target, memory=memory)
        for a, b in zip(some, whole, strict=True):
            np.testing.assert_allclose(a.parts, b.parts, atol=1e-14 * np.abs(b.parts).max())


def test_the_work_is_known_beforehand_and_can_be_given_up() -> None:
    graph = resnet_digits()
    parameters = initial_parameters(graph, 5)
    x = {"image": np.random.default_rng(3).random((1, 1, 8, 8))}
    target = {"loss": np.array([4])}
    specs = graph.infer().specs
    work = path_work(graph, specs, graph.costs(specs))
    told: list[tuple[int, int]] = []
    measured = path_parts(
        graph, parameters, x, target, keep=False, progress=lambda *now: told.append(now)
    )
    assert told[-1] == (work.multiply_adds, work.multiply_adds)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    kept = path_parts(graph, parameters, x, target)
    assert [p.shares for p in measured] == [p.shares for p in kept]
    assert all(p.parts is None for p in measured)
    with pytest.raises(GraphError, match="parts that were kept"):
        _ = measured[0].total

    def stop(done: int, total: int) -> None:
        if done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        path_parts(graph, parameters, x, target, progress=stop)


def test_no_more_parts_go_through_a_layer_than_have_arrived(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """About half of L + 1 passes: what leaves the last block has crossed one branch at most."""
    graph = resnet_digits()
    rows: list[int] = []
    original = Conv2d.backward

    def counted(self: Conv2d, p: Any, saved: Any, dys: Any, need: Any, ctx: Any = None) -> Any:
        rows.append(len(dys[0]))
        return original(self, p, saved, dys, need, ctx)

    monkeypatch.setattr(Conv2d, "backward", counted)
    x = np.random.default_rng(3).random((1, 1, 8, 8))
    parameters = initial_parameters(graph, 5)
    path_parts(graph, parameters, {"image": x}, {"loss": np.array([4])}, memory=1.0)
    # third block: 2 on its branch; second: 3, and 2 on its shortcut; first: 4; stem: 4
    assert rows == [1] * (2 * 2 + (2 * 3 + 2) + 2 * 4 + 4)
