"""Every fast form against its plain form, over random shapes that it accepts."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engine.kernels import KERNELS, PLAIN
from engine.kernels.banded_conv2d import tile_width
from engine.kernels.base import SMALL_PRODUCT, Site, repeats_of, small_part
from engine.layers.add import Add
from engine.layers.avg_pool2d import AvgPool2d
from engine.layers.base import Ctx, HyperparameterError, Layer, ShapeError
from engine.layers.batch_norm2d import BatchNorm2d
from engine.layers.concat import Concat
from engine.layers.conv2d import Conv2d
from engine.layers.conv_transpose2d import ConvTranspose2d
from engine.layers.elu import ELU
from engine.layers.flatten import Flatten
from engine.layers.gelu import GELU
from engine.layers.global_avg_pool import GlobalAvgPool
from engine.layers.group_norm import GroupNorm
from engine.layers.instance_norm import InstanceNorm
from engine.layers.layer_norm import LayerNorm
from engine.layers.leaky_relu import LeakyReLU
from engine.layers.linear import Linear
from engine.layers.lrn import LRN
from engine.layers.max_pool2d import MaxPool2d
from engine.layers.mul import Mul
from engine.layers.partial_conv2d import PartialConv2d
from engine.layers.prelu import PReLU
from engine.layers.relu import ReLU
from engine.layers.resize import Resize
from engine.layers.sigmoid import Sigmoid
from engine.layers.silu import SiLU
from engine.layers.trainable_subsampling import TrainableSubsampling

BY_NAME = {kernel.name: kernel for kernel in KERNELS}
Draw = tuple[Layer, tuple[tuple[int, ...], ...]]


def sizes(rng: np.random.Generator, *highest: int) -> list[int]:
    return [int(rng.integers(1, high + 1)) for high in highest]


def conv(rng: np.random.Generator, high: int = 7) -> tuple[Conv2d, tuple[tuple[int, ...], ...]]:
    n, c, h, w = sizes(rng, 4, high, 12, 12)
    padding: Any = [0, 1, (2, 1), (0, 1, 2, 3)][rng.integers(4)]
    layer = Conv2d(
        int(rng.integers(1, high + 1)),
        tuple(sizes(rng, 5, 5)),
        tuple(sizes(rng, 3, 3)),
        padding,
        tuple(sizes(rng, 2, 2)),
        bias=bool(rng.integers(2)),
    )
    return layer, ((n, c, h, w),)


def same_conv(rng: np.random.Generator) -> Draw:
    """Many maps of some channels, as the copyless form wants them."""
    c, o = (int(v) for v in rng.integers(8, 33, 2))
    kernel = (int(rng.integers(1, 4)), int(rng.integers(2, 4)))
    padding: Any = [0, (0, 1), (kernel[0] // 2, kernel[1] // 2)][rng.integers(3)]
    n, h, w = (int(v) for v in (rng.integers(3, 5), *rng.integers(24, 30, 2)))
    return Conv2d(o, kernel, 1, padding, bias=bool(rng.integers(2))), ((n, c, h, w),)


def pointwise(rng: np.random.Generator) -> Draw:
    return Conv2d(sizes(rng, 8)[0], 1, bias=bool(rng.integers(2))), (tuple(sizes(rng, 4, 8, 6, 6)),)


def depthwise(rng: np.random.Generator) -> Draw:
    n, c, h, w = sizes(rng, 4, 9, 12, 12)
    padding: Any = [0, 1, (2, 1), (0, 1, 2, 3)][rng.integers(4)]
    shape = (n, c + 1, h, w)
    kernel, stride, dilation = (tuple(sizes(rng, *high)) for high in ((5, 5), (4, 4), (3, 3)))
    bias = bool(rng.integers(2))
    return Conv2d(c + 1, kernel, stride, padding, dilation, groups=c + 1, bias=bias), (shape,)


def grouped(rng: np.random.Generator) -> Draw:
    layer, ((n, c, h, w),) = conv(rng, 4)
    groups = int(rng.integers(2, 5))
    layer = replace(layer, out_channels=layer.out_channels * groups, groups=groups)
    return layer, ((n, c * groups, h, w),)


def partial_conv(rng: np.random.Generator) -> Draw:
    layer, ((n, c, h, w),) = conv(rng, 7)
    table, c = (("lenet-c3", 6), ("neighbours", c + 2))[rng.integers(2)]
    return PartialConv2d(table, layer.kernel_size, layer.stride, layer.padding), ((n, c, h, w),)


def conv_transpose(rng: np.random.Generator) -> Draw:
    n, c, o, h, w = sizes(rng, 4, 6, 6, 7, 7)
    padding: Any = [0, 1, (2, 1), (0, 1, 2, 1)][rng.integers(4)]
    kernel, stride, dilation = (tuple(sizes(rng, *high)) for high in ((4, 4), (3, 3), (2, 2)))
    layer = ConvTranspose2d(
        out_channels=o,
        kernel_size=kernel,
        stride=stride,
        padding=padding,
        dilation=dilation,
        output_padding=int(rng.integers(2)),
        bias=bool(rng.integers(2)),
    )
    return layer, ((n, c, h, w),)


def tiled_pool(rng: np.random.Generator) -> Draw:
    kernel = tuple(sizes(rng, 3, 3))
    ceil_mode = bool(rng.integers(2))
    return MaxPool2d(kernel, kernel, ceil_mode=ceil_mode), (tuple(sizes(rng, 4, 5, 12, 12)),)


def overlapping_pool(rng: np.random.Generator) -> Draw:
    kernel, stride, dilation = (tuple(sizes(rng, *high)) for high in ((5, 5), (4, 4), (3, 3)))
    extents = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    padding: Any = tuple(int(rng.integers(extent // 2 + 1)) for extent in 2 * extents)
    layer = MaxPool2d(kernel, stride, padding, dilation, bool(rng.integers(2)))
    return layer, (tuple(sizes(rng, 4, 5, 12, 12)),)


def maps(layer: Callable[[], Layer], count: int = 1) -> Callable[[np.random.Generator], Draw]:
    return lambda rng: (layer(), (tuple(sizes(rng, 4, 20, 7, 7)),) * count)


def average(rng: np.random.Generator) -> Draw:
    kernel, stride = (tuple(sizes(rng, *high)) for high in ((5, 5), (4, 4)))
    padding: Any = tuple(int(rng.integers(k // 2 + 1)) for k in 2 * kernel)
    layer = AvgPool2d(kernel, stride, padding, bool(rng.integers(2)), bool(rng.integers(2)))
    return layer, (tuple(sizes(rng, 4, 5, 12, 12)),)


def subsampling(rng: np.random.Generator) -> Draw:
    return TrainableSubsampling(tuple(sizes(rng, 4, 4))), (tuple(sizes(rng, 4, 5, 12, 12)),)


def side_by_side(rng: np.random.Generator) -> Draw:
    n, h, w, count = sizes(rng, 4, 6, 6, 4)
    size = (h, w) if rng.random() < 0.7 else ()
    return Concat(), tuple((n, *sizes(rng, 6), *size) for _ in range(count + 1))


def neighbouring(rng: np.random.Generator) -> Draw:
    size, divide = 2 * int(rng.integers(6)) + 1, bool(rng.integers(2))
    alpha, beta, k = (float(v) for v in rng.random(3))
    return LRN(size, alpha, 2 * beta, k + 0.5, divide), (tuple(sizes(rng, 4, 12, 7, 7)),)


def factors(rng: np.random.Generator) -> Draw:
    n, c, *size = sizes(rng, 4, 6, 6, 6)
    shapes = (n, c, *size), (n, c, 1, 1)
    return Mul(), shapes if rng.random() < 0.5 else shapes[::-1]


def repeated(rng: np.random.Generator) -> Draw:
    return Resize(tuple(sizes(rng, 4, 4))), (tuple(sizes(rng, 4, 6, 6, 6)),)


def group_norm(rng: np.random.Generator) -> Draw:
    groups, affine = int(rng.integers(1, 4)), bool(rng.integers(2))
    n, c, h, w = sizes(rng, 4, 6, 7, 7)
    return GroupNorm(groups=groups, affine=affine), ((n, c * groups, h, w),)


def cells(kind: type[Layer], **choices: tuple[Any, ...]) -> Callable[[np.random.Generator], Draw]:
    """Maps or vectors, with a choice of each hyper-parameter."""

    def draw(rng: np.random.Generator) -> Draw:
        chosen = {name: some[rng.integers(len(some))] for name, some in choices.items()}
        shape = sizes(rng, 4, 20, 7, 7) if rng.random() < 0.7 else sizes(rng, 5, 9)
        return kind(**chosen), (tuple(shape),)

    return draw


def linear(rng: np.random.Generator) -> Draw:
    return Linear(sizes(rng, 9)[0], bool(rng.integers(2))), (tuple(sizes(rng, 5, 9)),)


DRAWS: dict[str, tuple[Callable[[np.random.Generator], Draw], ...]] = {
    "im2col": (conv, pointwise),
    "copyless": (same_conv,),
    "banded": (conv,),
    "depthwise": (depthwise,),
    "by group": (grouped,),
    "whole": (partial_conv,),
    "turned": (conv_transpose,),
    "tiled maxima": (tiled_pool,),
    "overlapping maxima": (overlapping_pool,),
    "relu": (maps(ReLU),),
    "add": (maps(Add, 2), maps(Add, 3)),
    "flatten": (maps(Flatten),),
    "gemm": (linear,),
    "rows": (maps(BatchNorm2d),),
    "elu": (cells(ELU, alpha=(1.0, 0.3, 0.0)),),
    "gelu": (cells(GELU, tanh=(False, True)),),
    "leaky relu": (cells(LeakyReLU, alpha=(0.01, 1.0, 0.3)),),
    "prelu": (cells(PReLU, shared=(False, True)),),
    "sigmoid": (cells(Sigmoid),),
    "silu": (cells(SiLU),),
    "group rows": (group_norm,),
    "instance rows": (maps(InstanceNorm),),
    "layer rows": (cells(LayerNorm, affine=(False, True)),),
    "shifted sums": (neighbouring,),
    "factors": (factors,),
    "repeated": (repeated,),
    "sums of sums": (average,),
    "scaled sums": (subsampling,),
    "global average": (maps(GlobalAvgPool),),
    "side by side": (side_by_side,),
}


def test_every_kernel_is_compared() -> None:
    assert {kernel.name for kernel in KERNELS} == set(DRAWS)
    assert len(BY_NAME) == len(KERNELS)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", DRAWS)
def test_fast_form_equals_plain_form(
    name: str, dtype: str, site_of: Callable[..., Site], compare: Callable[..., None]
) -> None:
    rng = np.random.default_rng(len(name))
    kernel, compared = BY_NAME[name], 0
    while compared < 25:
        for draw in DRAWS[name]:
            try:
                layer, shapes = draw(rng)
                accepted = kernel.offers(site_of(layer, shapes, dtype, True))
            except (HyperparameterError, ShapeError):
                continue
            if accepted:
                compare(kernel, layer, shapes, dtype, rng, need=bool(rng.random() < 0.8))
                compared += 1


def test_the_comparison_notices_a_wrong_gradient(
    monkeypatch: pytest.MonkeyPatch, compare: Callable[..., None]
) -> None:
    kernel = BY_NAME["gemm"]
    bind = kernel.bind

    def wrong(site: Site) -> Any:
        bound = bind(site)
        bound.ones = bound.ones * 1.001  # type: ignore[attr-defined]
        return bound

    monkeypatch.setattr(type(kernel), "bind", lambda self, site: wrong(site))
    with pytest.raises(AssertionError):
        compare(kernel, Linear(4), ((3, 5),), "float64", np.random.default_rng(0), True)


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["x", "dy"])
def test_tiled_pool_with_what_is_not_finite(
    odd: float, where: str, site_of: Callable[..., Site]
) -> None:
    """The winner is the plain form's, and no other cell receives 0 · ∞ or 0 · NaN."""
    rng = np.random.default_rng(3)
    layer, shape = MaxPool2d(2, 2), (2, 3, 4, 6)
    site = site_of(layer, (shape,), "float64", True)
    fast, ctx = BY_NAME["tiled maxima"].bind(site), Ctx("train")
    x, dy = rng.standard_normal(shape), rng.standard_normal(site.outputs[0].shape)
    target = {"x": x, "dy": dy}[where]
    target[rng.random(target.shape) < 0.3] = odd
    result, expected = fast.forward({}, x, ctx=ctx), layer.forward({}, x, ctx=ctx)
    np.testing.assert_array_equal(result.ys[0], expected.ys[0])
    argmax = fast.describe(result.saved)["argmax"]
    assert callable(argmax)
    np.testing.assert_array_equal(argmax(), expected.saved["argmax"])
    grads = fast.backward({}, result.saved, (dy,), (True,), ctx)
    wanted = layer.backward({}, expected.saved, (dy,), (True,), ctx)
    np.testing.assert_array_equal(grads.dxs[0], wanted.dxs[0])


