"""What holds for every layer in the registry: gradients, terms, purity, description."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from engine.gradient_check import gradient_check
from engine.layers import REGISTRY
from engine.layers.base import (
    HyperField,
    HyperparameterError,
    Layer,
    Record,
    ShapeError,
    Spec,
    Term,
    Terms,
    layer_from_dict,
    layer_to_dict,
)
from engine.layers.batch_norm2d import BatchNorm2d


def test_every_registered_layer_has_cases(kind: str, cases: tuple[Any, ...]) -> None:
    own = [case for case in cases if type(case.layer).__name__ == kind]
    assert own, f"{kind} has no case in tests/engine/layers/conftest.py: add some."
    for name in (field.name for field in REGISTRY[kind].hyperparameters()):
        values = {getattr(case.layer, name) for case in own}
        assert len(values) > 1, f"No case changes {kind}.{name}: add one."


ALWAYS_ZERO = {"Constant": ("input 0",), "Where": ("input 0",), "Pick": ("input 1",)}
"""Inputs that decide without a slope."""


def test_gradient_agrees_with_finite_differences(case: Any) -> None:
    report = gradient_check(case.layer, case.inputs(1), case.params(1), ctx=case.ctx, seed=2)
    assert report.passed, str(report)
    whole = {f"input {slot}" for slot in case.layer.index_slots}
    for tensor in report.tensors:
        always_zero = ALWAYS_ZERO.get(type(case.layer).__name__, ())
        if case.flat or tensor.name in whole or tensor.name in always_zero:
            assert tensor.scale == 0, "a whole number or a decision has no slope"
            continue
        assert tensor.scale > 1e-3, f"{tensor.name}: a gradient of zero proves nothing"
        assert tensor.compared >= 0.9 * (tensor.compared + tensor.skipped), str(report)


def test_shapes_and_dtypes_are_as_described(case: Any) -> None:
    for dtype in ("float32", "float64"):
        run = case.run(2, dtype)
        specs = case.layer.outputs(*case.specs(dtype))
        assert [(y.shape, str(y.dtype)) for y in run.result.ys] == [
            (spec.shape, spec.dtype) for spec in specs
        ]
        for x, dx in zip(run.xs, run.grads.dxs, strict=True):
            assert (dx.shape, dx.dtype) == (x.shape, x.dtype)
        described = case.layer.parameters(*case.specs(dtype))
        trained = {name for name, spec in described.items() if spec.kind == "weight"}
        statistics = {name for name in set(described) - trained if described[name].moves}
        assert set(run.grads.dparams) == trained
        assert set(run.result.statistics) == (statistics if case.mode == "train" else set())
        for name, array in {**run.grads.dparams, **run.result.statistics}.items():
            assert (array.shape, str(array.dtype)) == (described[name].shape, dtype)
        sizes = [described[name].size for name in trained]
        assert case.layer.cost(*case.specs(dtype)).parameters == sum(sizes)


def test_float32_agrees_with_float64(case: Any) -> None:
    single, double = case.run(3, "float32"), case.run(3, "float64")
    pairs = list(zip(single.result.ys, double.result.ys, strict=True))
    pairs += list(zip(single.grads.dxs, double.grads.dxs, strict=True))
    pairs += [(single.grads.dparams[k], v) for k, v in double.grads.dparams.items()]
    for ours, reference in pairs:
        assert np.linalg.norm(ours - reference) <= 3e-6 * np.linalg.norm(reference)


def test_a_run_repeats_exactly_and_needs_only_what_is_asked(case: Any) -> None:
    first, second = case.run(4), case.run(4)
    for a, b in zip(first.grads.dxs, second.grads.dxs, strict=True):
        assert np.array_equal(a, b)
    for wanted in range(len(first.xs)):
        need = tuple(i == wanted for i in range(len(first.xs)))
        grads = case.layer.backward(first.params, first.result.saved, first.dys, need, case.ctx)
        for i, dx in enumerate(grads.dxs):
            assert (dx is not None) == need[i]
        assert np.array_equal(grads.dxs[wanted], first.grads.dxs[wanted])
    nothing = case.layer.backward(
        first.params, first.result.saved, first.dys, (False,) * len(first.xs), case.ctx
    )
    assert all(dx is None for dx in nothing.dxs)
    for name, array in nothing.dparams.items():
        assert np.array_equal(array, first.grads.dparams[name])


# ---- terms ---------------------------------------------------------------------------------


def _softmax(terms: Terms) -> float:
    values = [math.exp(t.product) for t in terms.terms]
    assert terms.chosen is not None
    return values[terms.chosen] / sum(values)


def _of_one(function: Callable[[float], float]) -> Callable[[Terms], float]:
    return lambda terms: function(terms.terms[0].product)


def _elu(terms: Terms) -> float:
    x, alpha = (t.product for t in terms.terms)
    return alpha * math.expm1(x)


def _of_two(function: Callable[[float, float], float]) -> Callable[[Terms], float]:
    return lambda terms: function(terms.terms[0].product, terms.terms[1].product)


def _power_mean(terms: Terms) -> float:
    p = int(terms.terms[0].note.removeprefix("p="))
    return float(sum(abs(t.product) ** p for t in terms.terms) ** (1 / p))


def _hard_sigmoid(terms: Terms) -> float:
    x, alpha, beta = (t.product for t in terms.terms)
    return min(max(alpha * x + beta, 0), 1)


def _clip(terms: Terms) -> float:
    x, low, high = (t.product for t in terms.terms)
    return min(max(x, low), high)


def _place(terms: Terms, of: Callable[[list[float]], float]) -> float:
    values = [t.product for t in terms.terms]
    return float(values.index(of(values)))


FORMULAS: dict[str, Callable[[Terms], float]] = {
    "exp(x_i) / Σ_j exp(x_j)": _softmax,
    "1 / (1 + exp(−x))": _of_one(lambda x: 1 / (1 + math.exp(-x))),
    "tanh(x)": _of_one(math.tanh),
    "A · tanh(S · x)": lambda terms: terms.terms[1].product * math.tanh(terms.terms[0].product),
    "x₁ · x₂": lambda terms: terms.terms[0].product * terms.terms[1].product,
    "x_i − log Σ_j exp(x_j)": lambda terms: math.log(_softmax(terms)),
    "α · (exp(x) − 1)": _elu,
    "x₁ / x₂": _of_two(lambda a, b: a / b),
    "x₁ ^ x₂": _of_two(math.pow),
    "min(x₁, x₂)": _of_two(min),
    "x₁ greater x₂": _of_two(lambda a, b: float(a > b)),
    "x₁ greater_equal x₂": _of_two(lambda a, b: float(a >= b)),
    "x₁ less x₂": _of_two(lambda a, b: float(a < b)),
    "x₁ less_equal x₂": _of_two(lambda a, b: float(a <= b)),
    "the place of the largest": lambda terms: _place(terms, max),
    "the place of the smallest": lambda terms: _place(terms, min),
    "the next in order": lambda terms: terms.terms[terms.chosen or 0].product,
    "its place along the axis": lambda terms: float(terms.chosen or 0),
    "|x|": _of_one(abs),
    "−x": _of_one(lambda x: -x),
    "exp(x)": _of_one(math.exp),
    "log(x)": _of_one(math.log),
    "√x": _of_one(math.sqrt),
    "1 / x": _of_one(lambda x: 1 / x),
    "erf(x)": _of_one(math.erf),
    "sin(x)": _of_one(math.sin),
    "cos(x)": _of_one(math.cos),
    "sign(x)": _of_one(lambda x: math.copysign(1.0, x)),
    "⌊x⌋": _of_one(math.floor),
    "⌈x⌉": _of_one(math.ceil),
    "round(x)": _of_one(round),
    "x without its fraction": _of_one(math.trunc),
    "1 where x = 0, else 0": _of_one(lambda x: float(x == 0)),
    "the smallest": lambda terms: min(t.product for t in terms.terms),
    "Π x": lambda terms: math.prod(t.product for t in terms.terms),
    "Σ x²": lambda terms: sum(t.product**2 for t in terms.terms),
    "Σ |x|": lambda terms: sum(abs(t.product) for t in terms.terms),
    "√Σ x²": lambda terms: math.hypot(*(t.product for t in terms.terms)),
    "log Σ x": lambda terms: math.log(sum(t.product for t in terms.terms)),
    "log Σ exp(x)": lambda terms: math.log(sum(math.exp(t.product) for t in terms.terms)),
    "(Σ |x|^p)^(1/p)": _power_mean,
    "log(1 + exp(x))": _of_one(lambda x: math.log1p(math.exp(x))),
    "x / (1 + |x|)": _of_one(lambda x: x / (1 + abs(x))),
    "λ · α · (exp(x) − 1)": _elu,
    "α · (exp(x / α) − 1)": lambda terms: (
        terms.terms[1].product * math.expm1(terms.terms[0].product / terms.terms[1].product)
    ),
    "min(max(α · x + β, 0), 1)": _hard_sigmoid,
    "min(max(x, low), high)": _clip,
}


def combined(terms: Terms) -> float:
    """The number that the terms say they make."""
    if terms.combine == "sum":
        return sum(t.product for t in terms.terms)
    if terms.combine == "max":
        assert terms.chosen is not None
        assert terms.terms[terms.chosen].product == max(t.product for t in terms.terms)
        return terms.terms[terms.chosen].product
    return FORMULAS[terms.formula](terms)


def check_source(term: Term, record: Record) -> None:
    """The number that a term shows is the one recorded at the place that it names."""
    what, *where = term.source
    if what == "input":
        assert term.value == record.xs[where[0]][where[1]]
    elif what == "output_grad":
        dy = record.dys[where[0]]
        assert dy is not None and term.value == dy[where[1]]
    elif what == "param":
        assert math.isclose(term.value, record.params[where[0]][where[1]], abs_tol=1e-12)
    else:
        assert what == "constant"


def random_cells(shape: tuple[int, ...], count: int, seed: int) -> list[tuple[int, ...]]:
    rng = np.random.default_rng(seed)
    flat = rng.permutation(math.prod(shape))[:count]
    return [tuple(int(i) for i in np.unravel_index(f, shape)) for f in flat]


def test_reads_make_the_recorded_output(case: Any) -> None:
    run = case.run(5)
    for sample in range(case.shapes[0][0]):
        record = run.record(sample)
        for port, y in enumerate(record.ys):
            for cell in random_cells(y.shape, 12, sample):
                terms = case.layer.reads(cell, record, port)
                for term in terms.terms:
                    check_source(term, record)
                assert math.isclose(combined(terms), y[cell], rel_tol=1e-12, abs_tol=1e-13)


def test_feeds_add_up_to_the_gradient(case: Any) -> None:
    run = case.run(6)
    for sample in range(case.shapes[0][0]):
        record = run.record(sample)
        for slot, dx in enumerate(run.grads.dxs):
            for cell in random_cells(dx.shape[1:], 12, sample):
                terms = case.layer.feeds(cell, record, slot)
                for term in terms.terms:
                    check_source(term, record)
                assert terms.combine == "sum"
                assert math.isclose(combined(terms), dx[sample][cell], rel_tol=1e-12, abs_tol=1e-13)


def test_gathered_terms_of_all_samples_add_up_to_the_gradient_of_a_parameter(case: Any) -> None:
    run = case.run(6)
    records = [run.record(sample) for sample in range(case.shapes[0][0])]
    for name, gradient in run.grads.dparams.items():
        for index in random_cells(gradient.shape, 12, 1):
            total = 0.0
            for record in records:
                terms = case.layer.gathers(name, index, record)
                for term in terms.terms:
                    check_source(term, record)
                assert terms.combine == "sum"
                total += combined(terms)
            assert math.isclose(total, gradient[index], rel_tol=1e-11, abs_tol=1e-12)


def test_feeds_are_empty_before_backward(case: Any) -> None:
    nothing = (None,) * len(case.layer.outputs(*case.specs()))
    record = case.run(7).record(0)._replace(dys=nothing, batch_dys=nothing)
    cell = (0,) * (len(case.shapes[0]) - 1)
    assert case.layer.feeds(cell, record).terms == ()
    for name, gradient in case.run(7).grads.dparams.items():
        assert case.layer.gathers(name, (0,) * gradient.ndim, record).terms == ()


# ---- description ---------------------------------------------------------------------------


def test_a_layer_is_described_for_a_person(kind: str) -> None:
    cls = REGISTRY[kind]
    assert cls.title and cls.category and cls.slug.isidentifier()
    doc = cls.__doc__ or ""
    for part in ("Gradient", "Source: "):
        assert part in doc, f"{kind}: the docstring lacks {part!r}"
    assert doc.splitlines()[0].endswith(".")
    for field in cls.hyperparameters():
        assert field.help.endswith("."), f"{kind}.{field.name} needs a sentence of help"
    cls()  # every default is legal


EDGES = {
    "AvgPool2d": ("hangs over", "14/9, 30/9, 12/6", "NaN"),
    "BatchNorm2d": ("batch of one picture", "is refused", "NaN"),
    "GlobalMaxPool": ("first in row-major order", "NaN"),
    "LeakyReLU": ("At x = 0", "NaN"),
    "MaxPool2d": (
        "first in row-major order",
        "only in padding",
        "NaN",
        "−∞",
        "ceil_mode",
        "12, 15",
    ),
    "ReLU": ("At x = 0", "NaN"),
}


@pytest.mark.parametrize("name", EDGES)
def test_edges_are_written_down(name: str) -> None:
    text = " ".join((REGISTRY[name].__doc__ or "").split())
    for words in EDGES[name]:
        assert words in text, f"{name}: the docstring lacks {words!r}"


def test_an_empty_batch_is_refused() -> None:
    with pytest.raises(ShapeError, match="at least 1 sample, received one of 0"):
        Spec((0, 3, 4, 4))
    assert "an empty batch is refused" in (Layer.__doc__ or "")


def test_slugs_and_titles_differ() -> None:
    for attribute in ("slug", "title"):
        values = [getattr(cls, attribute) for cls in REGISTRY.values()]
        assert len(values) == len(set(values))


def test_round_trip_through_plain_data(case: Any) -> None:
    data = layer_to_dict(case.layer)
    assert layer_from_dict(data) == case.layer
    with pytest.raises(HyperparameterError, match="received surprise"):
        layer_from_dict({**data, "surprise": 1})


def test_what_a_layer_got_later_is_written_only_where_it_says_something() -> None:
    plain = layer_to_dict(BatchNorm2d())
    assert plain == {"kind": "BatchNorm2d", "eps": 1e-5, "momentum": 0.1}
    assert layer_to_dict(BatchNorm2d(frozen=True)) == {**plain, "frozen": True}


@pytest.mark.parametrize("data", [{}, {"kind": "Nonsense"}, {"kind": None}, {"kind": ["ReLU"]}])
def test_an_unknown_layer_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(HyperparameterError, match="Layer kind: expected one of"):
        layer_from_dict(data)


def wrong_values(field: HyperField) -> list[Any]:
    whole = "float" not in field.type
    step = 1 if whole else 1e-3
    wrong: list[Any] = ["3", None, [3], {}]
    if field.choices:
        return [*wrong, 1]
    if field.type == "bool":
        return [*wrong, 1, 0.0]
    wrong += [math.nan, math.inf, True, *([1.5, 2.0] if whole else [])]
    wrong += [field.low - max(step, 1e-9 * abs(field.low))] if field.low is not None else []
    wrong += [field.high + max(step, 1e-9 * field.high)] if field.high is not None else []
    if "tuple" not in field.type:
        return [*wrong, (1, 1)]
    if field.type.startswith("tuple"):
        # a row of any length
        return [*wrong, 1, (1, "2"), (field.low - 1, 1), (1, field.high + 1)]
    wrong += [(), (1, 1, 1), (1, "2"), (field.low - 1, 1), (1, field.high + 1)]
    return wrong if "..." in field.type else [*wrong, (1, 1, 1, 1), (1,)]


def test_a_hyperparameter_out_of_range_is_refused(kind: str) -> None:
    for field in REGISTRY[kind].hyperparameters():
        if field.type != "bool" and not field.choices:
            assert field.low is not None and field.high is not None
        for value in wrong_values(field):
            with pytest.raises(HyperparameterError, match=rf"({kind}\.)?{field.name}: expected"):
                REGISTRY[kind](**{field.name: value})
                pytest.fail(f"{kind}.{field.name} accepted {value!r}")


def test_limits_themselves_are_accepted(kind: str) -> None:
    for field in REGISTRY[kind].hyperparameters():
        # padding is also bounded by the window or stride
        if field.choices:
            for value in field.choices:
                dataclasses.replace(REGISTRY[kind](), **{field.name: value})
        elif field.type != "bool" and "padding" not in field.name:
            row = field.type.startswith("tuple")
            for limit in (field.low, field.high):
                value = (limit,) if row else limit
                dataclasses.replace(REGISTRY[kind](), **{field.name: value})
