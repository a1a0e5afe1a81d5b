"""Max and average pooling: worked examples, edges, and the four-loop form as a slow oracle."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engine.graph import Graph, GraphError, Input, Loss, Node
from engine.layers.avg_pool2d import AvgPool2d
from engine.layers.base import Array, HyperparameterError, Record, ShapeError, Spec
from engine.layers.conv2d import Conv2d
from engine.layers.max_pool2d import MaxPool2d
from engine.layers.max_unpool2d import MaxUnpool2d
from engine.losses import MeanSquaredError
from engine.optimizers import SGD
from engine.parameters import initial_parameters
from engine.plan import Batch, compile, exhaust

ONE_TO_SIXTEEN = np.arange(1.0, 17.0).reshape(1, 1, 4, 4)


def both(layer: MaxPool2d | AvgPool2d, x: Array, dy: Array | None = None) -> tuple[Array, Array]:
    """Output, and gradient for an upstream gradient (ones by default)."""
    result = layer.forward({}, x)
    dy = np.ones_like(result.ys[0]) if dy is None else dy
    (dx,) = layer.backward({}, result.saved, (dy,), (True,)).dxs
    assert dx is not None
    return result.ys[0], dx


def four_loops(layer: Any, x: Array, dy: Array) -> tuple[Array, Array]:
    """Pooling as an article writes it down: sample, channel, row, column, one window at a time."""
    window, average = layer.window, isinstance(layer, AvgPool2d)
    (top, left), (bottom, right) = window.before, window.after
    height, width = x.shape[2:]
    y, dx = np.zeros(dy.shape), np.zeros(x.shape)
    for n in range(x.shape[0]):
        for k in range(x.shape[1]):
            for row in range(dy.shape[2]):
                for column in range(dy.shape[3]):
                    inside, area = [], 0
                    for i in range(window.kernel_size[0]):
                        for j in range(window.kernel_size[1]):
                            r = row * window.stride[0] - top + i * window.dilation[0]
                            c = column * window.stride[1] - left + j * window.dilation[1]
                            if 0 <= r < height and 0 <= c < width:
                                inside.append((r, c))
                            area += r < height + bottom and c < width + right
                    if average:
                        divisor = area if layer.count_include_pad else len(inside)
                        for r, c in inside:
                            y[n, k, row, column] += x[n, k, r, c] / divisor
                            dx[n, k, r, c] += dy[n, k, row, column] / divisor
                    elif inside:
                        best = max(inside, key=lambda cell: x[n, k, *cell])  # the first of equals
                        y[n, k, row, column] = x[n, k, *best]
                        dx[n, k, *best] += dy[n, k, row, column]
                    else:
                        y[n, k, row, column] = -np.inf
    return y, dx


def test_worked_example_of_the_article() -> None:
    x = np.array([[[[1.0, 3.0], [2.0, 4.0]]]])
    y, dx = both(MaxPool2d(2), x)
    assert y.item() == 4.0
    assert np.array_equal(dx[0, 0], [[0, 0], [0, 1]])
    y, dx = both(AvgPool2d(2), x)
    assert y.item() == 2.5
    assert np.array_equal(dx[0, 0], [[0.25, 0.25], [0.25, 0.25]])


def test_poolings_agree_with_four_loops(pooling: Any) -> None:
    for ties in (False, True):
        x = np.round(pooling.inputs(21)[0]) if ties else pooling.inputs(21)[0]
        shape = pooling.layer.outputs(Spec(x.shape))[0].shape
        dy = np.random.default_rng(22).standard_normal(shape)
        y, dx = both(pooling.layer, x, dy)
        expected_y, expected_dx = four_loops(pooling.layer, x, dy)
        np.testing.assert_allclose(y, expected_y, rtol=0, atol=1e-14)
        np.testing.assert_allclose(dx, expected_dx, rtol=0, atol=1e-14)


def test_divisor_counts_explicit_padding_but_never_the_overhang_of_ceil_mode() -> None:
    layer = AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=True)
    y, _ = both(layer, ONE_TO_SIXTEEN)
    np.testing.assert_allclose(y[0, 0, 0], [14 / 9, 30 / 9, 12 / 6])
    y, _ = both(AvgPool2d(3, 2, 1, ceil_mode=True), ONE_TO_SIXTEEN)
    np.testing.assert_allclose(y[0, 0, 0], [14 / 4, 30 / 6, 12 / 2])


def test_dilated_max_pooling() -> None:
    y, dx = both(MaxPool2d(2, 1, dilation=2), ONE_TO_SIXTEEN)
    assert np.array_equal(y[0, 0], [[11, 12], [15, 16]])
    assert np.array_equal(np.flatnonzero(dx) + 1, [11, 12, 15, 16])


def test_ceil_mode_drops_a_window_that_starts_beyond_input_and_left_padding() -> None:
    # with padding the sixth row would be touched by a window that starts at row 5 of 5
    assert MaxPool2d(2, 3, 1, ceil_mode=True).window.output_size(5, 5) == (2, 2)
    assert MaxPool2d(2, 3, 0, ceil_mode=True).window.output_size(5, 4) == (2, 2)
    assert MaxPool2d(3, 2, 0, ceil_mode=True).window.output_size(2, 2) == (1, 1)
    assert MaxPool2d(3, 2, 0, ceil_mode=False).window.output_size(2, 2) == (0, 0)


def test_the_first_of_equals_wins_in_row_major_order() -> None:
    x = np.array([[[[5.0, 7.0, 7.0], [7.0, 7.0, 1.0], [0.0, 0.0, 0.0]]]])
    _, dx = both(MaxPool2d(3), x)
    assert np.array_equal(np.argwhere(dx[0, 0]), [[0, 1]])
    _, dx = both(MaxPool2d(2, 1), np.zeros((1, 1, 3, 3)))
    assert np.array_equal(dx[0, 0], [[1, 1, 0], [1, 1, 0], [0, 0, 0]])


def test_a_peak_collects_from_every_window_that_it_won() -> None:
    x = np.zeros((1, 1, 5, 5))
    x[0, 0, 2, 2] = 1
    y, dx = both(MaxPool2d(3, 1), x)
    assert (y == 1).all() and dx[0, 0, 2, 2] == 9 and dx.sum() == 9


def test_padding_never_wins() -> None:
    x = np.full((1, 2, 4, 4), -3e8)
    y, dx = both(MaxPool2d(3, 2, 1), x)
    assert (y == -3e8).all() and dx.sum() == y.size


def test_minus_infinity_goes_to_its_first_cell_inside() -> None:
    x = np.full((1, 1, 4, 4), -np.inf)
    layer = MaxPool2d(3, 2, 1)
    y, dx = both(layer, x)
    assert np.isneginf(y).all()
    assert np.array_equal(layer.forward({}, x).saved["argmax"][0, 0], [[0, 1], [4, 5]])
    assert dx.sum() == 4


def test_a_window_that_lies_only_in_padding_sends_its_gradient_nowhere() -> None:
    layer = MaxPool2d(2, 1, 1, dilation=2)
    x = np.array([[[[3.0, 1.0]]]])  # one row: the rows −1 and 1 of its windows are padding
    result = layer.forward({}, x)
    assert np.isneginf(result.ys[0]).all() and (result.saved["argmax"] == -1).all()
    _, dx = both(layer, x)
    assert np.array_equal(dx, np.zeros_like(x))
    record = Record((x[0],), (result.ys[0][0],), (np.ones((1, 1, 2)),), {}, result.saved)
    assert layer.reads((0, 0, 0), record).terms == ()
    assert layer.reads((0, 0, 0), record).chosen is None


def test_nan_and_infinity_pass_through() -> None:
    x = np.array([[[[np.nan, 9.0], [1.0, np.nan]]]])
    y, dx = both(MaxPool2d(2), x)
    assert np.isnan(y).all() and np.array_equal(np.argwhere(dx[0, 0]), [[0, 0]])
    assert np.isnan(both(AvgPool2d(2), x)[0]).all()
    assert both(MaxPool2d(2), np.array([[[[1.0, np.inf], [0.0, -np.inf]]]]))[0].item() == np.inf


# ---- indices, and the way back up ------------------------------------------------------------


def test_indices_count_through_the_map_without_its_padding() -> None:
    x = ONE_TO_SIXTEEN[:, :, ::-1, ::-1].repeat(2, 0).repeat(3, 1)
    y, indices = MaxPool2d(3, 2, 1, return_indices=True).forward({}, x).ys
    assert y[1, 2].tolist() == [[16, 15], [12, 11]]
    assert indices[1, 2].tolist() == [[0, 1], [4, 5]] and indices.dtype == x.dtype
    _, spec = MaxPool2d(3, 2, 1, return_indices=True).outputs(Spec(x.shape))
    assert spec == Spec((2, 3, 2, 2), points_into=(4, 4))


def test_an_index_says_how_it_is_made() -> None:
    layer = MaxPool2d(2, return_indices=True)
    result = layer.forward({}, ONE_TO_SIXTEEN)
    dys = (np.ones((1, 2, 2)), None)
    record = Record((ONE_TO_SIXTEEN[0],), tuple(y[0] for y in result.ys), dys, {}, result.saved)
    terms = layer.reads((0, 1, 0), record, port=1)
    assert [(t.value, t.coefficient) for t in terms.terms] == [(3, 4), (1, 1), (14, 0)]
    alone = MaxPool2d(2, 1, 1, dilation=2, return_indices=True)
    nowhere = alone.forward({}, np.ones((1, 1, 1, 2)))
    record = Record((np.ones((1, 1, 2)),), (), (), {}, nowhere.saved)
    assert [t.product for t in alone.reads((0, 0, 0), record, port=1).terms] == [-1]


def test_unpooling_puts_each_maximum_back_where_it_came_from() -> None:
    x = np.random.default_rng(31).standard_normal((2, 3, 6, 8))
    pool = MaxPool2d(2, return_indices=True)
    y, indices = pool.forward({}, x).ys
    back = MaxUnpool2d().forward({}, y, indices).ys[0]
    assert back.shape == x.shape and np.count_nonzero(back) == y.size
    assert np.array_equal(back[back != 0], x[back != 0])
    again, places = pool.forward({}, np.where(back == 0, -np.inf, back)).ys
    assert np.array_equal(again, y) and np.array_equal(places, indices)
    # a scattering, so its backward is the gathering
    dy = np.random.default_rng(32).standard_normal(x.shape)
    result = MaxUnpool2d().forward({}, y, indices)
    dx, dindices = MaxUnpool2d().backward({}, result.saved, (dy,), (True, True)).dxs
    assert dx is not None and sorted(dx.ravel()) == sorted(dy[back != 0])
    assert np.vdot(result.ys[0], dy) == pytest.approx(np.vdot(y, dx))
    assert not np.any(dindices)


def test_of_two_numbers_for_one_cell_the_last_stays_and_gets_the_gradient() -> None:
    x = np.array([[[[5.0, 6.0], [7.0, 8.0]]]])
    indices = np.array([[[[4.0, 4.0], [0.0, -1.0]]]])
    result = MaxUnpool2d(2, 1).forward({}, x, indices)
    assert result.ys[0][0, 0].tolist() == [[7, 0, 0], [0, 6, 0], [0, 0, 0]]
    dy = np.arange(1.0, 10.0).reshape(1, 1, 3, 3)
    dx, _ = MaxUnpool2d(2, 1).backward({}, result.saved, (dy,), (True, True)).dxs
    assert dx is not None and dx[0, 0].tolist() == [[0, 5], [1, 0]]


def test_an_index_outside_the_map_leads_nowhere() -> None:
    x = np.array([[[[1.0, 2.0], [3.0, 4.0]]]])
    indices = np.array([[[[16.0, -1.0], [np.nan, 1e30]]]])
    result = MaxUnpool2d().forward({}, x, indices)
    assert result.ys[0].shape == (1, 1, 4, 4) and not result.ys[0].any()
    assert (result.saved["index"] == -1).all()


def pooled_and_back(unpool: MaxUnpool2d, pool: MaxPool2d, size: tuple[int, int]) -> Graph:
    nodes = (
        Node("pool", pool, (("image", 0),)),
        Node("back", unpool, (("pool", 0), ("pool", 1))),
    )
    return Graph((Input("image", (2, *size)),), nodes, (("y", ("back", 0)),))


@pytest.mark.parametrize(
    ("unpool", "pool", "size", "fix"),
    [
        (MaxUnpool2d(), MaxPool2d(2, return_indices=True), (6, 4), None),
        (MaxUnpool2d(), MaxPool2d(2, return_indices=True), (7, 4), ("output_padding", (1, 0))),
        (
            MaxUnpool2d(),
            MaxPool2d(2, ceil_mode=True, return_indices=True),
            (7, 4),
            ("padding", (0, 0, 1, 0)),
        ),
        (
            MaxUnpool2d(3, 2, 1),
            MaxPool2d(3, 2, 1, return_indices=True),
            (6, 6),
            ("output_padding", (1, 1)),
        ),
    ],
)
def test_unpooling_to_another_size_than_the_indices_mean_is_refused_with_a_remedy(
    unpool: MaxUnpool2d, pool: MaxPool2d, size: tuple[int, int], fix: Any
) -> None:
    graph = pooled_and_back(unpool, pool, size)
    if fix is None:
        assert graph.check().specs["back", 0].shape == (1, 2, *size)
        return
    error = graph.infer().errors["back"]
    assert isinstance(error, ShapeError) and "which the indices point into" in str(error)
    assert [(f.name, f.value) for f in error.fixes] == [fix]
    mended = graph.replace_node("back", layer=replace(unpool, **{fix[0]: fix[1]}))
    assert mended.check().specs["back", 0].shape == (1, 2, *size)


def test_what_is_no_index_is_refused() -> None:
    graph = pooled_and_back(MaxUnpool2d(), MaxPool2d(2, return_indices=True), (4, 4))
    wrong = graph.replace_node("back", inputs=(("pool", 0), ("pool", 0)))
    with pytest.raises(GraphError, match="expected indices at input 2.*from pool"):
        wrong.check()
    plain = graph.replace_node("pool", layer=MaxPool2d(2))
    with pytest.raises(GraphError, match="output 2 of pool, which has no such output"):
        plain.check()
    with pytest.raises(ShapeError, match="at most 16,777,216 cells"):
        MaxPool2d(2, return_indices=True).outputs(Spec((1, 1, 4097, 4096)))
    with pytest.raises(ShapeError, match="an index for each number"):
        MaxUnpool2d().outputs(Spec((1, 2, 3, 3)), Spec((1, 2, 3, 4)))


def test_a_network_trains_through_pooling_and_unpooling() -> None:
    nodes = (
        Node("conv", Conv2d(2, 3, padding=1), (("image", 0),)),
        Node("pool", MaxPool2d(2, return_indices=True), (("conv", 0),)),
        Node("mix", Conv2d(2, 1), (("pool", 0),)),
        Node("back", MaxUnpool2d(), (("mix", 0), ("pool", 1))),
    )
    graph = Graph(
        (Input("image", (2, 6, 4)),),
        nodes,
        losses=(Loss("loss", MeanSquaredError(), ("back", 0)),),
    )
    plan = compile(graph, initial_parameters(graph, 0), batch=3, dtype="float64")
    rng = np.random.default_rng(33)
    batch = Batch({"image": rng.standard_normal((3, 2, 6, 4))}, {"loss": np.ones((3, 2, 6, 4))})
    losses = []
    for _ in range(20):
        exhaust(plan.run(batch, optimizer=SGD(lr=0.1)))
        losses.append(plan.loss())
    assert losses[-1] < losses[0] - 0.05
    steps = [step.node for step in plan.run(batch) if step.phase == "backward"]
    assert steps == ["loss", "back", "mix", "pool", "conv"]
    assert not any(
        key.kind == "grad" and key.ref == ("pool", 1)
        for step in plan.run(batch)
        for key in step.writes
    )
    assert all(np.abs(g).max() > 0 for g in plan.parameter_gradients().values())


def test_nothing_is_lost_on_the_way_back(pooling: Any) -> None:
    run = pooling.run(23)
    if getattr(pooling.layer, "count_include_pad", False):
        assert abs(run.grads.dxs[0]).sum() > 0  # the share of the padding cells is lost
    else:
        assert np.isclose(run.grads.dxs[0].sum(), run.dys[0].sum())


def test_a_tensor_that_is_not_contiguous_gives_the_same() -> None:
    x = np.random.default_rng(0).standard_normal((2, 5, 6, 3)).transpose(0, 3, 1, 2)
    for layer in (MaxPool2d(3, 2, 1), AvgPool2d(3, 2, 1)):
        for ours, expected in zip(
            both(layer, x), both(layer, np.ascontiguousarray(x)), strict=True
        ):
            assert np.array_equal(ours, expected)


def test_distance_to_the_nearest_tie() -> None:
    x = np.array([[[[1.0, 3.0], [2.0, 3.5]]]])
    assert MaxPool2d(2).kinks({}, x) == 0.25
    assert MaxPool2d(1, 1).kinks({}, x) == np.inf
    assert MaxPool2d(2, 2, 1).kinks({}, x) == np.inf  # one real cell in each window
    assert MaxPool2d(2).kinks({}, np.zeros((1, 1, 2, 2))) == 0


@pytest.mark.parametrize(
    ("layer", "padding"),
    [(MaxPool2d, 2), (AvgPool2d, 2), (MaxPool2d, (0, 2)), (AvgPool2d, (0, 0, 0, 2))],
)
def test_padding_beyond_half_the_window_is_refused(layer: Any, padding: Any) -> None:
    with pytest.raises(HyperparameterError, match=r"padding: expected at most half the window"):
        layer(3, padding=padding)
    layer(4, padding=padding)