@pytest.mark.parametrize("odd", [np.nan, np.inf])
@pytest.mark.parametrize("where", ["x", "dy"])
@pytest.mark.parametrize("name", ["banded", "copyless", "im2col"])
def test_convolution_spreads_what_is_not_finite_no_further_than_its_windows(
    name: str, where: str, odd: float, site_of: Callable[..., Site]
) -> None:
    layer, shape = Conv2d(8, 3, padding=1), (3, 8, 28, 28)
    site, plain_site = (site_of(layer, (shape,), "float64", True) for _ in range(2))
    rng, ctx = np.random.default_rng(5), Ctx("train")
    p = {k: rng.standard_normal(s.shape) for k, s in layer.parameters(*site.inputs).items()}
    x, dy = rng.standard_normal(shape), rng.standard_normal(site.outputs[0].shape)
    {"x": x, "dy": dy}[where][1, 2, 0, 5] = odd  # at a border, where fewer windows see it
    assert BY_NAME[name].offers(site)
    fast, plain = BY_NAME[name].bind(site), PLAIN.bind(plain_site)
    with np.errstate(invalid="ignore"):
        result, expected = fast.forward(p, x, ctx=ctx), plain.forward(p, x, ctx=ctx)
        grads = fast.backward(p, result.saved, (dy,), (True,), ctx)
        wanted = plain.backward(p, expected.saved, (dy,), (True,), ctx)
    pairs: list[tuple[Any, Any]] = [(result.ys[0], expected.ys[0]), (grads.dxs[0], wanted.dxs[0])]
    pairs += [(site.dparams[k], plain_site.dparams[k]) for k in p]
    assert any(not np.isfinite(b).all() for _, b in pairs)
    for a, b in pairs:
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-11)


