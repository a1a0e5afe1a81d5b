"""What a line of the command box means besides a command: a layer to add, a place to go to.

conv 64 3x3 s2 same     a convolution of 64 maps, 3×3, stride 2, padded so that the size stays
pool 3 s2 p1            max pooling
fc 120                  a fully connected layer
dropout 0.3             the first number with a point is the first such setting
gn groups=4             any setting by its name
residual block 32 s2    a block of layers, with its channels and stride
mine x0.5               one of the user's blocks, with so many times its channels
mine 64                 the same with that many channels in its last layer
goto fc2                to that layer
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from PySide6.QtCore import QCoreApplication

from engine.building_blocks import KINDS, Block
from engine.layers.base import REGISTRY, HyperField, HyperparameterError, Layer

ALSO = {
    "conv2d": "Conv2d",
    "convolution": "Conv2d",
    "maxpool": "MaxPool2d",
    "max": "MaxPool2d",
    "linear": "Linear",
    "dense": "Linear",
    "fully": "Linear",
    "batchnorm": "BatchNorm2d",
    "avg": "AvgPool2d",
    "average": "AvgPool2d",
    "deconv": "ConvTranspose2d",
    "upsample": "Resize",
    "prelu": "PReLU",
    "swish": "SiLU",
}
"""Other words for a layer than its short name and its class."""
LETTERS = {"k": "kernel_size", "s": "stride", "p": "padding", "d": "dilation", "g": "groups"}
TELLING = 4
"""A beginning of fewer letters is no layer when the rest cannot be read: "to the start"."""
MOST_TIMES = 64
"""So many times its channels one of the user's blocks can have."""
_SIZE = re.compile(r"(\d+)[x×*](\d+)")
_FACTOR = re.compile(r"[x×*](\d*\.?\d+)|(\d*\.?\d+)[x×*]")
_LETTER = re.compile(r"([kspdg])(\d+)(?:[x×*](\d+))?")


@dataclass(frozen=True)
class Typed:
    """One thing that a line may mean: ``layer`` or ``block`` to add, ``node`` to go to, or neither.

    ``own`` is the name of one of the user's blocks, to be added with ``factor`` times its channels.
    Neither means that ``text`` says what could not be read.
    """

    text: str
    layer: Layer | None = None
    block: Block | None = None
    node: str = ""
    own: str = ""
    factor: float = 1.0
    sure: bool = True
    """Named in full; else the beginning of a name, which may begin a command as well."""
    line: str = ""
    """What can be typed for it, where that goes on from what was typed: Tab completes to it."""


def _tr(text: str) -> str:
    return QCoreApplication.translate("Typed", text)


def _kinds(word: str) -> tuple[list[type[Layer]], bool]:
    """The layers that a word names, and whether in full: else their names begin with it."""
    names: dict[str, type[Layer]] = {}
    for kind in REGISTRY.values():
        names[kind.__name__.lower()] = kind
        names[kind.slug] = kind
    names |= {word: REGISTRY[name] for word, name in ALSO.items() if name in REGISTRY}
    if word in names:
        return [names[word]], True
    if len(word) < 2:
        return [], False
    found = [kind for name, kind in names.items() if name.startswith(word)]
    return sorted(set(found), key=lambda kind: (len(kind.slug), kind.slug)), False


def _first(fields: Iterable[HyperField], kind: type) -> str:
    for field in fields:
        if type(field.default) is kind and not field.choices:
            return field.name
    return ""


def _pair(first: str, second: str | None) -> int | tuple[int, int]:
    return int(first) if second is None or first == second else (int(first), int(second))


def _value(field: HyperField, text: str) -> Any:
    """A value as it is typed behind ``name=``."""
    if isinstance(field.default, bool):
        return {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}[
            text
        ]
    if field.choices:
        return next(choice for choice in field.choices if str(choice).lower() == text)
    if size := _SIZE.fullmatch(text):
        return _pair(size[1], size[2])
    return float(text) if isinstance(field.default, float) else int(text)


def _read(layer: Layer, word: str, taken: set[str]) -> Layer:
    """The layer with what one word says of it; ValueError when it says nothing."""
    fields = {field.name: field for field in layer.hyperparameters()}

    def put(name: str, value: Any) -> Layer:
        if name not in fields:
            raise ValueError(word)
        taken.add(name)
        return replace(layer, **{name: value})

    if "=" in word:
        name, text = word.split("=", 1)
        return put(name, _value(fields[name], text))
    if size := _SIZE.fullmatch(word):
        name = "kernel_size" if "kernel_size" in fields else "scale"
        return put(name, _pair(size[1], size[2]))
    if letter := _LETTER.fullmatch(word):
        return put(LETTERS[letter[1]], _pair(letter[2], letter[3]))
    if word == "nobias":
        return put("bias", False)
    for field in fields.values():
        if word in [str(choice).lower() for choice in field.choices]:
            return put(field.name, _value(field, word))
        if field.name == word and isinstance(field.default, bool):
            return put(word, True)
    if re.fullmatch(r"\d+", word):
        whole = [f for f in fields.values() if f.name not in taken]
        return put(_first(whole, int), int(word))
    if re.fullmatch(r"\d*\.\d+(e-?\d+)?", word):
        return put(_first((f for f in fields.values() if f.name not in taken), float), float(word))
    raise ValueError(word)


