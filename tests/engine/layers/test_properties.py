"""What holds for every registered layer whatever its settings and shapes, on random ones."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine.gradient_check import gradient_check
from engine.layers import REGISTRY
from engine.layers.base import (
    Array,
    HyperField,
    HyperparameterError,
    Layer,
    Record,
    ShapeError,
    Spec,
    Term,
    Terms,
)

Shapes = tuple[tuple[int, ...], ...]
Made = tuple[Layer, Shapes, str, int]

CELLS = 90
"""A difference is measured for each cell, so that larger inputs would take seconds."""

LIMITS: dict[str, tuple[float, float]] = {
    "out_channels": (1, 6),
    "groups": (1, 3),
    "LRN.size": (1, 7),
    # beyond these the divisor is near 0 or overflows, where no difference can be measured
    "LRN.k": (0.5, 3.0),
    "LRN.beta": (0.1, 2.0),
    "LRN.alpha": (0.01, 2.0),
    "BatchNorm2d.eps": (1e-5, 0.5),
    "Tanh.amplitude": (0.1, 5.0),
    "Arithmetic.value": (0.5, 3.0),
    "Compare.value": (-3.0, 3.0),
    "Where.otherwise": (-3.0, 3.0),
    "Clip.low": (-3.0, 0.0),
    "Clip.high": (0.5, 3.0),
    "Interpolate.row_scale": (0.5, 3.0),
    "Interpolate.column_scale": (0.5, 3.0),
    "Interpolate.cubic": (-1.0, 0.0),
    "LpPool2d.p": (1, 4),
    "HardSigmoid.alpha": (0.1, 1.0),
    "HardSigmoid.beta": (-1.0, 1.0),
    "ThresholdedReLU.alpha": (-2.0, 2.0),
    "FeatureNorm.eps": (1e-5, 0.5),
    "StridedSlice.step": (-2, 2),
    "CELU.alpha": (0.1, 2.0),
    "Tanh.steepness": (0.1, 3.0),
}
"""Where a hyper-parameter's own range is too wide to compute with; by name, or layer and name."""

WIDTHS = st.tuples(*[st.integers(-1, 2)] * 3)
OWN: dict[str, st.SearchStrategy[Any]] = {
    "Permute.order": st.sampled_from((2, 3)).flatmap(
        lambda rank: st.permutations(range(1, rank + 1)).map(tuple)
    ),
    "View.shape": st.sampled_from(((-1,), (1, -1), (-1, 2), (2, -1, 3), (2, 2, 2))),
    "Frame.before": WIDTHS,
    "Frame.after": WIDTHS,
    "Frame.value": st.floats(-9, 9),
    # that several parts come out is tested by the cases
    "Split.sizes": st.just((-1,)),
}
"""Hyper-parameters whose values would hardly ever fit if they were drawn one by one."""

SWALLOWS_NAN = {"ArgMax", "Compare", "Pick", "TopK"}
"""What NaN is compared with is neither larger nor smaller: the answer is no, a number. A place is
a number too, and one that is none leads nowhere; in an order each changes the others' places."""


# ---- drawing a layer and what it may read --------------------------------------------------


def values(kind: str, field: HyperField) -> st.SearchStrategy[Any]:
    """Values of a hyper-parameter, from its own type, range and choices."""
    own = OWN.get(f"{kind}.{field.name}")
    if own is not None:
        return own
    if field.choices:
        return st.sampled_from(field.choices)
    if field.type == "bool":
        return st.booleans()
    low, high = LIMITS.get(f"{kind}.{field.name}") or LIMITS.get(field.name) or (None, None)
    assert field.low is not None and field.high is not None
    low = field.low if low is None else low
    if "float" in field.type:
        return st.floats(low, field.high if high is None else high, allow_subnormal=False)
    one = st.integers(int(low), int(min(field.high, low + 3) if high is None else high))
    if "tuple" not in field.type:
        return one
    if field.type.startswith("tuple"):
        return st.lists(one, min_size=1, max_size=4).map(tuple)
    pairs = st.tuples(one, one)
    return (
        st.one_of(one, pairs, st.tuples(one, one, one, one))
        if "..." in field.type
        else (one | pairs)
    )


