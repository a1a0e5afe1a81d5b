"""Fast forms whose work two threads share, against the plain form."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engine import workers as module
from engine.kernels import KERNELS
from engine.kernels.base import Kernel, Site
from engine.layers.add import Add
from engine.layers.base import Layer
from engine.layers.batch_norm2d import BatchNorm2d
from engine.layers.conv2d import Conv2d
from engine.layers.relu import ReLU
from engine.workers import Workers

BY_NAME = {kernel.name: kernel for kernel in KERNELS}


class Shared:
    """A kernel at sites that have two threads."""

    def __init__(self, kernel: Kernel, workers: Workers) -> None:
        self.kernel, self.workers = kernel, workers

    def bind(self, site: Site) -> Any:
        return self.kernel.bind(replace(site, workers=self.workers))


@pytest.fixture
def two() -> Iterator[Workers]:
    workers = Workers(2)
    yield workers
    workers.close()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("name", "layer", "shapes"),
    [
        ("im2col", Conv2d(5, 1), ((6, 4, 12, 11),)),
        ("im2col", Conv2d(5, 1, bias=False), ((1, 40, 30, 30),)),
        ("im2col", Conv2d(64, 1), ((2, 32, 28, 28),)),
        ("im2col", Conv2d(6, 3, padding=1), ((5, 5, 9, 8),)),
        ("im2col", Conv2d(6, 3, padding=1), ((1, 3, 40, 40),)),
        ("im2col", Conv2d(70, 3, padding=1), ((4, 30, 5, 5),)),
        ("im2col", Conv2d(4, 3, stride=2, padding=1, bias=False), ((3, 5, 9, 9),)),
        ("im2col", Conv2d(4, 2, stride=2), ((4, 3, 8, 8),)),
        ("copyless", Conv2d(9, 3, padding=1), ((5, 8, 24, 24),)),
        ("copyless", Conv2d(16, 3, padding=1, bias=False), ((8, 16, 32, 32),)),
        ("banded", Conv2d(6, 5, padding=2), ((5, 1, 28, 28),)),
        ("banded", Conv2d(19, 5), ((4, 7, 15, 15),)),
        ("rows", BatchNorm2d(), ((9, 40, 20, 20),)),
        ("rows", BatchNorm2d(), ((1, 3, 5, 5),)),
        ("relu", ReLU(), ((4, 9, 30, 31),)),
        ("add", Add(), ((5, 4, 7, 7),) * 3),
    ],
)
def test_two_threads_equal_the_plain_form(
    name: str,
    layer: Layer,
    shapes: Any,
    dtype: str,
    two: Workers,
    compare: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "WORTH", 0)
    kernel = BY_NAME[name]
    if name == "im2col":
        monkeypatch.setattr("engine.kernels.im2col_conv2d.FEWEST_ROWS", 1)
        monkeypatch.setattr("engine.kernels.im2col_conv2d.CHUNK_BYTES", 20_000)
    for seed in range(2):
        rng = np.random.default_rng(seed)
        compare(Shared(kernel, two), layer, shapes, dtype, rng, need=True)
