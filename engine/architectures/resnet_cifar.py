"""Residual networks for CIFAR-10: thin, deep, and in the forms that were compared."""

from __future__ import annotations

from functools import partial
from typing import Literal

from engine.architectures.base import CIFAR10, Architecture, Builder
from engine.graph import Graph, Ref
from engine.layers.add import Add
from engine.layers.base import Layer
from engine.layers.batch_norm2d import BatchNorm2d
from engine.layers.conv2d import Conv2d
from engine.layers.flatten import Flatten
from engine.layers.global_avg_pool import GlobalAvgPool
from engine.layers.linear import Linear
from engine.layers.max_pool2d import MaxPool2d
from engine.layers.pad import Pad
from engine.layers.relu import ReLU

DEPTHS = (20, 32, 44, 56, 110)
WIDTHS = (16, 32, 64)
Shortcut = Literal["A", "B", "none"]


def resnet_cifar(
    depth: int, shortcut: Shortcut = "B", preactivation: bool = False, span: int = 2
) -> Graph:
    """ResNet-``depth`` for (3, 32, 32) pictures of CIFAR-10; depth is 6n + 2.

    A 3×3 stem of 16 maps, then three stages of 2n convolutions at 32²×16, 16²×32 and 8²×64, and
    a head. Each skip goes around ``span`` convolutions (2 in the papers; it must divide 2n).

    ``shortcut`` where the shape changes, by the names of He et al. 2016, section 4.1: "A" takes
    every second row and column and adds maps of zeros, without a parameter, as the paper's networks
    for CIFAR-10; "B" projects with a 1×1 convolution; "none" leaves every skip out, which is the
    plain network. Parameters of depths 20, 32, 44, 56, 110: 269,722 / 464,154 / 658,586 /
    853,018 / 1,727,962 (0.27, 0.46, 0.66, 0.85 and 1.7 M in table 6 of the paper) without
    projections, and 2,752 more with them.

    ``preactivation``: batch norm and ReLU stand before each convolution, so that the skips carry
    their input unchanged from end to end (He et al. 2016, "Identity mappings", figure 1b). A
    projection then reads the normalised input and has no batch norm of its own, as in the authors'
    code: 2,560 parameters more than without projections.
    """
    convolutions, rest = divmod(depth - 2, 3)
    if rest or convolutions < 1 or convolutions % span:
        raise ValueError(
            f"resnet_cifar: expected a depth of 3m + 2 with m a multiple of span {span}, "
            f"received {depth}."
        )
    build = Builder((3, 32, 32))
    x = build.node("stem/conv", Conv2d(16, 3, padding=1, bias=False), build.input)
    if not preactivation:
        x = build.chain(x, ("stem/bn", BatchNorm2d()), ("stem/relu", ReLU()))
    block = _preactivated if preactivation else _block
    for stage, width in enumerate(WIDTHS, 1):
        for number in range(1, convolutions // span + 1):
            stride = 2 if number == 1 and stage > 1 else 1
            x = block(build, f"stage{stage}/block{number}", x, width, stride, span, shortcut)
    if preactivation:
        x = build.chain(x, ("bn", BatchNorm2d()), ("relu", ReLU()))
    logits = build.chain(x, ("gap", GlobalAvgPool()), ("flatten", Flatten()), ("fc", Linear(10)))
    return build.classifier(logits, _title(depth, shortcut, preactivation, span), CIFAR10)


def _block(
    build: Builder, name: str, x: Ref, width: int, stride: int, span: int, shortcut: Shortcut
) -> Ref:
    """relu(branch(x) + skip(x)): the last ReLU stands behind the sum."""
    entries: list[tuple[str, Layer]] = []
    for number in range(1, span + 1):
        step = stride if number == 1 else 1
        entries += [
            (f"{name}/conv{number}", Conv2d(width, 3, stride=step, padding=1, bias=False)),
            (f"{name}/bn{number}", BatchNorm2d()),
        ]
        if number < span:
            entries.append((f"{name}/relu{number}", ReLU()))
    y = build.chain(x, *entries)
    if shortcut != "none":
        skip = x
        if stride > 1 and shortcut == "A":
            skip = _thinned(build, name, x, width)
        elif stride > 1:
            skip = build.chain(
                x,
                (f"{name}/shortcut/conv", Conv2d(width, 1, stride=stride, bias=False)),
                (f"{name}/shortcut/bn", BatchNorm2d()),
            )
        y = build.node(f"{name}/add", Add(), y, skip)
    return build.node(f"{name}/relu{span}", ReLU(), y)


def _thinned(build: Builder, name: str, x: Ref, width: int) -> Ref:
    """Every second row and column, and maps of zeros behind, so that there are ``width``."""
    return build.chain(
        x,
        (f"{name}/shortcut/subsample", MaxPool2d(1, 2)),
        (f"{name}/shortcut/pad", Pad(0, channels=(0, width // 2))),
    )


def _preactivated(
    build: Builder, name: str, x: Ref, width: int, stride: int, span: int, shortcut: Shortcut
) -> Ref:
    """branch(x) + skip(x), and nothing behind the sum."""
    skip, y = x, x
    for number in range(1, span + 1):
        step = stride if number == 1 else 1
        y = build.chain(y, (f"{name}/bn{number}", BatchNorm2d()), (f"{name}/relu{number}", ReLU()))
        if number == 1 and stride > 1 and shortcut == "A":
            skip = _thinned(build, name, x, width)
        elif number == 1 and stride > 1 and shortcut == "B":
            layer = Conv2d(width, 1, stride=stride, bias=False)
            skip = build.node(f"{name}/shortcut/conv", layer, y)
        layer = Conv2d(width, 3, stride=step, padding=1, bias=False)
        y = build.node(f"{name}/conv{number}", layer, y)
    return y if shortcut == "none" else build.node(f"{name}/add", Add(), y, skip)


def _title(depth: int, shortcut: Shortcut, preactivation: bool, span: int) -> str:
    if shortcut == "none":
        return f"Plain network of {depth} layers for CIFAR-10"
    details = [f"option {shortcut}"]
    if preactivation:
        details.insert(0, "pre-activation")
    if span != 2:
        details.insert(0, f"skips of {span} layer{'s' * (span > 1)}")
    return f"ResNet-{depth} for CIFAR-10 ({', '.join(details)})"


def _entry(
    depth: int, shortcut: Shortcut = "A", preactivation: bool = False, span: int = 2
) -> Architecture:
    stem = "plain" if shortcut == "none" else "resnet"
    ending = "-b" if shortcut == "B" else ""
    form = "-preactivation" * preactivation + f"-skip{span}" * (span != 2)
    if shortcut == "none":
        idea = "The same layers without skips: deeper makes even the training error larger."
    elif preactivation:
        idea = (
            "With nothing behind the sums, a gradient passes from the last to the first unchanged."
        )
    elif span != 2:
        idea = "How many layers a skip goes around is free; the papers found two or three best."
    else:
        idea = "With skips 110 layers learn more than 20 do; without them they learn less."
    return Architecture(
        id=f"cifar-{stem}{depth}{form}{ending}",
        title=_title(depth, shortcut, preactivation, span),
        year=2016,
        idea=idea,
        source=_IDENTITY if preactivation else _SOURCE,
        input=(3, 32, 32),
        build=partial(resnet_cifar, depth, shortcut, preactivation, span),
        family="ResNet for CIFAR-10",
    )


_SOURCE = (
    "He, Zhang, Ren & Sun: Deep residual learning for image recognition, CVPR 2016, section 4.2"
)
_IDENTITY = "He, Zhang, Ren & Sun: Identity mappings in deep residual networks, ECCV 2016"

ARCHITECTURES = (
    *(_entry(depth) for depth in DEPTHS),
    *(_entry(depth, "B") for depth in DEPTHS),
    *(_entry(depth, preactivation=True) for depth in DEPTHS),
    *(_entry(depth, "B", preactivation=True) for depth in DEPTHS),
    *(_entry(depth, "none") for depth in DEPTHS),
    *(_entry(20, span=span) for span in (1, 3)),
    *(_entry(20, "B", span=span) for span in (1, 3)),
)
