"""VGG: depth out of small kernels alone."""

from __future__ import annotations

from functools import partial

from engine.architectures.base import DIGITS, Architecture, Builder
from engine.graph import Graph, Ref
from engine.layers.base import Layer
from engine.layers.batch_norm2d import BatchNorm2d
from engine.layers.conv2d import Conv2d
from engine.layers.dropout import Dropout
from engine.layers.flatten import Flatten
from engine.layers.linear import Linear
from engine.layers.max_pool2d import MaxPool2d
from engine.layers.relu import ReLU

CONVOLUTIONS = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
"""Convolutions of each stage, by depth: columns A, B, D and E of the paper's table 1."""
WIDTHS = (64, 128, 256, 512, 512)


def vgg(depth: int, batch_norm: bool = False) -> Graph:
    """VGG-``depth`` for (3, 224, 224) pictures and 1000 classes; depth 11, 13, 16 or 19.

    Parameters: 132,863,336 / 133,047,848 / 138,357,544 / 143,667,240, as in table 2 of Simonyan &
    Zisserman 2015 (133, 133, 138 and 144 million). With ``batch_norm`` (torchvision's vgg11_bn to
    vgg19_bn; the convolutions keep their biases): 132,868,840 / 133,053,736 / 138,365,992 /
    143,678,248. Multiply-adds 7.609 / 11.308 / 15.470 / 19.632 G either way.
    """
    build = Builder((3, 224, 224))
    x = _stages(build, CONVOLUTIONS[depth], WIDTHS, batch_norm)
    logits = build.chain(
        x,
        ("flatten", Flatten()),
        ("fc1", Linear(4096)),
        ("relu1", ReLU()),
        ("dropout1", Dropout(0.5)),
        ("fc2", Linear(4096)),
        ("relu2", ReLU()),
        ("dropout2", Dropout(0.5)),
        ("fc3", Linear(1000)),
    )
    return build.classifier(logits, _title(depth, batch_norm), ())


def vgg_digits() -> Graph:
    """VGG for (1, 8, 8) digits: three stages of two 3×3 convolutions, then one hidden layer.

    With batch normalisation, because six layers start to learn slowly without it.
    """
    build = Builder((1, 8, 8))
    x = _stages(build, (2, 2, 2), (16, 32, 64), batch_norm=True)
    logits = build.chain(
        x,
        ("flatten", Flatten()),
        ("fc1", Linear(64)),
        ("relu1", ReLU()),
        ("dropout1", Dropout(0.5)),
        ("fc2", Linear(10)),
    )
    return build.classifier(logits, "VGG for digits", DIGITS)


def _stages(
    build: Builder, convolutions: tuple[int, ...], widths: tuple[int, ...], batch_norm: bool
) -> Ref:
    """Each stage: 3×3 convolutions of one width, then a pooling that halves the maps."""
    x = build.input
    for stage, (count, width) in enumerate(zip(convolutions, widths, strict=True), 1):
        for number in range(1, count + 1):
            entries: list[tuple[str, Layer]] = [
                (f"stage{stage}/conv{number}", Conv2d(width, 3, padding=1))
            ]
            if batch_norm:
                entries.append((f"stage{stage}/bn{number}", BatchNorm2d()))
            x = build.chain(x, *entries, (f"stage{stage}/relu{number}", ReLU()))
        x = build.node(f"stage{stage}/pool", MaxPool2d(2, 2), x)
    return x


def _title(depth: int, batch_norm: bool) -> str:
    return f"VGG-{depth}{' with batch normalisation' if batch_norm else ''}"


_IDEA = "Stacks of 3×3 kernels see as far as a large one, with fewer weights and more bends."
_SOURCE = (
    "Simonyan & Zisserman: Very deep convolutional networks for large-scale image recognition, "
    "ICLR 2015 (2014)"
)

ARCHITECTURES = (
    *(
        Architecture(
            id=f"vgg{depth}{'-bn' if batch_norm else ''}",
            title=_title(depth, batch_norm),
            year=2014,
            idea=_IDEA,
            source=_SOURCE + ("; batch normalisation as in torchvision" if batch_norm else ""),
            input=(3, 224, 224),
            build=partial(vgg, depth, batch_norm),
            family="VGG",
        )
        for batch_norm in (False, True)
        for depth in CONVOLUTIONS
    ),
    Architecture(
        id="vgg-digits",
        title="VGG for digits",
        year=2014,
        idea=_IDEA,
        source=f"{_SOURCE}; three stages, for 8×8 digits",
        input=(1, 8, 8),
        build=vgg_digits,
        family="VGG",
        scale="classroom",
    ),
)