def _padded(layer: Any) -> Any:
    """With the padding that keeps the size at stride 1."""
    kernel = layer.kernel_size if isinstance(layer.kernel_size, tuple) else (layer.kernel_size,) * 2
    spread = getattr(layer, "dilation", 1)
    dilation = spread if isinstance(spread, tuple) else (spread, spread)
    if any(k % 2 == 0 for k in kernel):
        raise ValueError("same")
    sides = tuple(d * (k - 1) // 2 for k, d in zip(kernel, dilation, strict=True))
    padding = sides[0] if sides[0] == sides[1] else sides
    return replace(layer, padding=padding)


def _layer(kind: type[Layer], words: list[str]) -> Typed:
    layer, taken = kind(), set[str]()
    same = "same" in words
    try:
        for word in words:
            if word != "same":
                layer = _read(layer, word, taken)
        if same:
            layer = _padded(layer)
    except HyperparameterError as error:
        return Typed(str(error))
    except (ValueError, KeyError, StopIteration, TypeError, AttributeError):
        bad = word if not same or word != "same" else "same"
        names = ", ".join(f"{f.name}=" for f in layer.hyperparameters()) or _tr("nothing more")
        return Typed(_tr("{0}: expected {1}, received {2!r}").format(kind.title, names, bad))
    line = " ".join([kind.slug, *words])
    return Typed(_tr("Add {0}").format(described(layer)), layer, line=line)


def described(layer: Layer) -> str:
    """A layer in words, with what differs from a new one."""
    parts = []
    for number, field in enumerate(layer.hyperparameters()):
        value = getattr(layer, field.name)
        if value != field.default or number == 0 or field.name == "kernel_size":
            shown = "×".join(map(str, value)) if isinstance(value, tuple) else str(value)
            parts.append(f"{field.name} {shown}")
    return ", ".join([layer.title, *parts])


def _blocks(words: list[str]) -> list[Typed]:
    """The blocks whose name a line begins with, or is the beginning of."""
    plain = " ".join(words).replace("-", " ")
    sure: list[tuple[int, Typed]] = []
    begun: list[Typed] = []
    for name, kind in KINDS.items():
        named = [known for known in kind.words if f"{plain} ".startswith(f"{known} ")]
        if named:
            longest = max(map(len, named))
            sure.append((longest, _block(name, plain[longest:].split())))
        elif len(plain) > 2 and any(known.startswith(plain) for known in kind.words):
            begun.append(replace(_block(name, []), sure=False))
    if sure:
        return [max(sure, key=lambda found: found[0])[1]]
    return begun


def _block(name: str, words: list[str]) -> Typed:
    kind, width, stride = KINDS[name], 0, 1
    for word in words:
        number = re.fullmatch(r"(s?)(\d{1,5})", word)
        if number and number[1] and kind.strides and int(number[2]) > 0:
            stride = int(number[2])
        elif number and not number[1] and int(number[2]) > 0:
            width = int(number[2])
        else:
            wanted = _tr("{0} and a stride such as s2") if kind.strides else "{0}"
            return Typed(
                _tr("{0}: expected {1}, received {2!r}").format(
                    kind.title, wanted.format(_tr(kind.width)), word
                )
            )
    parts = [kind.title]
    if width:
        parts.append(f"{_tr(kind.width)} {width}")
    if stride > 1:
        parts.append(_tr("stride {0}").format(stride))
    return Typed(
        _tr("Add {0}").format(", ".join(parts)),
        block=Block(name, width, stride),
        line=" ".join([kind.words[0], *words]),
    )


def _own_blocks(plain: str, own: Mapping[str, int]) -> list[Typed]:
    """The user's blocks whose name a line begins with, or is the beginning of."""
    named = [name for name in own if f"{plain} ".startswith(f"{name.lower()} ")]
    if named:
        name = max(named, key=len)
        return [_own_block(name, own[name], plain[len(name) :].split())]
    begun = [name for name in own if len(plain) > 1 and name.lower().startswith(plain)]
    return [replace(_own_block(name, own[name], []), sure=False) for name in begun]


def _own_block(name: str, width: int, words: list[str]) -> Typed:
    factor = 1.0
    for word in words:
        times = _FACTOR.fullmatch(word)
        if times:
            factor = float(times[1] or times[2])
        elif width and re.fullmatch(r"\d{1,5}", word):
            factor = int(word) / width
        if not 0 < factor <= MOST_TIMES or not (times or (width and word.isdigit())):
            wanted = _tr("channels, or a factor such as x2 up to x{0}").format(MOST_TIMES)
            return Typed(_tr("{0}: expected {1}, received {2!r}").format(name, wanted, word))
    text = _tr("Add your block {0}").format(name)
    if width and factor != 1:
        text = _tr("{0}, channels {1}").format(text, max(1, round(width * factor)))
    return Typed(text, own=name, factor=factor, line=" ".join([name, *words]))


def meanings(line: str, nodes: Iterable[str], own: Mapping[str, int] | None = None) -> list[Typed]:
    """What a line may mean, the likeliest first; empty for what is neither layer nor place.

    ``own`` are the user's blocks by name, with the channels of the last layer that has such (0:
    none has).
    """
    words = line.strip().lower().split()
    if not words:
        return []
    if words[0] in ("goto", "go") and len(words) > 1:
        wanted = words[-1]
        found = sorted((n for n in nodes if wanted in n.lower()), key=lambda n: (len(n), n))
        return [
            Typed(_tr("Go to {0}").format(name), node=name, line=f"{words[0]} {name}")
            for name in found
        ]
    kept = _own_blocks(" ".join(words), own or {})
    blocks = _blocks(words)
    if blocks and blocks[0].sure:
        return blocks + kept
    kinds, sure = _kinds(words[0])
    layers = [replace(_layer(kind, words[1:]), sure=sure) for kind in kinds]
    if not sure and len(words[0]) < TELLING:
        layers = [typed for typed in layers if typed.layer is not None]
    # A block that is named in full says more than a layer whose name begins so.
    return kept + layers + blocks if kept and kept[0].sure and not sure else layers + blocks + kept
