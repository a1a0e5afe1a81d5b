"""A residual network small enough to step through."""

from __future__ import annotations

from engine.architectures.base import Architecture, Builder
from engine.graph import Graph, Ref
from engine.layers.add import Add
from engine.layers.batch_norm2d import BatchNorm2d
from engine.layers.conv2d import Conv2d
from engine.layers.flatten import Flatten
from engine.layers.global_avg_pool import GlobalAvgPool
from engine.layers.linear import Linear
from engine.layers.relu import ReLU


def resnet_digits() -> Graph:
    """A residual network for (1, 8, 8) digits: a stem, three blocks, one of them halving the maps.

    The blocks are the basic block of He et al. 2016 with its projection shortcut (option B) where
    size and channels change; 8 layers with weights on the longest path.
    """
    build = Builder((1, 8, 8))
    x = build.chain(
        build.input,
        ("stem/conv", Conv2d(16, 3, padding=1, bias=False)),
        ("stem/bn", BatchNorm2d()),
        ("stem/relu", ReLU()),
    )
    x = _block(build, "stage1/block1", x, 16)
    x = _block(build, "stage2/block1", x, 32, stride=2, project=True)
    x = _block(build, "stage2/block2", x, 32)
    logits = build.chain(x, ("gap", GlobalAvgPool()), ("flatten", Flatten()), ("fc", Linear(10)))
    return build.classifier(logits, "Residual network for digits", tuple("0123456789"))


def _block(
    build: Builder, name: str, x: Ref, channels: int, stride: int = 1, project: bool = False
) -> Ref:
    """relu(branch(x) + skip(x)); the batch norms make a bias in the convolutions useless."""
    branch = build.chain(
        x,
        (f"{name}/conv1", Conv2d(channels, 3, stride=stride, padding=1, bias=False)),
        (f"{name}/bn1", BatchNorm2d()),
        (f"{name}/relu1", ReLU()),
        (f"{name}/conv2", Conv2d(channels, 3, padding=1, bias=False)),
        (f"{name}/bn2", BatchNorm2d()),
    )
    skip = x
    if project:
        skip = build.chain(
            x,
            (f"{name}/shortcut/conv", Conv2d(channels, 1, stride=stride, bias=False)),
            (f"{name}/shortcut/bn", BatchNorm2d()),
        )
    return build.chain(build.node(f"{name}/add", Add(), branch, skip), (f"{name}/relu2", ReLU()))


ARCHITECTURE = Architecture(
    id="resnet-digits",
    title="Residual network for digits",
    year=2016,
    idea="A skip carries the input around each block, so the gradient has a way past its layers.",
    source="He, Zhang, Ren & Sun: Deep residual learning for image recognition, CVPR 2016; "
    "its basic block, reduced to 8×8 digits",
    input=(1, 8, 8),
    build=resnet_digits,
    file="resnet-digits.gflow",
)