@st.composite
def layers(draw: st.DrawFn, kind: str) -> Layer:
    """A layer of that kind; a value that does not go with the others falls back to its default."""
    chosen = {f.name: draw(values(kind, f), f.name) for f in REGISTRY[kind].hyperparameters()}
    for _ in range(len(chosen) + 1):
        try:
            return REGISTRY[kind](**chosen)
        except HyperparameterError as error:
            wrong = re.search(r"(?:\w+\.)?(\w+):", str(error))
            assert wrong and wrong[1] in chosen, f"names no hyper-parameter: {error}"
            del chosen[wrong[1]]
    raise AssertionError(f"{kind}: its defaults are refused")


@st.composite
def shapes_for(draw: st.DrawFn, layer: Layer) -> Shapes:
    low, high = layer.arity
    count = draw(st.integers(low, low + 2 if high is None else high))
    rank = draw(st.sampled_from((4, 4, 2)))
    batch = draw(st.integers(1, 3))
    sizes = st.integers(1, 7)
    first = draw(st.tuples(*[sizes] * (rank - 1)))
    found = [first]
    for _ in range(count - 1):
        other = list(first)
        axis = draw(st.integers(-1, rank - 2))
        if axis >= 0:  # what combines tensors may take other sizes along one axis
            other[axis] = draw(st.sampled_from((1, 2, 5)))
        found.append(tuple(other))
    return tuple((batch, *shape) for shape in found)


@st.composite
def made(draw: st.DrawFn, kind: str) -> Made:
    """A layer, shapes that it takes, a mode and a seed."""
    layer = draw(layers(kind))
    shapes = draw(shapes_for(layer))
    for _ in range(3):
        try:
            outputs = layer.outputs(*(Spec(shape, "float64") for shape in shapes))
            break
        except ShapeError as error:
            fix = next((fix for fix in error.fixes if fix.action == "set"), None)
            assume(fix is not None)
            assert fix is not None
            layer = dataclasses.replace(layer, **{fix.name: fix.value})
    else:
        raise AssertionError(f"{layer} on {shapes}: what it proposes does not mend")
    assume(sum(map(math.prod, shapes)) <= CELLS)
    assume(all(math.prod(spec.shape) <= 6 * CELLS for spec in outputs))
    mode = draw(st.sampled_from(("train", "eval")))
    # batch statistics of one number do not exist; that it is refused is tested apart
    assume(not (kind == "BatchNorm2d" and mode == "train" and _per_channel(shapes[0]) < 2))
    return layer, shapes, mode, draw(st.integers(0, 1000))


def _per_channel(shape: tuple[int, ...]) -> int:
    return math.prod(shape) // shape[1]


def spread(shape: tuple[int, ...], seed: int) -> Array:
    """Numbers from −4 to 4 that lie apart from each other, from 0 and from ±3, in random order.

    So no tie, corner or vanishing variance is near, and no difference has to be skipped.
    """
    rng = np.random.default_rng(seed)
    size = math.prod(shape)
    steps = (rng.permutation(size) + 0.5 + rng.uniform(-0.3, 0.3, size)) / size
    x = 8 * steps - 4
    for corner in (-3.0, 0.0, 3.0):
        x = np.where(np.abs(x - corner) < 2e-3, corner + 2e-3, x)
    return x.reshape(shape)


