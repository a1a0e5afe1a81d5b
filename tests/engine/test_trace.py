"""The trace: look-ups equal what was there, on screen, on disk and as text."""

from __future__ import annotations

import contextlib
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import plan as plan_module
from engine.graph import Graph, Input, Loss, Node
from engine.layers.add import Add
from engine.layers.base import Array
from engine.layers.batch_norm2d import BatchNorm2d
from engine.layers.conv2d import Conv2d
from engine.layers.flatten import Flatten
from engine.layers.linear import Linear
from engine.layers.max_pool2d import MaxPool2d
from engine.layers.relu import ReLU
from engine.losses import CrossEntropy
from engine.optimizers import SGD
from engine.parameters import initial_parameters
from engine.plan import Batch, Plan, compile, exhaust
from engine.trace import Key, Trace, TraceError


def network() -> Graph:
    """Convolution, batch norm, a fork and its Add, pooling, a fully connected layer."""
    return Graph(
        (Input("image", (1, 8, 8)),),
        (
            Node("conv", Conv2d(3, 3, padding=1), (("image", 0),)),
            Node("norm", BatchNorm2d(), (("conv", 0),)),
            Node("relu", ReLU(), (("norm", 0),)),
            Node("conv2", Conv2d(3, 3, padding=1), (("relu", 0),)),
            Node("add", Add(), (("conv2", 0), ("relu", 0))),
            Node("pool", MaxPool2d(2, 2), (("add", 0),)),
            Node("flatten", Flatten(), (("pool", 0),)),
            Node("fc", Linear(4), (("flatten", 0),)),
        ),
        (("logits", ("fc", 0)),),
        (Loss("loss", CrossEntropy(), ("fc", 0)),),
    )


def planned() -> Plan:
    graph = network()
    return compile(graph, initial_parameters(graph, 5), batch=3)


def batch(seed: int) -> Batch:
    rng = np.random.default_rng(seed)
    return Batch.of(network(), rng.standard_normal((3, 1, 8, 8)), rng.integers(0, 4, 3))


OPTIMIZER = SGD(0.1, 0.9)


def witnessed(plan: Plan, trace: Trace) -> list[tuple[int, Key, Array]]:
    """Two training steps; what the plan itself held when each step had run, as copies."""
    seen: list[tuple[int, Key, Array]] = []
    for seed in range(2):
        for step in plan.run(batch(seed), optimizer=OPTIMIZER, trace=trace):
            for key in step.writes:
                now: Any = None
                if key.kind == "value" and key.ref[0] != "loss":
                    now = plan.value(key.ref)
                elif key.kind == "grad":
                    now = plan.gradient(key.ref)
                elif key.kind == "param_grad":
                    now = plan.parameter_gradients()[key.ref]
                elif key.kind in ("param", "statistic"):
                    now = plan.weights[key.ref]
                if now is not None:
                    seen.append((len(trace), key, now.copy()))
    exhaust(plan.run(batch(7), optimizer=OPTIMIZER))  # writes to every buffer once more
    return seen


def forty(seen: list[tuple[int, Key, Array]], seed: int) -> list[tuple[int, Key, Array]]:
    picked = np.random.default_rng(seed).choice(len(seen), 40, replace=False)
    return [seen[i] for i in picked]


def look_up(trace: Trace, seen: list[tuple[int, Key, Array]]) -> None:
    for position, key, copy in seen:
        np.testing.assert_array_equal(trace.at(key), copy)
        np.testing.assert_array_equal(trace.look(key.kind, key.ref, position), copy)
        assert trace.position_of(key) == position


