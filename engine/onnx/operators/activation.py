"""Activations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import cast

import numpy as np

from engine.layers.base import Layer
from engine.layers.celu import CELU
from engine.layers.clip import Clip
from engine.layers.elu import ELU
from engine.layers.gelu import GELU
from engine.layers.hard_sigmoid import HardSigmoid
from engine.layers.hard_swish import HardSwish
from engine.layers.identity import Identity
from engine.layers.leaky_relu import LeakyReLU
from engine.layers.mish import Mish
from engine.layers.prelu import PReLU
from engine.layers.relu import ReLU
from engine.layers.selu import SELU
from engine.layers.sigmoid import Sigmoid
from engine.layers.silu import SiLU
from engine.layers.softplus import Softplus
from engine.layers.softsign import Softsign
from engine.layers.tanh import Tanh
from engine.layers.thresholded_relu import ThresholdedReLU
from engine.onnx.operators.arithmetic import combined
from engine.onnx.operators.steps import Steps, writes
from engine.onnx.rules import Nodes, Place
from engine.onnx.site import Known, Site, Value, imports

LARGEST = 3.4028235e38


LAYERS: Mapping[str, Callable[[Site], Layer]] = {
    "Relu": lambda site: ReLU(),
    "LeakyRelu": lambda site: LeakyReLU(float(site.attribute("alpha", 0.01))),
    "Elu": lambda site: ELU(float(site.attribute("alpha", 1.0))),
    "Selu": lambda site: SELU(
        float(site.attribute("alpha", 1.6732631921768188)),
        float(site.attribute("gamma", 1.0507010221481323)),
    ),
    "Celu": lambda site: CELU(float(site.attribute("alpha", 1.0))),
    "Gelu": lambda site: GELU(site.attribute("approximate", "none") == "tanh"),
    "Sigmoid": lambda site: Sigmoid(),
    "HardSigmoid": lambda site: HardSigmoid(
        float(site.attribute("alpha", 0.2)), float(site.attribute("beta", 0.5))
    ),
    "HardSwish": lambda site: HardSwish(),
    "Mish": lambda site: Mish(),
    "Tanh": lambda site: Tanh(),
    "Softplus": lambda site: Softplus(),
    "Softsign": lambda site: Softsign(),
    "ThresholdedRelu": lambda site: ThresholdedReLU(float(site.attribute("alpha", 1.0))),
}


@imports(*LAYERS)
def activation(site: Site) -> Sequence[Value]:
    return (site.layer(LAYERS[site.op](site), site.tensor(0)),)


@imports("Swish")
def swish(site: Site) -> Sequence[Value]:
    alpha = float(site.attribute("alpha", 1.0))
    x = site.tensor(0)
    if alpha == 1:
        return (site.layer(SiLU(), x),)
    steep = combined(site, "multiply", x, Known.of(np.float32(alpha)), role="steep")
    return (combined(site, "multiply", x, site.layer(Sigmoid(), steep, role="gate")),)


@imports("Identity")
def identity(site: Site) -> Sequence[Value]:
    value = site.value(0)
    if isinstance(value, Known):
        return (value,)
    return (site.layer(Identity(), site.tensor(value)),)


@imports("Clip")
def clip(site: Site) -> Sequence[Value]:
    x = site.tensor(0)
    if site.opset < 11:
        low = float(site.attribute("min", -LARGEST))
        high = float(site.attribute("max", LARGEST))
    else:
        low, high = site.number(1, -LARGEST), site.number(2, LARGEST)
    low, high = (min(max(float(v), -LARGEST), LARGEST) for v in (low, high))
    if low == 0 and high == LARGEST:
        return (site.layer(ReLU(), x),)
    return (site.layer(Clip(low, high), x),)


@imports("PRelu")
def prelu(site: Site) -> Sequence[Value]:
    x = site.value(0)
    slope = site.value(1)
    if isinstance(slope, Known) and slope.fixed:
        tensor = site.tensor(x)
        array = site.floats(slope.first)
        # one slope for all, or one for each channel
        if array.size == 1:
            params = {"weight": array.reshape(1)}
            return (site.layer(PReLU(True), tensor, params=params, key=(slope.name,)),)
        channels = tensor.sample[0] if not tensor.hidden and tensor.sample else 0
        aligned = array.reshape(array.shape[1:]) if array.ndim == tensor.rank else array
        # before opset 7 a row of slopes was one for each channel
        row = array.ndim == 1 and array.size == channels != tensor.sample[-1]
        full = array.size == channels == aligned.shape[0] and aligned.ndim == len(tensor.sample)
        if row or full:
            params = {"weight": array.reshape(channels)}
            return (site.layer(PReLU(), tensor, params=params, key=(slope.name,)),)
    zero = Known.of(np.float32(0))
    above = combined(site, "maximum", x, zero, role="above")
    below = combined(site, "minimum", x, zero, role="below")
    bent = combined(site, "multiply", below, slope, role="bent")
    return (combined(site, "add", above, bent),)


# ---- writing ---------------------------------------------------------------------------------


@writes("Clip")
def write_clip(place: Place) -> Nodes:
    layer, steps = cast(Clip, place.layer), Steps(place)
    return steps.last(
        "Clip", *place.inputs, steps.floats("low", layer.low), steps.floats("high", layer.high)
    )


@writes("Mish")
def write_mish(place: Place) -> Nodes:
    """x · tanh(softplus(x)); an operator of its own is too new for most runtimes."""
    steps = Steps(place)
    gate = steps("Tanh", "gate", steps("Softplus", "soft", *place.inputs))
    return steps.last("Mul", *place.inputs, gate)