@dataclasses.dataclass(frozen=True)
class Drawn:
    """A case as tests/engine/layers/conftest.py has them, on numbers that lie apart."""

    case: Any
    xs: tuple[Array, ...]
    params: dict[str, Array]
    dys: tuple[Array, ...]

    def forward(self, *xs: Array) -> Any:
        return self.case.layer.forward(self.params, *(xs or self.xs), ctx=self.case.ctx)

    def backward(self, saved: Any, *dys: Array) -> Any:
        need = (True,) * len(self.xs)
        layer, dys = self.case.layer, dys or self.dys
        return layer.backward(self.params, saved, dys, need, self.case.ctx)

    def numbers(self) -> list[int]:
        """The inputs that are numbers, not places."""
        return [i for i in range(len(self.xs)) if i not in self.case.layer.index_slots]

    def record(self, sample: int, result: Any) -> Record:
        return Record(
            tuple(x[sample] for x in self.xs),
            tuple(y[sample] for y in result.ys),
            tuple(dy[sample] for dy in self.dys),
            self.params,
            result.saved,
            sample,
            self.case.mode,
            self.dys,
        )


def drawn(data: st.DataObject, kind: str, case_of: Callable[..., Any]) -> Drawn:
    layer, shapes, mode, seed = data.draw(made(kind), kind)
    case = case_of(layer, shapes, mode)
    xs = tuple(spread(shape, seed + i) for i, shape in enumerate(shapes))
    for slot in layer.index_slots:  # places in the maps that come out; -1 is none
        area = math.prod(layer.outputs(*case.specs())[0].shape[2:])
        places = np.random.default_rng([seed, 3]).integers(-1, area, shapes[slot])
        xs = (*xs[:slot], places.astype(np.float64), *xs[slot + 1 :])
    params = case.params(seed)
    with np.errstate(all="ignore"):
        ys = layer.forward(params, *xs, ctx=case.ctx).ys
    if any(np.isnan(y).any() for y in ys):  # a root or a logarithm of a negative number
        xs = tuple(np.abs(x) for x in xs)
    rng = np.random.default_rng([seed, 2])
    dys = tuple(rng.standard_normal(s.shape) for s in layer.outputs(*case.specs()))
    for array in (*xs, *dys):
        array.flags.writeable = False
    return Drawn(case, xs, params, dys)


def examples(count: int) -> Any:
    return settings(max_examples=count)


# ---- properties ----------------------------------------------------------------------------


@examples(10)
@given(data=st.data())
def test_gradient_agrees_with_finite_differences(
    data: st.DataObject, kind: str, case_of: Any
) -> None:
    it = drawn(data, kind, case_of)
    report = gradient_check(it.case.layer, it.xs, it.params, ctx=it.case.ctx, seed=1)
    # where both are nearly zero, as behind a mean of two numbers, differences are rounding alone
    assume(all(tensor.scale > 1e-3 or tensor.scale == 0 for tensor in report.tensors))
    assert report.passed, str(report)
    for tensor in report.tensors:
        assert tensor.compared >= 0.9 * (tensor.compared + tensor.skipped), str(report)


@examples(10)
@given(data=st.data())
def test_what_is_described_is_what_is_computed(
    data: st.DataObject, kind: str, case_of: Any
) -> None:
    it = drawn(data, kind, case_of)
    layer, specs = it.case.layer, it.case.specs()
    result = it.forward()
    assert [(y.shape, str(y.dtype)) for y in result.ys] == [
        (spec.shape, spec.dtype) for spec in layer.outputs(*specs)
    ]
    grads = it.backward(result.saved)
    assert [dx.shape for dx in grads.dxs] == [x.shape for x in it.xs]
    described = layer.parameters(*specs)
    trained = {name: s.shape for name, s in described.items() if s.kind == "weight"}
    assert {name: g.shape for name, g in grads.dparams.items()} == trained
    cost = layer.cost(*specs)
    assert cost.parameters == sum(map(math.prod, trained.values()))
    assert cost.multiply_adds >= 0
    one = tuple(Spec((1, *spec.shape[1:]), spec.dtype) for spec in specs)
    assert cost == layer.cost(*one), "a cost is that of one sample"
    if kind in ("Conv2d", "PartialConv2d", "Linear"):
        record, shape = it.record(0, result), result.ys[0].shape[1:]
        terms = (t for cell in np.ndindex(*shape) for t in layer.reads(cell, record).terms)
        assert cost.multiply_adds == sum(term.source[0] != "param" for term in terms)