def test_ties_go_to_the_first_in_row_major_order(site_of: Callable[..., Site]) -> None:
    layer = MaxPool2d(3, 3)
    site = site_of(layer, ((1, 1, 3, 3),), "float32", True)
    fast = BY_NAME["tiled maxima"].bind(site)
    for cells, winner in (([0.0] * 9, 0), ([0, 1, 0, 1, 1, 0, 0, 0, 1], 1), ([0] * 7 + [2, 2], 7)):
        x = np.array(cells, np.float32).reshape(1, 1, 3, 3)
        result = fast.forward({}, x, ctx=Ctx())
        dy = np.full((1, 1, 1, 1), 5, np.float32)
        (dx,) = fast.backward({}, result.saved, (dy,), (True,), Ctx()).dxs
        assert dx is not None
        np.testing.assert_array_equal(dx.ravel(), 5.0 * (np.arange(9) == winner))


def test_relu_passes_nan_on_and_sends_it_nothing(site_of: Callable[..., Site]) -> None:
    site = site_of(ReLU(), ((1, 3),), "float64", True)
    fast = BY_NAME["relu"].bind(site)
    result = fast.forward({}, np.array([[np.nan, -1.0, 2.0]]), ctx=Ctx())
    np.testing.assert_array_equal(result.ys[0], [[np.nan, 0, 2]])
    (dx,) = fast.backward({}, result.saved, (np.ones((1, 3)),), (True,), Ctx()).dxs
    np.testing.assert_array_equal(dx, [[0, 0, 1]])