class TestLookUps:
    @pytest.mark.parametrize("seed", range(3))
    def test_forty_look_ups_after_two_training_steps(self, seed: int) -> None:
        trace = Trace()
        seen = witnessed(planned(), trace)
        picked = forty(seen, seed)
        assert {key.kind for _, key, _ in picked} >= {"value", "grad", "param", "param_grad"}
        look_up(trace, picked)
        kinds = {key.kind for _, key, _ in seen}
        assert kinds == {"value", "grad", "param", "param_grad", "statistic"}
        look_up(trace, [s for s in seen if s[1].kind == "statistic"])

    def test_the_look_ups_notice_a_buffer_that_is_used_again(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(plan_module.Keeper, "__call__", lambda self, array: array)
        trace = Trace()
        seen = witnessed(planned(), trace)
        with pytest.raises(AssertionError):
            look_up(trace, forty(seen, 0))

    def test_the_look_ups_notice_parameters_that_move_in_place(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        plan, trace = planned(), Trace()
        monkeypatch.setattr(plan.weights, "hold", lambda: None)
        seen = witnessed(plan, trace)
        with pytest.raises(AssertionError):
            look_up(trace, [s for s in seen if s[1].kind == "param"])

    def test_parameters_before_and_after_the_update(self) -> None:
        trace, plan = Trace(), planned()
        before = plan.parameters()
        exhaust(plan.run(batch(0), optimizer=OPTIMIZER, trace=trace))
        for key, old in before.items():
            kind = "param" if key[1] in ("weight", "bias") else "statistic"
            np.testing.assert_array_equal(trace.look(kind, key, 0), old)
            np.testing.assert_array_equal(trace.look(kind, key), plan.parameters()[key])
            if kind == "param":
                gradient = trace.look("param_grad", key)
                assert gradient is not None
                np.testing.assert_allclose(plan.parameters()[key], old - 0.1 * gradient, atol=1e-6)
            else:
                assert np.abs(plan.parameters()[key] - old).max() > 1e-4

    def test_stepping_back_shows_what_was_there(self) -> None:
        trace, plan = Trace(), planned()
        exhaust(plan.run(batch(0), trace=trace))
        places = {(s.phase, s.node): s.index for s in trace.steps}
        forward = places["forward", "norm"]
        assert trace.look("value", ("norm", 0), forward) is None
        assert trace.look("value", ("norm", 0), forward + 1) is not None
        assert trace.look("grad", ("relu", 0), places["backward", "add"]) is None
        assert trace.look("value", ("image", 0), 0) is not None

    def test_a_second_run_has_versions_of_its_own(self) -> None:
        trace, plan = Trace(), planned()
        lengths = []
        for seed in range(2):
            exhaust(plan.run(batch(seed), optimizer=OPTIMIZER, trace=trace))
            lengths.append(len(trace))
        first = trace.look("value", ("fc", 0), lengths[0])
        second = trace.look("value", ("fc", 0))
        assert first is not None and second is not None and np.abs(first - second).max() > 1e-3
        key = trace.latest("grad", ("fc", 0), lengths[0] + 1)
        assert key is not None and trace.position_of(key) <= lengths[0]  # of the run before

    def test_every_step_reads_what_is_there_and_writes_what_is_new(self) -> None:
        trace, plan = Trace(), planned()
        written: set[Key] = set()
        for seed in range(2):
            exhaust(plan.run(batch(seed), optimizer=OPTIMIZER, trace=trace))
        for position, step in enumerate(trace.steps):
            for key in step.reads:
                assert trace.position_of(key) <= position, (str(step), key)
            for key in step.writes:
                assert key not in written and trace.position_of(key) == position + 1
                written.add(key)

    def test_arrays_are_read_only(self) -> None:
        trace, plan = Trace(), planned()
        exhaust(plan.run(batch(0), optimizer=OPTIMIZER, trace=trace))
        for key in list(trace.keys()):
            with pytest.raises(ValueError, match="read-only"):
                trace.at(key)[...] = 0

    def test_an_array_under_several_names_is_held_once(self) -> None:
        """What backward saved is the value itself; Add hands one gradient to both inputs."""
        trace, plan = Trace(), planned()
        exhaust(plan.run(batch(0), trace=trace))

        def base(key: Key) -> int:
            return int(trace.at(key).__array_interface__["data"][0])

        assert base(Key("saved", ("relu", "y"), 0)) == base(Key("value", ("relu", 0), 0))
        assert base(Key("saved", ("pool", "x"), 0)) == base(Key("value", ("add", 0), 0))
        assert base(Key("grad", ("add", 0), 0)) == base(Key("grad", ("conv2", 0), 0))

    def test_the_record_around_a_node(self) -> None:
        trace, plan = Trace(), planned()
        graph = network()
        exhaust(plan.run(batch(0), trace=trace))
        assert trace.around(graph.node("conv"), 0) is None
        early = trace.around(graph.node("conv"), 1)
        late = trace.around(graph.node("conv"), sample=2)
        assert early is not None and early.dys == (None,)
        assert late is not None and late.dys[0] is not None
        np.testing.assert_array_equal(late.ys[0], plan.value(("conv", 0))[2])
        assert set(late.params) == {"weight", "bias"} and set(late.saved) == {"x"}

    def test_the_argmax_of_a_fast_pool_is_the_layers(self) -> None:
        trace, plan = Trace(), planned()
        exhaust(plan.run(batch(0), trace=trace))
        x = trace.look("value", ("add", 0))
        assert x is not None
        exhaust(plan.run(batch(1)))
        expected = MaxPool2d(2, 2).forward({}, x).saved["argmax"]
        np.testing.assert_array_equal(trace.look("saved", ("pool", "argmax")), expected)


class TestFile:
    def test_round_trip(self, tmp_path: Path) -> None:
        trace, path = Trace(), tmp_path / "run.trace"
        seen = witnessed(planned(), trace)
        trace.save(path)
        loaded = Trace.load(path)
        assert loaded.steps == trace.steps
        assert list(loaded.keys()) == list(trace.keys())
        look_up(loaded, seen)
        for position in range(0, len(trace), 7):
            for key in list(trace.keys()):
                assert loaded.latest(key.kind, key.ref, position) == trace.latest(
                    key.kind, key.ref, position
                )
        assert list(loaded.lines()) == list(trace.lines())
        assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["run.trace"]

    def saved(self, folder: Path) -> Path:
        trace, path = Trace(), folder / "run.trace"
        exhaust(planned().run(batch(0), trace=trace))
        trace.save(path)
        return path

    @pytest.mark.parametrize("keep", [0, 10, 1000, -1])
    def test_a_truncated_file(self, tmp_path: Path, keep: int) -> None:
        path = self.saved(tmp_path)
        path.write_bytes(path.read_bytes()[:keep])
        with pytest.raises(TraceError, match=r"run\.trace.*Save the run again"):
            Trace.load(path)

    def test_a_flipped_byte_gives_a_trace_error_or_the_trace(self, tmp_path: Path) -> None:
        path = self.saved(tmp_path)
        data, rng = path.read_bytes(), np.random.default_rng(0)
        for place in rng.integers(0, len(data), 60):
            spoiled = bytearray(data)
            spoiled[place] ^= 0xFF
            path.write_bytes(spoiled)
            with contextlib.suppress(TraceError):
                assert len(Trace.load(path)) > 0

    @pytest.mark.parametrize("text", ["", "hello", "[]", "{}", '{"format": 1, "version": 1}'])
    def test_another_file(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "other"
        path.write_text(text)
        with pytest.raises(TraceError, match="other"):
            Trace.load(path)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("trace.json", text)
        with pytest.raises(TraceError, match="other"):
            Trace.load(path)

    def test_a_later_version_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "later"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(
                "trace.json", json.dumps({"format": "gradient-flow-trace", "version": 9})
            )
        with pytest.raises(TraceError, match="9. Use a newer program"):
            Trace.load(path)

    def test_a_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(TraceError, match="nowhere"):
            Trace.load(tmp_path / "nowhere")

    def test_a_failed_save_leaves_the_old_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = self.saved(tmp_path)
        before = path.read_bytes()
        trace = Trace()
        exhaust(planned().run(batch(1), trace=trace))

        def full(*_: Any, **__: Any) -> None:
            raise OSError("No space left on device")

        monkeypatch.setattr(np.lib.format, "write_array", full)
        with pytest.raises(OSError, match="No space"):
            trace.save(path)
        assert path.read_bytes() == before
        assert [p for p in tmp_path.iterdir() if p.is_file()] == [path]


class TestText:
    def test_a_line_a_step_with_shape_and_range(self) -> None:
        trace, plan = Trace(), planned()
        exhaust(plan.run(batch(0), optimizer=OPTIMIZER, trace=trace))
        lines = list(trace.lines())
        assert len(lines) == len(trace)
        y = plan.value(("conv", 0))
        assert f"value conv 3×8×8 [{y.min():.4g}, {y.max():.4g}]" in lines[0]
        loss = next(line for line in lines if " loss  " in line and "forward" not in line)
        assert f"{plan.loss():.6g}" in loss

    def test_a_step_names_its_reads_and_writes(self) -> None:
        steps = list(planned().run(batch(0)))
        assert str(steps[0]).split() == [
            *("0", "forward", "conv", "value", "image,", "param", "conv.weight,"),
            *("param", "conv.bias", "→", "value", "conv"),
        ]


def test_what_a_node_sent_is_known_from_its_backward_step_on() -> None:
    plan, trace = planned(), Trace()
    for seed in (1, 2):
        exhaust(plan.run(batch(seed), trace=trace))
    back = [at for at, s in enumerate(trace.steps) if (s.phase, s.node) == ("backward", "conv2")]
    kinds = ["part", "param_grad", "param_grad"]
    assert [key.kind for key in trace.sent("conv2")] == kinds
    assert trace.sent("conv2", back[0]) == () == trace.sent("nobody")
    for run, at in enumerate(back):
        for position in (at + 1, len(trace) if run else back[1]):
            assert trace.sent("conv2", position) == trace.steps[at].writes
    assert trace.sent("loss")[0].ref == ("fc", 0)