@examples(6)
@given(data=st.data())
def test_a_run_leaves_no_trace(data: st.DataObject, kind: str, case_of: Any) -> None:
    """Arguments cannot be written to here, so that a layer which tries to raises."""
    it = drawn(data, kind, case_of)
    first = it.forward()
    for array in first.saved.values():
        array.flags.writeable = False
    grads = it.backward(first.saved)
    second = it.forward()
    again = it.backward(first.saved)
    pairs = [*zip(first.ys, second.ys, strict=True), *zip(grads.dxs, again.dxs, strict=True)]
    pairs += [(array, second.saved[name]) for name, array in first.saved.items()]
    pairs += [(array, again.dparams[name]) for name, array in grads.dparams.items()]
    for a, b in pairs:
        assert np.array_equal(a, b)


def summed(terms: Terms) -> float | None:
    """The number that terms make, or None where only the layer's formula tells."""
    if terms.combine == "formula":
        return None
    if terms.combine == "sum":
        return math.fsum(t.product for t in terms.terms)
    if terms.chosen is None:
        return -math.inf
    return max(t.product for t in terms.terms)


def recorded(term: Term, record: Record) -> float | None:
    """The number at the place that a term names; None where it names none."""
    what, *where = term.source
    if what == "input":
        return float(record.xs[where[0]][where[1]])
    if what == "output_grad":
        dy = record.dys[where[0]]
        assert dy is not None
        return float(dy[where[1]])
    return float(record.params[where[0]][where[1]]) if what == "param" else None


def some_cells(shape: tuple[int, ...], seed: int, count: int = 6) -> list[tuple[int, ...]]:
    flat = np.random.default_rng(seed).permutation(math.prod(shape))[:count]
    return [tuple(int(i) for i in np.unravel_index(f, shape)) for f in flat]


@examples(10)
@given(data=st.data())
def test_terms_add_up(data: st.DataObject, kind: str, case_of: Any) -> None:
    """``reads`` to the output, ``feeds`` to the gradient, in each sample."""
    it = drawn(data, kind, case_of)
    layer, result = it.case.layer, it.forward()
    grads = it.backward(result.saved)
    for sample in range(len(it.xs[0])):
        record = it.record(sample, result)
        explained = [
            (layer.reads(cell, record), result.ys[0][(sample, *cell)])
            for cell in some_cells(result.ys[0].shape[1:], sample)
        ]
        explained += [
            (layer.feeds(cell, record, slot), dx[(sample, *cell)])
            for slot, dx in enumerate(grads.dxs)
            for cell in some_cells(dx.shape[1:], sample)
        ]
        for terms, number in explained:
            largest = max((abs(term.product) for term in terms.terms), default=1.0)
            made = summed(terms)
            if made is not None:
                assert math.isclose(made, number, rel_tol=1e-10, abs_tol=1e-11 * largest)
            for term in terms.terms:
                found = recorded(term, record)
                assert found is None or math.isclose(found, term.value, abs_tol=1e-11)


def mentioned(terms: Terms, what: str, slot: int, cell: tuple[int, ...]) -> bool:
    return any(
        term.source[:1] == (what,) and term.source[1:] == (slot, cell) for term in terms.terms
    )


@examples(10)
@given(data=st.data())
def test_nan_reaches_what_reads_it_and_nothing_else(
    data: st.DataObject, kind: str, case_of: Any
) -> None:
    """Forward: outputs that change with a number become NaN with it; no other one does."""
    it = drawn(data, kind, case_of)
    slot = data.draw(st.sampled_from(it.numbers()))
    place = some_cells(it.xs[slot].shape, 0, 1)[0]
    y, record = it.forward().ys[0], it.record(place[0], it.forward())
    moved = [x.copy() for x in it.xs]
    moved[slot][place] = 1000.0
    changed = it.forward(*moved).ys[0] != y
    moved[slot][place] = np.nan
    with np.errstate(invalid="ignore"):
        odd = np.isnan(it.forward(*moved).ys[0])
    if kind not in SWALLOWS_NAN:
        assert not (changed & ~odd).any(), "NaN was lost"
    for cell in np.argwhere(odd & ~changed):
        sample, *inside = (int(i) for i in cell)
        assert sample == place[0], "NaN came into another sample"
        assert mentioned(it.case.layer.reads(tuple(inside), record), "input", slot, place[1:])