def test_windows_of_many_samples_are_unrolled_in_parts(
    monkeypatch: pytest.MonkeyPatch, site_of: Callable[..., Site], compare: Callable[..., None]
) -> None:
    kernel = BY_NAME["im2col"]
    module = sys.modules[type(kernel).__module__]
    monkeypatch.setattr(module, "FEWEST_ROWS", 1)
    layer, shapes = Conv2d(4, 3, padding=1), ((5, 2, 4, 4),)
    for size, count in ((3000, 5), (1000, 10)):  # samples, and rows of them
        monkeypatch.setattr(module, "CHUNK_BYTES", size)
        bound: Any = kernel.bind(site_of(layer, shapes, "float64", True))
        assert len(bound.unrolled.parts) == count
        compare(kernel, layer, shapes, "float64", np.random.default_rng(0), True)


@pytest.mark.parametrize(("name", "constants"), [("copyless", 2), ("rows", 1)])
def test_chunks_do_not_show_in_the_result(
    name: str,
    constants: int,
    monkeypatch: pytest.MonkeyPatch,
    site_of: Callable[..., Site],
    compare: Callable[..., None],
) -> None:
    kernel = BY_NAME[name]
    for constant in ("CHUNK", "SMALL_PRODUCT")[:constants]:
        monkeypatch.setattr(sys.modules[type(kernel).__module__], constant, 1)
    layer: Layer = Conv2d(8, 3, padding=1) if name == "copyless" else BatchNorm2d()
    shapes = ((5, 8, 24, 24),)
    bound: Any = kernel.bind(site_of(layer, shapes, "float64", True))
    assert len(bound.correlation.chunks if name == "copyless" else bound.samples) > 1
    compare(kernel, layer, shapes, "float64", np.random.default_rng(1), True)


