"""The course: pages in order, each an idea, what to do about it in the window, and its numbers.

A page says what to look at; its numbers come from the run that is in the window
(``lesson_facts.py``), so that they are those of the picture that one sees. Nothing is typed in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from PySide6.QtCore import QCoreApplication

from engine.cell import Cell
from explorer import lesson_facts as facts
from explorer.lesson_facts import Seen

Act = Literal["step", "cell", "select", "panel", "command", "gain", "open"]


def tr(text: str) -> str:
    """The text in the language of the program."""
    return QCoreApplication.translate("Lessons", text)


def QT_TRANSLATE_NOOP(_context: str, text: str) -> str:
    """Mark a text for the translation tools, which look for this name."""
    return text


@dataclass(frozen=True)
class Doing:
    """A button: what it says, and what it does in the window.

    ``act``: "step" (phase, node) goes behind that operation, "cell" (cell, direction) asks about a
    number, "select" (node), "panel" (name) brings it to the front, "command" (id) is one of the
    table, "gain" (node, slot, factor) is a what-if, "open" () the network of the page anew.
    """

    text: str
    act: Act
    args: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Lesson:
    """A page. ``network`` is what it is about, as ``lesson_guide`` opens it; ``graph`` its name.

    ``fact`` is what the window's run has to say about it, None where that has not run yet.
    """

    id: str
    title: str
    text: tuple[str, ...]
    network: str
    graph: str
    doings: tuple[Doing, ...]
    fact: Callable[[Seen], str | None]
    paths: bool = False
    """Whether the fact needs the residual paths to be worked out."""


def _n(text: str) -> str:
    return QT_TRANSLATE_NOOP("Lessons", text)


_LENET = ("lenet5", "LeNet-5")
_RESIDUAL = ("resnet-digits", "Residual network for digits")
_ADD, _FORK = "stage2/block2/add", "stage2/block1/relu2"

LESSONS: tuple[Lesson, ...] = (
    Lesson(
        "network",
        _n("A digit and its network"),
        (
            _n(
                "A convolutional network is built from three kinds of layer: convolutions, which "
                "look for patterns, pooling layers, which make the maps smaller, and fully "
                "connected layers, which decide. The picture at the beginning and the answer at "
                "the end are not layers: they compute nothing."
            ),
            _n(
                "Each card is a layer, and the strip on it are the numbers that it made of this "
                "very digit. The first layers find edges, later ones strokes and corners made of "
                "edges, the last ones whole digits."
            ),
        ),
        *_LENET,
        (
            Doing(_n("Start before the first operation"), "command", ("step.start",)),
            Doing(_n("One operation further"), "command", ("step.next",)),
            Doing(_n("To the answer"), "step", ("forward", "fc3")),
            Doing(_n("Draw your own digit"), "command", ("sample.draw",)),
        ),
        facts.answer,
    ),
    Lesson(
        "local",
        _n("Local connectivity"),
        (
            _n(
                "A cell of a convolution does not look at the whole picture but at a small patch "
                "of it, its receptive field. So there are few connections, and what is found is "
                "found where it is."
            ),
            _n(
                "Further on the patch grows, because a cell there looks at cells that each saw a "
                "patch. The outlines on the earlier layers show what the chosen cell can see; how "
                "much each pixel really counts for it is less, and can be measured."
            ),
        ),
        *_LENET,
        (
            Doing(_n("Step to conv1"), "step", ("forward", "conv1")),
            Doing(_n("Choose a cell of conv1"), "cell", (Cell("conv1", 0, (0, 12, 12)), "forward")),
            Doing(_n("Choose a cell of pool2"), "cell", (Cell("pool2", 0, (0, 2, 2)), "forward")),
            Doing(_n("How much does each pixel count?"), "panel", ("field",)),
        ),
        facts.local,
    ),
    Lesson(
        "sharing",
        _n("Shared weights"),
        (
            _n(
                "The same kernel slides over the whole picture: every place is looked at with the "
                "same weights. That saves nearly all parameters, and an edge that was learnt in "
                "one corner is known in all others."
            ),
            _n(
                "Backward this turns round: because every place used the kernel, every place has "
                "a say in its gradient. It is the sum over all of them. Look inside the operation "
                "and watch the kernel's gradient fill up, place by place."
            ),
        ),
        *_LENET,
        (
            Doing(_n("Step to conv1, backward"), "step", ("backward", "conv1")),
            Doing(_n("Its weights and their gradient"), "panel", ("weights",)),
            Doing(_n("Look inside the next operation"), "command", ("step.inside",)),
        ),
        facts.sharing,
    ),
    Lesson(
        "kernels",
        _n("Several kernels"),
        (
            _n(
                "One kernel finds one pattern. So a layer has several: each writes a map of its "
                "own, one for upright edges, say, another for corners. A later layer looks at all "
                "maps at once and combines them."
            ),
        ),
        *_LENET,
        (
            Doing(_n("Step to conv1"), "step", ("forward", "conv1")),
            Doing(_n("Its kernels"), "panel", ("weights",)),
            Doing(_n("Step to conv2, which reads all six maps"), "step", ("forward", "conv2")),
        ),
        facts.kernels,
    ),
    Lesson(
        "bend",
        _n("Negative becomes zero"),
        (
            _n(
                "Between the layers stands a ReLU: max(0, x). Without such a bend two "
                "convolutions in a row would be no more than one, because a sum of sums is a sum."
            ),
            _n(
                "Backward it is a door: where the number was positive the gradient passes "
                "unchanged, where it was cut to zero the gradient ends."
            ),
        ),
        *_LENET,
        (
            Doing(_n("Step to relu1"), "step", ("forward", "relu1")),
            Doing(_n("Step to relu1, backward"), "step", ("backward", "relu1")),
        ),
        facts.bend,
    ),
    Lesson(
        "pooling",
        _n("Pooling: only the strongest"),
        (
            _n(
                "Max pooling keeps of each window only the largest number; average pooling keeps "
                "the mean. With windows of 2×2 a quarter of the cells is left, the layers behind "
                "have less to do, and a shift by a pixel matters less: it is a kind of blur."
            ),
            _n("The pooling layer itself has no weights. The marks show who won each window."),
        ),
        *_LENET,
        (
            Doing(_n("Step to pool1"), "step", ("forward", "pool1")),
            Doing(_n("Step to pool2"), "step", ("forward", "pool2")),
        ),
        facts.pooling,
    ),
    Lesson(
        "error",
        _n("Where blame begins"),
        (
            _n(
                "The scores become shares that add up to 1. The error is small when the right "
                "answer has a large share: it is −ln of that share."
            ),
            _n(
                "Its gradient at each score is the share minus what it should have been. From "
                "here on everything runs against the arrows: how much would the error change if "
                "this number were a little larger?"
            ),
        ),
        *_LENET,
        (
            Doing(_n("Measure the error"), "step", ("loss", "loss")),
            Doing(_n("Send it back to the scores"), "step", ("backward", "loss")),
            Doing(_n("Send it through fc3"), "step", ("backward", "fc3")),
        ),
        facts.error,
    ),
    Lesson(
        "max-window",
        _n("Max pooling, backward"),
        (
            _n(
                "A pooling layer has no weights: does training end there? No. It has nothing to "
                "learn, but it hands the gradient on: in forward it remembers which cell won, and "
                "all of the gradient goes to that cell. The others get exactly zero."
            ),
            _n(
                "This is not a trick: if a cell that lost becomes a little larger, the maximum "
                "stays the same, so its gradient is zero. Check measures it: the cell is nudged "
                "and the network runs again. Only at a tie is it a choice (the first one wins)."
            ),
        ),
        "example:max-window",
        "max-window",
        (
            Doing(_n("Forward"), "step", ("forward", "pool")),
            Doing(_n("Backward"), "step", ("backward", "pool")),
            Doing(
                _n("Ask about the winner's gradient"),
                "cell",
                (Cell("image", 0, (0, 1, 1)), "gradient"),
            ),
            Doing(_n("Check it: nudge and measure"), "command", ("focus.check",)),
        ),
        facts.window,
    ),
    Lesson(
        "average-window",
        _n("Average pooling, backward"),
        (
            _n(
                "Of a mean every cell is a part: if one grows by 1, the mean of four grows by a "
                "quarter. So the gradient is divided evenly, a quarter to each of the four."
            ),
        ),
        "example:average-window",
        "average-window",
        (
            Doing(_n("Forward"), "step", ("forward", "avgpool")),
            Doing(_n("Backward"), "step", ("backward", "avgpool")),
            Doing(
                _n("Ask about one of the quarters"),
                "cell",
                (Cell("image", 0, (0, 0, 0)), "gradient"),
            ),
        ),
        facts.window,
    ),
    Lesson(
        "routed",
        _n("Which cell got the gradient?"),
        (
            _n(
                "The same in LeNet-5: each number of pool1's gradient travels to the cell of relu1 "
                "that won its window in forward. The marks are those from before."
            ),
            _n(
                "So at least three of four cells of relu1 get no gradient from this picture: of "
                "each window of 2×2 only the winner, and where the gradient that arrived is itself "
                "zero, not even that one."
            ),
        ),
        *_LENET,
        (
            Doing(_n("Step to pool1, backward"), "step", ("backward", "pool1")),
            Doing(_n("Choose the pooled cell with most gradient"), "cell", (None, "gradient")),
            Doing(_n("Follow it: why?"), "command", ("focus.why",)),
        ),
        facts.routed,
    ),
    Lesson(
        "stride",
        _n("Why 75% of it are zero"),
        (
            _n(
                "A convolution with windows of 1×1 and stride 2 looks at every second cell of "
                "every second row: at one cell of four. To the other three nothing was multiplied, "
                "so no gradient can come back to them, whatever the weights are."
            ),
            _n(
                "ResNet has such layers where a skip must change the size of its maps: see "
                "stage2/block1/shortcut/conv in the residual network."
            ),
        ),
        "example:stride",
        "stride",
        (
            Doing(_n("Backward"), "command", ("step.end",)),
            Doing(
                _n("Ask about a cell that nobody looked at"),
                "cell",
                (Cell("image", 0, (0, 1, 2)), "gradient"),
            ),
            Doing(
                _n("Ask about one that was looked at"),
                "cell",
                (Cell("image", 0, (0, 2, 2)), "gradient"),
            ),
            Doing(_n("Where from?"), "panel", ("cell",)),
        ),
        facts.zeros,
    ),
    Lesson(
        "adjust",
        _n("Adjust: all that learning is"),
        (
            _n(
                "At the end of the way back every weight has a gradient, and moves a little "
                "against it. The same for many pictures, thousands of times, is training."
            ),
            _n(
                "In the window this step changes nothing for good: looking does not train. "
                "Training does: press Start training and watch the same digit being read better."
            ),
        ),
        *_LENET,
        (
            Doing(_n("To the end of the run"), "command", ("step.end",)),
            Doing(_n("conv1: weights and gradient"), "select", ("conv1",)),
            Doing(_n("Open the training panel"), "command", ("view.train",)),
        ),
        facts.adjust,
    ),
    Lesson(
        "residual",
        _n("A skip: y = F(x) + x"),
        (
            _n(
                "In a residual block the tensor x goes two ways: through the branch F, two "
                "convolutions, and past it, over the skip. At the Add they meet. The branch has "
                "to learn only the difference y − x, the residual."
            ),
            _n(
                "A block that has nothing to add yet lets x through as it is, so a deep network "
                "is no worse to begin with than a shallow one."
            ),
        ),
        *_RESIDUAL,
        (
            Doing(_n("Where the ways part"), "step", ("forward", _FORK)),
            Doing(_n("Where they meet"), "step", ("forward", _ADD)),
        ),
        facts.joined,
    ),
    Lesson(
        "fork",
        _n("The gradient over a skip"),
        (
            _n(
                "A sum hands its gradient to both inputs, whole. Over the skip it comes back "
                "unchanged; through the branch it passes two convolutions. Where the ways parted "
                "the two gradients are added, in a step of its own."
            ),
            _n(
                "It is often said that skips cure vanishing gradients. Without normalisation "
                "gradients do vanish with depth; the authors of ResNet say of their plain networks "
                "with batch norm that this is unlikely to be what made them hard to train."
            ),
        ),
        *_RESIDUAL,
        (
            Doing(_n("The gradient parts at the Add"), "step", ("backward", _ADD)),
            Doing(_n("It is added up at the fork"), "step", ("accumulate", _FORK)),
        ),
        facts.met,
    ),
    Lesson(
        "paths",
        _n("Through the skips alone"),
        (
            _n(
                "At every Add a path can take the skip or the branch: behind L blocks there are "
                "2^L paths. The gradient at the first block is the sum over all of them, and the "
                "program takes it apart exactly, by the number of branches that were crossed."
            ),
            _n(
                "The bars stand beside the number of such paths. Most paths cross about half of "
                "the branches. The shares are signed, and add up to 100%."
            ),
        ),
        *_RESIDUAL,
        (
            Doing(_n("To the end of the run"), "command", ("step.end",)),
            Doing(_n("Show the residual paths"), "panel", ("paths",)),
        ),
        facts.paths,
        paths=True,
    ),
    Lesson(
        "muted",
        _n("What if a branch is missing?"),
        (
            _n(
                "Mute a branch and the network runs at once without what it adds: x still passes "
                "over the skip. Deep residual networks hardly notice one missing block (Veit et "
                "al. 2016). This one has only three: try which of them carry the answer, and "
                "look at more than one picture."
            ),
            _n(
                "A what-if changes nothing for good: the bar above the network has a Reset. A "
                "right click on any Add or Concat, or on a line into one, offers the same."
            ),
        ),
        *_RESIDUAL,
        (
            Doing(_n("Mute the last branch"), "gain", (_ADD, 0, 0.0)),
            Doing(_n("Mute the first branch too"), "gain", ("stage1/block1/add", 0, 0.0)),
            Doing(_n("To the answer"), "step", ("forward", "fc")),
            Doing(_n("Reset"), "command", ("focus.reset",)),
        ),
        facts.what_if,
    ),
    Lesson(
        "two-layers",
        _n("Why it spans two layers"),
        (
            _n(
                "Over a single linear layer the skip would give y = W·x + x = (W + I)·x: that is "
                "again one linear layer, so nothing is gained. With a bend between two layers the "
                "branch can be something that no single layer is."
            ),
            _n(
                "Experiments agree: with ResNet-110 on CIFAR-10, skips over one layer gave an "
                "error of 9.90%, over two 6.61% (He et al. 2016, table 3)."
            ),
        ),
        "gallery:cifar-resnet20-skip1",
        "ResNet-20 for CIFAR-10 (skips of 1 layer, option A)",
        (
            Doing(_n("Open a network with skips over one layer"), "open"),
            Doing(_n("Select its first Add"), "select", ("stage1/block1/add",)),
        ),
        facts.span,
    ),
    Lesson(
        "dense",
        _n("Dense connections"),
        (
            _n(
                "In a DenseNet a layer does not add to what came before but stands beside it: "
                "Concat puts its channels behind all earlier ones, and every later layer reads "
                "all of them. Nothing found once must be found again."
            ),
            _n(
                "Backward, a Concat cuts the gradient where the channels meet: each layer gets its "
                "own piece from every later reader, and the pieces are added up."
            ),
        ),
        "gallery:densenet-digits",
        "DenseNet for digits",
        (
            Doing(
                _n("Where all layers of a block stand side by side"),
                "step",
                ("forward", "block1/layer3/concat"),
            ),
            Doing(_n("The same, backward"), "step", ("backward", "block1/layer3/concat")),
            Doing(_n("Mute the first layer's part"), "gain", ("block1/layer3/concat", 1, 0.0)),
            Doing(_n("Reset"), "command", ("focus.reset",)),
        ),
        facts.dense,
    ),
    Lesson(
        "inception",
        _n("Inception: several sizes"),
        (
            _n(
                "How large should a kernel be? GoogLeNet does not choose: 1×1, 3×3, 5×5 and a "
                "pooling stand side by side on the same tensor, and Concat joins their maps. "
                "Kernels of 1×1 before the large ones keep the cost down."
            ),
        ),
        "gallery:googlenet-digits",
        "GoogLeNet for digits",
        (
            Doing(_n("Where its branches meet"), "step", ("forward", "inception3/a/concat")),
            Doing(_n("Mute the 5×5 branch"), "gain", ("inception3/a/concat", 2, 0.0)),
            Doing(_n("Reset"), "command", ("focus.reset",)),
        ),
        facts.inception,
    ),
    Lesson(
        "separable",
        _n("Depthwise separable"),
        (
            _n(
                "A convolution does two things at once: it looks around in each map, and it mixes "
                "maps. MobileNet does one after the other: a kernel for each map (depthwise), then "
                "1×1 kernels that mix them (pointwise). That costs 1/N + 1/K² of the whole, for N "
                "maps and kernels of K×K."
            ),
        ),
        "gallery:mobilenet-digits",
        "MobileNet for digits",
        (
            Doing(_n("Step to the depthwise half"), "step", ("forward", "block1/depthwise/conv")),
            Doing(_n("Step to the pointwise half"), "step", ("forward", "block1/pointwise/conv")),
        ),
        facts.separable,
    ),
    Lesson(
        "family",
        _n("Twenty years of networks"),
        (
            _n(
                "LeNet-5 (1998) read cheques. AlexNet (2012) won ImageNet with ReLU and dropout; "
                "ZFNet (2013) looked inside it and chose better kernels. VGG (2014) showed that "
                "many small kernels beat few large ones; GoogLeNet (2014) stood kernels of several "
                "sizes side by side. ResNet (2015) went to over a hundred layers with skips; "
                "DenseNet (2017) connects each layer to all later ones."
            ),
            _n(
                "All of them are in File > Gallery, with their published sizes, and smaller ones "
                "of each family that run on digits."
            ),
        ),
        "gallery:vgg-digits",
        "VGG for digits",
        (
            Doing(_n("Open VGG for digits"), "open"),
            Doing(_n("To the end of the run"), "command", ("step.end",)),
            Doing(_n("Compare its layers' gradients"), "command", ("view.flow",)),
        ),
        facts.size,
    ),
)