@examples(10)
@given(data=st.data())
def test_nan_of_a_gradient_reaches_what_it_feeds_and_nothing_else(
    data: st.DataObject, kind: str, case_of: Any
) -> None:
    it = drawn(data, kind, case_of)
    result = it.forward()
    place = some_cells(it.dys[0].shape, 0, 1)[0]
    dxs, record = it.backward(result.saved).dxs, it.record(place[0], result)
    dy = it.dys[0].copy()
    dy[place] += 1000.0
    moved = it.backward(result.saved, dy).dxs
    dy[place] = np.nan
    with np.errstate(invalid="ignore"):
        odd = it.backward(result.saved, dy).dxs
    for slot, (before, after, nan) in enumerate(zip(dxs, moved, odd, strict=True)):
        assert not ((before != after) & ~np.isnan(nan)).any(), "NaN was lost"
        for cell in np.argwhere(np.isnan(nan) & (before == after)):
            sample, *inside = (int(i) for i in cell)
            assert sample == place[0], "NaN came into another sample"
            terms = it.case.layer.feeds(tuple(inside), record, slot)
            assert mentioned(terms, "output_grad", 0, place[1:])


# ---- linear layers -------------------------------------------------------------------------

LINEAR = {
    "Add",
    "AvgPool2d",
    "Concat",
    "Conv2d",
    "ConvTranspose2d",
    "Dropout",
    "Flatten",
    "GlobalAvgPool",
    "Identity",
    "Linear",
    "MaxUnpool2d",
    "Pad",
    "PartialConv2d",
    "Reshape",
    "Resize",
    "Slice",
    "SpatialDropout",
    "StochasticDepth",
    "TrainableSubsampling",
}
"""Whatever their settings; others may be for some, and are held to the same law there."""


@examples(10)
@given(data=st.data())
def test_backward_is_the_adjoint_of_a_linear_forward(
    data: st.DataObject, kind: str, case_of: Any
) -> None:
    """<A x, dy> = <x, Aᵀ dy>, where A is what is left of forward without its constant part."""
    it = drawn(data, kind, case_of)
    rng = np.random.default_rng(it.case.ctx.key)
    numbers = it.numbers()

    def with_numbers(function: Callable[[Array, Array], Array]) -> tuple[Array, ...]:
        pairs = enumerate(zip(it.xs, other, strict=True))
        return tuple(function(x, o) if i in numbers else x for i, (x, o) in pairs)

    other = tuple(rng.standard_normal(x.shape) for x in it.xs)
    zero = it.forward(*with_numbers(lambda x, _: np.zeros_like(x))).ys[0]
    if not np.isfinite(zero).all():
        return  # a logarithm, or a window that lies only in padding
    mix = with_numbers(lambda x, o: 2 * x - 3 * o)
    result = it.forward()
    y = result.ys[0] - zero
    mixed = it.forward(*mix).ys[0] - zero
    expected = 2 * y - 3 * (it.forward(*with_numbers(lambda _, o: o)).ys[0] - zero)
    size = max(1.0, float(np.abs(expected).max()))
    if not np.allclose(mixed, expected, rtol=0, atol=1e-9 * size):
        assert kind not in LINEAR
        return
    dxs = it.backward(result.saved).dxs
    there = float(np.vdot(y, it.dys[0]))
    back = float(sum(np.vdot(x, dx) for x, dx in zip(it.xs, dxs, strict=True)))
    scale = float(np.linalg.norm(y) * np.linalg.norm(it.dys[0]))
    assert math.isclose(there, back, abs_tol=1e-11 * max(1.0, scale))