@pytest.mark.parametrize(
    ("layer", "shape", "tile"),
    [
        (Conv2d(6, 5, padding=2), (32, 1, 28, 28), 4),
        (Conv2d(16, 5), (32, 6, 14, 14), 2),
        (Conv2d(16, 3, padding=1), (32, 16, 32, 32), 1),
    ],
)
@pytest.mark.parametrize("need", [False, True])
def test_a_tile_follows_from_the_shapes_alone(
    layer: Conv2d, shape: tuple[int, ...], tile: int, need: bool, site_of: Callable[..., Site]
) -> None:
    """Were it to depend on which gradients are wanted, weights would train differently."""
    assert tile_width(site_of(layer, (shape,), "float32", need)) == tile


@pytest.mark.parametrize("rows", [1, 63, 64, 97, 6272, 25088])
@pytest.mark.parametrize("row", [1, 960, 5760, 1 << 20])
def test_parts_divide_the_whole(rows: int, row: int) -> None:
    part = small_part(rows, row)
    assert rows % part == 0 and (part == rows or (part >= 64 and part * row <= SMALL_PRODUCT))
    assert rows % repeats_of(row, rows) == 0


def test_a_ragged_last_tile(site_of: Callable[..., Site], compare: Callable[..., None]) -> None:
    """11 columns in tiles of 2: the last reaches beyond the map."""
    layer, shapes = Conv2d(19, 5), ((3, 7, 15, 15),)
    site = site_of(layer, shapes, "float64", True)
    assert site.outputs[0].shape[3] % tile_width(site)
    assert BY_NAME["banded"].offers(site)
    compare(BY_NAME["banded"], layer, shapes, "float64", np.random.default_rng(2), True)
