"""Plan.run: phases, sums at forks and shared weights, whole-graph gradients, misuse."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.engine.cases import CASES
from benchmarks.engine.ours import OurSide
from engine.graph import Graph, GraphError, Input, Loss, Node
from engine.kernels import KERNELS
from engine.layers.add import Add
from engine.layers.base import Array, Layer, ShapeError
from engine.layers.batch_norm2d import BatchNorm2d
from engine.layers.concat import Concat
from engine.layers.conv2d import Conv2d
from engine.layers.dropout import Dropout
from engine.layers.flatten import Flatten
from engine.layers.linear import Linear
from engine.layers.max_pool2d import MaxPool2d
from engine.layers.relu import ReLU
from engine.losses import CrossEntropy
from engine.optimizers import SGD
from engine.parameters import ParameterError, initial_parameters
from engine.plan import Batch, BatchError, Plan, RunError, compile, exhaust
from engine.trace import PHASES, Trace

ROOT = Path(__file__).resolve().parents[2]
N = 3


def node(node_id: str, layer: Layer, *sources: str, params: str | None = None) -> Node:
    return Node(node_id, layer, tuple((s, 0) for s in sources), params)


def forked() -> Graph:
    """A stem that three nodes read, a shared convolution, a concat, batch norm, two losses."""
    return Graph(
        inputs=(Input("image", (2, 6, 6)),),
        nodes=(
            node("stem", Conv2d(3, 3, padding=1), "image"),
            node("norm", BatchNorm2d(), "stem"),
            node("relu", ReLU(), "norm"),
            node("a", Conv2d(3, 3, padding=1), "relu"),
            node("b", Conv2d(3, 3, padding=1), "relu", params="a"),
            node("b2", Conv2d(3, 3, padding=1), "b", params="a"),
            node("sum", Add(), "a", "relu"),
            node("join", Concat(), "sum", "b2"),
            node("pool", MaxPool2d(2, 2), "join"),
            node("flat", Flatten(), "pool"),
            node("fc", Linear(4), "flat"),
            node("side", Flatten(), "b"),
            node("aux", Linear(4), "side"),
        ),
        outputs=(("logits", ("fc", 0)), ("aux", ("aux", 0))),
        losses=(
            Loss("main", CrossEntropy(), ("fc", 0)),
            Loss("helper", CrossEntropy(), ("aux", 0), 0.3),
        ),
    )


def batch_of(graph: Graph, seed: int = 0, samples: int = N) -> Batch:
    rng = np.random.default_rng(seed)
    inputs = {i.id: rng.standard_normal((samples, *i.shape)) for i in graph.inputs}
    return Batch(inputs, {x.id: rng.integers(0, 4, samples) for x in graph.losses})


def planned(graph: Graph, seed: int = 1, **options: Any) -> Plan:
    """A float64 plan with random parameters (statistics kept positive)."""
    parameters = initial_parameters(graph, seed, "float64")
    rng = np.random.default_rng(seed)
    moved = {
        k: a + (0.1 * rng.random(a.shape) if k[1].startswith("running") else 0)
        for k, a in parameters.items()
    }
    return compile(graph, moved, batch=N, dtype="float64", **options)


def gradients(plan: Plan, graph: Graph) -> dict[tuple[str, str], Array]:
    exhaust(plan.run(batch_of(graph)))
    return {key: array.copy() for key, array in plan.parameter_gradients().items()}


class TestPhases:
    def test_phases_come_in_order_and_every_operation_once(self) -> None:
        graph = forked()
        plan = planned(graph)
        steps = list(plan.run(batch_of(graph), optimizer=SGD()))
        assert [s.index for s in steps] == list(range(len(steps)))
        assert tuple(s.operation for s in steps) == plan.operations()
        first = [min(s.index for s in steps if s.phase == phase) for phase in PHASES]
        assert first[0] < first[1] < first[2] < first[3] < first[4]
        forward = [s.node for s in steps if s.phase == "forward"]
        assert forward == [n.id for n in graph.order]
        assert {s.node for s in steps if s.phase == "backward"} == {*forward, "main", "helper"}
        last_backward = max(s.index for s in steps if s.phase in ("backward", "accumulate"))
        assert all((s.index > last_backward) == (s.phase == "update") for s in steps)

    @pytest.mark.parametrize(
        ("options", "phases"),
        [
            ({}, {"forward", "loss", "backward", "accumulate"}),
            ({"backward": False}, {"forward", "loss"}),
            ({"optimizer": SGD()}, set(PHASES)),
        ],
    )
    def test_what_is_asked_for_decides_the_phases(
        self, options: dict[str, Any], phases: set[str]
    ) -> None:
        graph = forked()
        assert {s.phase for s in planned(graph).run(batch_of(graph), **options)} == phases

    def test_without_targets_the_run_ends_after_forward(self) -> None:
        graph = forked()
        steps = list(planned(graph).run(Batch(batch_of(graph).inputs), optimizer=SGD()))
        assert {s.phase for s in steps} == {"forward"}

    def test_steps_are_carried_out_one_at_a_time(self) -> None:
        graph = forked()
        plan = planned(graph)
        run = plan.run(batch_of(graph))
        assert next(run).node == "stem"
        plan.value(("stem", 0))
        with pytest.raises(KeyError):
            plan.value(("norm", 0))


class TestAccumulate:
    def test_k_readers_make_k_minus_1_sums_with_the_right_values(self) -> None:
        graph = forked()
        trace, plan = Trace(), planned(graph)
        exhaust(plan.run(batch_of(graph), trace=trace))
        for ref, count in ({("relu", 0): 3, ("b", 0): 2}).items():
            sums = [s for s in trace.steps if s.phase == "accumulate" and s.node == ref[0]]
            assert len(sums) == count - 1 == len(graph.readers[ref]) - 1
            parts = [trace.at(key) for s in sums for key in s.reads if key.kind == "part"]
            assert len(parts) == count
            for step in sums:
                left, right = (trace.at(key) for key in step.reads)
                np.testing.assert_array_equal(trace.at(step.writes[0]), left + right)
            total = trace.look("grad", ref)
            assert total is not None and np.abs(total).max() > 1e-3
            np.testing.assert_allclose(total, sum(parts), rtol=1e-12, atol=1e-15)
        singles = {s.node for s in trace.steps if s.phase == "accumulate"}
        assert singles == {"relu", "b", "a"}

    def test_three_sharers_make_two_sums_for_each_parameter(self) -> None:
        graph = forked()
        trace, plan = Trace(), planned(graph)
        exhaust(plan.run(batch_of(graph), trace=trace))
        for name in ("weight", "bias"):
            sums = [s for s in trace.steps if s.writes[0].ref == ("a", name)]
            assert [s.phase for s in sums] == ["accumulate"] * 2
            parts = [trace.look("param_part", (n, name)) for n in ("a", "b", "b2")]
            assert all(part is not None and np.abs(part).max() > 1e-6 for part in parts)
            total = plan.parameter_gradients()["a", name]
            np.testing.assert_allclose(total, np.sum(parts, axis=0), rtol=1e-12)
            np.testing.assert_array_equal(trace.look("param_grad", ("a", name)), total)


class TestGradients:
    @pytest.mark.parametrize("mode", ["train", "eval"])
    @pytest.mark.parametrize("plain", [True, False])
    def test_finite_differences_of_the_whole_graph(self, mode: Any, plain: bool) -> None:
        graph = forked()
        pin = {n.id: "plain" for n in graph.nodes} if plain else {}
        plan, batch = planned(graph, mode=mode, pin=pin), batch_of(graph)
        exhaust(plan.run(batch))
        found = {k: g.copy() for k, g in plan.parameter_gradients().items()}
        dx = np.array(plan.gradient(("image", 0)))
        rng, h = np.random.default_rng(2), 1e-6

        def loss_at(parameters: dict[tuple[str, str], Array], x: Array) -> float:
            other = compile(graph, parameters, batch=N, mode=mode, dtype="float64", pin=pin)
            exhaust(other.run(Batch({"image": x}, batch.targets), backward=False))
            return other.loss()

        def slope(key: tuple[str, str] | None, way: Array) -> float:
            ends = []
            for sign in (h, -h):
                parameters, x = plan.parameters(), np.array(batch.inputs["image"])
                if key is None:
                    x += sign * way
                else:
                    parameters[key] = parameters[key] + sign * way
                ends.append(loss_at(parameters, x))
            return (ends[0] - ends[1]) / (2 * h)

        for key, gradient in [*found.items(), (None, dx)]:
            way = rng.standard_normal(gradient.shape)
            expected = float((gradient * way).sum())
            # a bias before batch norm in training moves nothing: the scale is the gradient's terms
            scale = max(float(np.abs(gradient * way).sum()), 1e-3)
            assert abs(slope(key, way) - expected) <= 1e-6 * scale, key
        assert max(float(np.abs(g).max()) for g in found.values()) > 1e-2

    def test_losses_add_with_their_weights(self) -> None:
        graph = forked()
        plan = planned(graph)
        trace = Trace()
        exhaust(plan.run(batch_of(graph), trace=trace))
        losses = {x.id: float(np.asarray(trace.look("value", (x.id, 0)))) for x in graph.losses}
        assert losses["main"] > 0.1 and losses["helper"] > 0.1
        assert plan.loss() == pytest.approx(losses["main"] + 0.3 * losses["helper"], rel=1e-12)
        # only the main loss reads fc, so the helper's presence must not change its gradient
        alone = Graph(graph.inputs, graph.nodes, graph.outputs, graph.losses[:1])
        mixed, single = gradients(planned(graph), graph), gradients(planned(alone), alone)
        np.testing.assert_allclose(mixed["fc", "weight"], single["fc", "weight"], rtol=1e-12)
        assert np.abs(mixed["stem", "weight"] - single["stem", "weight"]).max() > 1e-3

    def test_a_loss_of_twice_the_weight_has_twice_the_gradient(self) -> None:
        graph = forked()
        heavy = Graph(
            graph.inputs,
            graph.nodes,
            graph.outputs,
            tuple(Loss(x.id, x.function, x.input, 2 * x.weight) for x in graph.losses),
        )
        light, double = gradients(planned(graph), graph), gradients(planned(heavy), heavy)
        for key, gradient in light.items():
            np.testing.assert_allclose(double[key], 2 * gradient, rtol=1e-9, atol=1e-14)

    def test_leaving_out_input_gradients_leaves_the_others_as_they_are(self) -> None:
        graph = forked()
        with_input, without = planned(graph), planned(graph, input_gradients=False)
        a, b = gradients(with_input, graph), gradients(without, graph)
        for key in a:
            np.testing.assert_array_equal(a[key], b[key])
        assert with_input.gradient(("image", 0)) is not None
        assert without.gradient(("image", 0)) is None
        stem = next(o for o in without.operations() if (o.phase, o.node) == ("backward", "stem"))
        assert all(w.kind == "param_grad" for w in stem.writes)

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_traced_and_untraced_runs_agree_exactly(self, dtype: str) -> None:
        graph, results = forked(), []
        for trace in (None, Trace()):
            plan = compile(graph, initial_parameters(graph, 3), batch=N, dtype=dtype)
            for seed in range(3):
                exhaust(plan.run(batch_of(graph, seed), optimizer=SGD(0.05), trace=trace))
            results.append((plan.parameter_gradients(), plan.parameters(), plan.loss()))
        for untraced, traced in zip(results[0][:2], results[1][:2], strict=True):
            for key in untraced:
                np.testing.assert_array_equal(untraced[key], traced[key])
        assert results[0][2] == results[1][2]

    def test_fast_and_plain_forms_agree(self) -> None:
        graph = forked()
        fast, plain = planned(graph), planned(graph, pin={n.id: "plain" for n in graph.nodes})
        assert {c.kernel for c in plain.choices} == {"plain"}
        assert {c.kernel for c in fast.choices} >= {"tiled maxima", "relu", "add", "gemm", "rows"}
        a, b = gradients(fast, graph), gradients(plain, graph)
        for key in a:
            np.testing.assert_allclose(a[key], b[key], rtol=1e-9, atol=1e-13)

    def test_a_tensor_that_no_loss_reads_gets_no_gradient(self) -> None:
        graph = forked().add(node("dead", ReLU(), "relu"))
        plan = planned(graph)
        alive = gradients(planned(forked()), forked())
        for key, gradient in gradients(plan, graph).items():
            np.testing.assert_array_equal(gradient, alive[key])
        assert plan.gradient(("dead", 0)) is None
        assert not any(o.node == "dead" and o.phase == "backward" for o in plan.operations())


class TestRunning:
    def test_an_abandoned_run_leaves_no_mark(self) -> None:
        graph = forked()
        plan, fresh = planned(graph), planned(graph)
        run = plan.run(batch_of(graph, 9))
        for _ in range(17):
            next(run)
        run.close()
        abandoned, clean = gradients(plan, graph), gradients(fresh, graph)
        for key in clean:
            np.testing.assert_array_equal(abandoned[key], clean[key])

    def test_an_overtaken_run_says_so(self) -> None:
        graph = forked()
        plan = planned(graph)
        early = plan.run(batch_of(graph))
        next(early)
        exhaust(plan.run(batch_of(graph)))
        with pytest.raises(RunError, match="Exhaust or close"):
            next(early)

    def test_no_argument_is_written_to(self) -> None:
        graph = forked()
        parameters = initial_parameters(graph, 0)
        batch = batch_of(graph)
        arrays = [*parameters.values(), *batch.inputs.values(), *batch.targets.values()]
        before = [a.copy() for a in arrays]
        for array in arrays:
            array.flags.writeable = False
        plan = compile(graph, parameters, batch=N)
        for trace in (None, Trace()):
            exhaust(plan.run(batch, optimizer=SGD(0.1), trace=trace))
        for old, array in zip(before, arrays, strict=True):
            np.testing.assert_array_equal(old, array)

    def test_the_same_key_gives_the_same_randomness(self) -> None:
        graph = forked().insert(Node("drop", Dropout(0.5), ()), "fc", 0)
        plan = planned(graph)

        def logits(key: tuple[int, int]) -> Array:
            exhaust(plan.run(batch_of(graph), key=key, backward=False))
            return plan.output("logits").copy()

        np.testing.assert_array_equal(logits((4, 2)), logits((4, 2)))
        assert not np.array_equal(logits((4, 2)), logits((4, 3)))
        assert not np.array_equal(logits((4, 2)), logits((5, 2)))

    def test_training_lowers_the_loss(self) -> None:
        graph = forked()
        plan, losses = planned(graph), []
        for _ in range(30):
            exhaust(plan.run(batch_of(graph), optimizer=SGD(0.05)))
            losses.append(plan.loss())
        assert losses[-1] < 0.5 * losses[0]

    def test_running_statistics_move_in_training_only(self) -> None:
        graph = forked()
        for mode, moves in (("train", True), ("eval", False)):
            plan = planned(graph, mode=mode)
            before = plan.parameters()["norm", "running_mean"]
            exhaust(plan.run(batch_of(graph), optimizer=SGD(0.1)))
            after = plan.parameters()["norm", "running_mean"]
            assert np.array_equal(before, after) != moves

    def test_a_network_without_a_loss_runs_forward(self) -> None:
        graph = Graph(forked().inputs, forked().nodes, forked().outputs)
        plan = planned(graph)
        exhaust(plan.run(batch_of(graph), optimizer=SGD(0.1)))
        assert plan.output().shape == (N, 4)


class TestMisuse:
    @pytest.mark.parametrize(
        ("inputs", "words"),
        [
            ({}, "received none"),
            ({"image": np.zeros((N, 2, 6, 5))}, r"expected shape \(3, 2, 6, 6\)"),
            ({"image": np.zeros((2, 2, 6, 6))}, "samples first"),
            ({"image": np.zeros((0, 2, 6, 6))}, r"received \(0, 2, 6, 6\)"),
            ({"image": np.full((N, 2, 6, 6), "x")}, "expected numbers"),
            ({"image": np.zeros((N, 2, 6, 6), complex)}, "expected numbers"),
        ],
    )
    def test_a_batch_that_does_not_fit(self, inputs: dict[str, Array], words: str) -> None:
        plan = planned(forked())
        with pytest.raises(BatchError, match=words):
            next(plan.run(Batch(inputs)))

    def test_a_missing_target_is_named(self) -> None:
        graph = forked()
        batch = batch_of(graph)
        with pytest.raises(BatchError, match="helper"):
            next(planned(graph).run(Batch(batch.inputs, {"main": batch.targets["main"]})))

    def test_a_failed_run_leaves_the_plan_usable(self) -> None:
        graph = forked()
        plan = planned(graph)
        with pytest.raises(BatchError):
            next(plan.run(Batch({})))
        batch = batch_of(graph)
        bad = Batch(batch.inputs, {x: np.full(N, 99) for x in batch.targets})
        with pytest.raises(ValueError, match="0 to 3"):
            exhaust(plan.run(bad))
        a, b = gradients(plan, graph), gradients(planned(graph), graph)
        for key in a:
            np.testing.assert_array_equal(a[key], b[key])

    def test_compile_refuses_what_cannot_run(self) -> None:
        graph = forked()
        parameters = initial_parameters(graph, 0)
        with pytest.raises(BatchError, match="received 0"):
            compile(graph, parameters, batch=0)
        with pytest.raises(ParameterError, match="float16"):
            compile(graph, parameters, dtype="float16")
        with pytest.raises(ParameterError, match="weight of stem"):
            compile(graph, {k: a for k, a in parameters.items() if k != ("stem", "weight")})
        with pytest.raises(ShapeError, match="at stem"):
            compile(graph.replace_node("stem", layer=Conv2d(3, 20)), parameters)
        with pytest.raises(GraphError, match="expected 1"):
            compile(graph.disconnect("relu", 0), parameters)


class TestChoice:
    def test_explain_names_the_kernel_of_every_node(self) -> None:
        lines = planned(forked()).explain().splitlines()
        assert [line.split()[0] for line in lines] == [n.id for n in forked().order]
        assert next(line for line in lines if line.startswith("pool")).endswith("tiled maxima")

    @pytest.mark.parametrize("kernel", ["im2col", "banded", "plain"])
    def test_a_pinned_kernel_runs(self, kernel: str) -> None:
        plan = planned(forked(), pin={"stem": kernel})
        assert {c.node: c.kernel for c in plan.choices}["stem"] == kernel

    def test_a_kernel_that_does_not_serve_is_refused(self) -> None:
        with pytest.raises(GraphError, match="Pin 'plain'"):
            planned(forked(), pin={"stem": "tiled maxima"})
        with pytest.raises(GraphError, match="nobody"):
            planned(forked(), pin={"nobody": "plain"})

    @pytest.mark.parametrize(
        ("text", "wanted"),
        [
            ("plain", {"stem": "plain", "pool": "plain"}),
            ("stem=im2col, elsewhere = banded,", {"stem": "im2col", "pool": "tiled maxima"}),
            ("", {"stem": "banded", "pool": "tiled maxima"}),
        ],
    )
    def test_the_environment_pins_kernels_where_no_argument_does(
        self, text: str, wanted: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GRADIENT_FLOW_KERNELS", text)
        plan = planned(forked())
        chosen = {c.node: c.kernel for c in plan.choices}
        assert {node: chosen[node] for node in wanted} == wanted
        if text == "plain":
            assert set(chosen.values()) == {"plain"}
        given = planned(forked(), pin={"stem": "plain"}).choices
        assert {c.node: c.kernel for c in given}["pool"] == "tiled maxima"

    @pytest.mark.parametrize("text", ["banded", "=banded", "stem="])
    def test_what_pins_nothing_is_refused(self, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GRADIENT_FLOW_KERNELS", text)
        with pytest.raises(GraphError, match="GRADIENT_FLOW_KERNELS: expected plain, or entries"):
            planned(forked())
        monkeypatch.setenv("GRADIENT_FLOW_KERNELS", "stem=tiled maxima")
        with pytest.raises(GraphError, match="Pin 'plain'"):
            planned(forked())

    def test_kernel_names_are_unique(self) -> None:
        assert len({k.name for k in KERNELS} | {"plain"}) == len(KERNELS) + 1


# ---- the only way to run a network ---------------------------------------------------------


def callers(folder: Path) -> Iterator[tuple[str, str]]:
    """(file, call) of every call of a method named forward or backward below a folder."""
    paths = [folder] if folder.suffix else sorted(folder.rglob("*.py"))
    for path in paths:
        for found in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(found, ast.Call)
                and isinstance(found.func, ast.Attribute)
                and found.func.attr in ("forward", "backward")
            ):
                yield path.relative_to(ROOT).as_posix(), ast.unparse(found)


def test_only_the_binding_calls_layers() -> None:
    """Nothing but the plan's binding (and a form that falls back on its layer) runs a layer."""
    allowed = ("engine/binding.py", "engine/kernels/", "engine/layers/")
    found = [
        call
        for place in ("engine", "explorer", "main.py", "resources", "benchmarks")
        for call in callers(ROOT / place)
        if not call[0].startswith(allowed)
    ]
    apart = {
        # PyTorch's own backward, on the other side of the comparison
        ("benchmarks/engine/theirs.py", "self.loss.backward()"),
        # turns the scores of a finished run into the percentages that are printed
        ("engine/cli/step.py", "Softmax().forward({}, scores)"),
        # takes a gradient apart, back through what a run has kept
        (
            "engine/paths.py",
            "node.layer.backward(p, saved, tuple(some), (True,) * len(sent), ctx)",
        ),
    }
    # one layer around given arrays, not a network: finite differences, the share that one position
    # has in the gradient of a weight, the other kind of pooling
    one_layer = (
        *("engine/gradient_check.py", "engine/node_check.py"),
        *("engine/inside.py", "engine/other_pooling.py"),
    )
    assert [c for c in found if c not in apart and c[0] not in one_layer] == []
    assert any(c[0] == "engine/binding.py" for c in callers(ROOT / "engine"))


def test_the_benchmark_exhausts_plan_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training, the command line and the window have the same test beside their own."""
    runs = []
    original = Plan.run

    def counted(self: Plan, *arguments: Any, **named: Any) -> Any:
        for step in original(self, *arguments, **named):
            runs.append(step)
            yield step

    monkeypatch.setattr(Plan, "run", counted)
    case = CASES[0]
    for traced in (False, True):
        runs.clear()
        side = OurSide(case, traced)
        side()
        loss = side.outcome().loss
        assert loss is not None and loss > 0.1
        assert {step.phase for step in runs} == set(PHASES) - {"accumulate"}
