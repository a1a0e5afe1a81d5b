"""What a layer is: the description that everything else in the program reads.

A layer is a frozen dataclass of hyper-parameters. It owns no arrays, remembers nothing between
calls and never writes to its arguments. Property panel, palette, validation, project file,
ONNX export and the tests all read the same description.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.extent import Everything, Extent, same_place

Array = NDArray[Any]
Mode = Literal["train", "eval"]


class ShapeError(ValueError):
    """A layer cannot take the shapes it was given.

    Says what was expected, what was received and what to change; ``fixes`` are changes that the
    interface can offer as buttons (each names a hyper-parameter or a layer to insert).
    """

    def __init__(
        self, expected: str, received: str, remedy: str, fixes: tuple[Fix, ...] = ()
    ) -> None:
        self.expected, self.received, self.remedy, self.fixes = expected, received, remedy, fixes
        super().__init__(f"Expected {expected}, received {received}. {remedy}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.expected, self.received, self.remedy, self.fixes)


@dataclass(frozen=True)
class Fix:
    """A change that mends a shape error.

    ``action`` is "set" (hyper-parameter ``name`` of this layer becomes ``value``) or "insert"
    (the layer ``value`` is put in front of input ``slot``). That of a lesson can also be "judge"
    (a loss is put behind this layer).
    """

    text: str
    action: Literal["set", "insert", "judge"]
    value: Any
    name: str = ""
    slot: int = 0


@dataclass(frozen=True)
class Spec:
    """Shape and dtype of a tensor; axis 0 is the batch, rank 4 is (N, C, H, W).

    ``points_into`` is (H, W) where the numbers are places in maps of that size, row · W + column
    (whole numbers in the tensor's own dtype), and empty otherwise.

    Raises ShapeError for an empty batch, of which no layer has a mean or a maximum.
    """

    shape: tuple[int, ...]
    dtype: str = "float32"
    points_into: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.shape and self.shape[0] < 1:
            raise ShapeError(
                "a batch of at least 1 sample", f"one of {self.shape[0]}", "Give it a sample."
            )

    def __str__(self) -> str:
        return "×".join(map(str, self.shape[1:])) or "scalar"


INITIALISERS = (
    "automatic",
    "he",
    "glorot",
    "lecun",
    "uniform_fan_in",
    "small",
    "orthogonal",
    "signs",
    "zeros",
    "ones",
    "constant",
)


WEIGHT_INITIALISERS = (
    "he",
    "glorot",
    "lecun",
    "orthogonal",
    "uniform_fan_in",
    "small",
    "constant",
    "zeros",
)
"""What the weights of a convolution or fully connected layer can be told to start as."""
_VARIANCES = {"automatic": 2.0, "he": 2.0, "lecun": 1.0, "small": 0.1}
"""Of the Gaussian initialisers, times fan_in."""


@dataclass(frozen=True)
class ParamSpec:
    """One parameter: its shape, how it starts, and whether gradient descent moves it.

    ``init`` is one of ``INITIALISERS``:
    "he": Gaussian, variance 2 / fan_in (He et al. 2015, section 2.2);
    "glorot": U(±√(6 / (fan_in + fan_out))) (Glorot & Bengio 2010, equation 16);
    "lecun": Gaussian, variance 1 / fan_in (LeCun et al. 1998, Efficient BackProp, section 4.6);
    "uniform_fan_in": U(±1/√fan_in); "small": Gaussian, variance 0.1 / fan_in;
    "orthogonal": rows (or columns, where there are fewer) of length 1 at right angles (Saxe et
    al. 2014); "signs": −1 or 1 with equal chance; "zeros", "ones"; "constant": ``value``;
    "automatic": as "he", but as "small" where a loss reads what comes out (:meth:`before_loss`).

    ``kind`` is "weight" (trained) or "statistic" (returned by forward in training mode). ``decay``
    is False for biases and the scales of normalisations, which weight decay may leave alone.
    ``moves`` is False for a statistic that training leaves as it is.
    """

    shape: tuple[int, ...]
    init: str = "zeros"
    fan_in: int = 1
    kind: Literal["weight", "statistic"] = "weight"
    fan_out: int = 1
    value: float = 0.0
    decay: bool = True
    moves: bool = True

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def before_loss(self) -> ParamSpec:
        """As it is where a loss reads the layer.

        He's variance keeps the size of numbers behind a ReLU, but scores of that size make a
        network sure of itself before it has learnt anything: its first loss over K classes then
        lies well above ln K, that of one which gives every class the same share. Small scores
        begin near ln K, and unlike zeros they let a gradient through from the first step on.
        """
        return replace(self, init="small") if self.init == "automatic" else self

    def initial(self, rng: np.random.Generator, dtype: str = "float32") -> Array:
        """Draw the starting value; shape ``self.shape``, of the given dtype."""
        if self.init not in INITIALISERS:
            raise ValueError(
                f"Expected an initialiser {', '.join(INITIALISERS[:-1])} or {INITIALISERS[-1]}, "
                f"received {self.init!r}."
            )
        if self.init in ("zeros", "ones", "constant"):
            value = {"zeros": 0.0, "ones": 1.0, "constant": self.value}[self.init]
            return np.full(self.shape, value, dtype)
        if self.init == "orthogonal":
            return self._orthogonal(rng).astype(dtype)
        if self.init == "signs":
            return rng.choice([-1.0, 1.0], self.shape).astype(dtype)
        if self.init in _VARIANCES:
            variance = _VARIANCES[self.init] / self.fan_in
            return (rng.standard_normal(self.shape) * math.sqrt(variance)).astype(dtype)
        bound = 1 / math.sqrt(self.fan_in)
        if self.init == "glorot":
            bound = math.sqrt(6 / (self.fan_in + self.fan_out))
        return rng.uniform(-bound, bound, self.shape).astype(dtype)

    def _orthogonal(self, rng: np.random.Generator) -> Array:
        rows = self.shape[0]
        columns = math.prod(self.shape[1:])
        q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
        # without these signs the directions would not be equally likely
        q = q * np.where(np.diag(r) < 0, -1.0, 1.0)
        return np.asarray(q if rows >= columns else q.T).reshape(self.shape)


@dataclass(frozen=True)
class Cost:
    """Work of one layer for one sample: trained parameters and multiply-adds of conv and fc."""

    parameters: int = 0
    multiply_adds: int = 0


class Ctx(NamedTuple):
    """What a run tells a layer besides its inputs.

    ``mode`` is "train" or "eval"; ``key`` = (seed, step, node number) makes randomness a function
    of where it is used, so that a step can be repeated exactly.
    """

    mode: Mode = "eval"
    key: tuple[int, int, int] = (0, 0, 0)

    def rng(self) -> np.random.Generator:
        """A counter-based generator (Philox; Salmon et al. 2011) that depends on ``key`` alone."""
        return np.random.Generator(np.random.Philox(np.random.SeedSequence(self.key)))


class Result(NamedTuple):
    """What forward returns.

    ``ys``: the output arrays. ``saved``: named arrays that backward needs, in the layer's own
    documented form. ``statistics``: new running statistics by parameter name (training mode only).
    """

    ys: tuple[Array, ...]
    saved: Mapping[str, Array]
    statistics: Mapping[str, Array] = {}


class Grads(NamedTuple):
    """What backward returns: a gradient per input (None where not needed) and per parameter."""

    dxs: tuple[Array | None, ...]
    dparams: Mapping[str, Array] = {}


class Term(NamedTuple):
    """One term of a cell: the cell, weight or constant it reads and the factor before it.

    ``source`` is ("input", slot, index) | ("param", name, index) | ("output_grad", port, index)
    | ("constant",), where an index leaves the batch axis out. ``value`` is the recorded number,
    ``coefficient`` multiplies it.
    """

    source: tuple[Any, ...]
    value: float
    coefficient: float
    note: str = ""

    @property
    def product(self) -> float:
        return self.value * self.coefficient


class Terms(NamedTuple):
    """Where a number came from: its terms and how they combine.

    ``combine`` "sum": the terms' products add up to the number; "max": the number is the largest
    of them, at ``chosen``; "formula": the number is ``formula`` of them.
    """

    terms: tuple[Term, ...]
    combine: Literal["sum", "max", "formula"]
    formula: str = ""
    chosen: int | None = None


class Record(NamedTuple):
    """The recorded arrays around one node, for one sample of the batch (batch axis removed).

    ``xs`` inputs, ``ys`` outputs, ``dys`` upstream gradients (None before backward), ``params``
    and ``saved`` by name. ``saved`` keeps the batch axis where the layer's array has one, and
    ``batch_dys`` are the upstream gradients of all samples, for layers that mix samples.
    """

    xs: tuple[Array, ...]
    ys: tuple[Array, ...]
    dys: tuple[Array | None, ...]
    params: Mapping[str, Array]
    saved: Mapping[str, Array]
    sample: int = 0
    mode: Mode = "eval"
    batch_dys: tuple[Array | None, ...] = ()


@dataclass(frozen=True)
class HyperField:
    """A hyper-parameter as the interface shows it."""

    name: str
    type: Any
    default: Any
    low: float | None
    high: float | None
    unit: str
    help: str
    choices: tuple[Any, ...]


def hyper(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    unit: str = "",
    choices: tuple[Any, ...] = (),
    later: bool = False,
) -> Any:
    """Declare a hyper-parameter: default, range, unit and one sentence of help.

    ``later``: the layer had been in files before it got this one. Its default means what those
    files mean and is left out of new ones, so that both stay readable by either program.
    """
    return dataclasses.field(
        default=default,
        metadata={
            "help": help,
            "low": low,
            "high": high,
            "unit": unit,
            "choices": choices,
            "later": later,
        },
    )


def initialiser_hyper(default: str = "he") -> Any:
    """How the weights of a layer start, as a hyper-parameter; "automatic" only as the default."""
    choices = WEIGHT_INITIALISERS
    return hyper(
        default,
        "How new weights start, by their number of inputs n: he (variance 2/n, for ReLU), glorot "
        "and lecun (about 1/n, for tanh), orthogonal (right angles), uniform_fan_in (within "
        "±1/√n), small (variance 0.1/n, for scores), constant (all 1/n) or zeros (both keep all "
        "alike)" + ("." if default in choices else "; automatic is he, but small before a loss."),
        choices=choices if default in choices else (default, *choices),
        later=True,
    )


def weights(initialiser: str, shape: tuple[int, ...], fan_in: int, fan_out: int) -> ParamSpec:
    """Weights that start as ``initialiser`` says, each number reading ``fan_in`` others."""
    return ParamSpec(shape, initialiser, fan_in, fan_out=fan_out, value=1 / fan_in)


class HyperparameterError(ValueError):
    """A hyper-parameter is out of its range; the message names it, the range and the value."""


@dataclass(frozen=True)
class OnnxOp:
    """ONNX mapping as data: operator name, attributes, and parameters in input order."""

    op: str
    attributes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    params: tuple[str, ...] = ()


REGISTRY: dict[str, type[Layer]] = {}
UNLISTED: dict[str, type[Layer]] = {}
"""Layers that nobody can add: they stand in an opened file for what the program does not have."""


@dataclass(frozen=True)
class Layer:
    """Base of all layers; a subclass is one file in ``engine/layers`` and enters the registry.

    Class attributes: ``title`` (plain name), ``category`` (palette group), ``arity`` (fewest and
    most inputs; None for no limit), ``slug`` (stem of readable ids), ``index_slots`` (inputs that
    take places in a map, such as the indices of a max pooling).

    Edges, where a layer's docstring does not say otherwise: NaN and infinities go wherever the
    formula takes them, none is caught or replaced; an empty batch is refused.
    """

    title: ClassVar[str] = ""
    category: ClassVar[str] = ""
    slug: ClassVar[str] = ""
    arity: ClassVar[tuple[int, int | None]] = (1, 1)
    index_slots: ClassVar[tuple[int, ...]] = ()
    abstract: ClassVar[bool] = True
    listed: ClassVar[bool] = True
    """Whether a person can choose it from the list of layers."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.abstract = bool(cls.__dict__.get("abstract", False))
        if not cls.abstract:
            (REGISTRY if cls.listed else UNLISTED)[cls.__name__] = cls

    def __post_init__(self) -> None:
        for field in self.hyperparameters():
            check_hyperparameter(type(self).__name__, field, getattr(self, field.name))

    # ---- the description -------------------------------------------------------------------

    @classmethod
    def hyperparameters(cls) -> tuple[HyperField, ...]:
        """The typed fields with default, range, unit and help, in the order of declaration."""
        return tuple(
            HyperField(
                f.name,
                f.type,
                f.default,
                f.metadata.get("low"),
                f.metadata.get("high"),
                f.metadata.get("unit", ""),
                f.metadata.get("help", ""),
                f.metadata.get("choices", ()),
            )
            for f in dataclasses.fields(cls)
        )

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        """Shape and dtype of each output port; raises ShapeError."""
        raise NotImplementedError

    def parameters(self, *specs: Spec) -> dict[str, ParamSpec]:
        """The parameters by name, in the order of the ONNX operator."""
        return {}

    def cost(self, *specs: Spec) -> Cost:
        """Trained parameters, and multiply-adds for one sample."""
        trained = sum(p.size for p in self.parameters(*specs).values() if p.kind == "weight")
        return Cost(parameters=trained)

    # ---- the arithmetic --------------------------------------------------------------------

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        """Pure, allocating, as the textbook has it."""
        raise NotImplementedError

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx = Ctx(),
    ) -> Grads:
        """Pure; ``need`` says for each input whether its gradient is wanted."""
        raise NotImplementedError

    # ---- the explanation -------------------------------------------------------------------

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        """The terms that make output cell ``cell`` (an index without the batch axis)."""
        raise NotImplementedError

    def feeds(self, cell: tuple[int, ...], rec: Record, slot: int = 0) -> Terms:
        """The terms of the sum that makes the gradient of input cell ``cell``."""
        raise NotImplementedError

    def gathers(self, name: str, index: tuple[int, ...], rec: Record) -> Terms:
        """The terms of the sum that makes the gradient of parameter ``name`` at ``index``.

        They are those of one sample. A layer with trained parameters says it.
        """
        raise NotImplementedError

    def extent(self, slot: int, *specs: Spec, port: int = 0) -> Extent:
        """How far output ``port`` reaches into input ``slot``: cells by place, by window or all.

        Unless a layer says otherwise, an output cell depends on the input cell at its place where
        both have the same sizes, and else on all of them. What the value depends on counts, also
        where the gradient is zero (see engine/extent.py).
        """
        shape, out = specs[slot].shape[1:], self.outputs(*specs)[port].shape[1:]
        return same_place(shape) if shape == out else Everything(shape, out)

    def kinks(self, p: Mapping[str, Array], *xs: Array) -> float:
        """Smallest distance of any input to a point where the layer is not differentiable."""
        return math.inf

    @property
    def onnx(self) -> OnnxOp | None:
        """ONNX mapping as plain data, or None where a rule in engine/onnx writes the node."""
        return None


def check_hyperparameter(owner: str, field: HyperField, value: Any) -> None:
    """Raise HyperparameterError when ``value`` does not fit the field's type, range or choices."""
    where = f"{owner}.{field.name}"
    if field.choices:
        if value not in field.choices:
            some = ", ".join(map(str, field.choices))
            raise HyperparameterError(f"{where}: expected one of {some}, received {value!r}.")
        return
    kind = field.type if isinstance(field.type, str) else getattr(field.type, "__name__", "")
    words = set(re.findall(r"\w+", kind))
    if words == {"str"}:
        if not isinstance(value, str):
            raise HyperparameterError(f"{where}: expected text, received {value!r}.")
        return
    if words == {"bool"}:
        if not isinstance(value, bool):
            raise HyperparameterError(f"{where}: expected true or false, received {value!r}.")
        return
    if not words & {"int", "float"}:
        return
    if isinstance(value, tuple):
        if "tuple" not in words:
            raise HyperparameterError(f"{where}: expected one number, received {value!r}.")
        if "..." not in kind and len(value) != 2:
            raise HyperparameterError(
                f"{where}: expected one number or (rows, columns), received {value!r}."
            )
    elif kind.startswith("tuple"):
        raise HyperparameterError(f"{where}: expected a row of numbers, received {value!r}.")
    for part in value if isinstance(value, tuple) else (value,):
        if "float" in words:
            whole = isinstance(part, int) and not isinstance(part, bool)
            if not whole and not (isinstance(part, float) and math.isfinite(part)):
                raise HyperparameterError(f"{where}: expected a number, received {part!r}.")
        elif not isinstance(part, int) or isinstance(part, bool):
            raise HyperparameterError(f"{where}: expected a whole number, received {part!r}.")
        if field.low is not None and part < field.low:
            raise HyperparameterError(f"{where}: expected at least {field.low:g}, received {part}.")
        if field.high is not None and part > field.high:
            raise HyperparameterError(f"{where}: expected at most {field.high:g}, received {part}.")


def gathered(dy: Array | None, places: Iterable[tuple[int, ...]], formula: str = "Σ dy") -> Terms:
    """The terms of a number that was added at ``places`` of an output with gradient ``dy``."""
    if dy is None:
        return Terms((), "sum")
    terms = tuple(Term(("output_grad", 0, place), float(dy[place]), 1.0) for place in places)
    return Terms(terms, "sum", formula)


def in_words(spec: Spec) -> str:
    """What one sample of a tensor is, plainly: 16 maps of 5×5."""
    match spec.shape[1:]:
        case ():
            return "a single number"
        case (features,):
            return f"one row of {features} number{'s' * (features != 1)}"
        case (channels, rows, columns):
            return f"{channels} map{'s' * (channels != 1)} of {rows}×{columns}"
        case axes:
            return f"{spec}, a block of numbers with {len(axes)} axes"


def expect_rank(specs: tuple[Spec, ...], rank: int, layer: str, remedy: str = "") -> None:
    """Raise ShapeError unless every spec has the rank (batch axis included)."""
    names = {2: "one row of numbers per picture", 4: "feature maps"}
    for spec in specs:
        if len(spec.shape) != rank:
            raise ShapeError(
                f"{names.get(rank, f'{rank - 1} axes per picture')} for {_title(layer)}",
                in_words(spec),
                remedy or "Connect such an input.",
            )


def _title(kind: str) -> str:
    """What the interface calls a kind of layer."""
    return REGISTRY[kind].title if kind in REGISTRY else kind


def expect_axis(spec: Spec, axis: int, layer: str) -> None:
    """Raise ShapeError unless the tensor has that axis, counted from 1 behind the samples."""
    if axis >= len(spec.shape):
        raise ShapeError(
            f"at least {axis} axes for {layer}",
            f"{spec}",
            "Choose an axis that the input has.",
            (Fix("Set axis to 1", "set", 1, "axis"),) if len(spec.shape) > 1 else (),
        )


def expect_vector(spec: Spec, layer: str) -> None:
    """Raise ShapeError, with a Flatten as its remedy, unless ``spec`` is (N, F)."""
    if len(spec.shape) != 2:
        raise ShapeError(
            f"one row of numbers per picture for {_title(layer)}",
            in_words(spec),
            "Put a Flatten before it.",
            (Fix("Add Flatten", "insert", {"kind": "Flatten"}),),
        )


def pair(value: int | tuple[int, int]) -> tuple[int, int]:
    """(rows, columns) of a hyper-parameter that may be given as one number."""
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))


def layer_to_dict(layer: Layer) -> dict[str, Any]:
    """A layer as plain data: its kind and the hyper-parameters (see ``later`` of hyper)."""
    values = {
        f.name: value
        for f in dataclasses.fields(layer)
        if (value := getattr(layer, f.name)) != f.default or not f.metadata.get("later")
    }
    plain = {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}
    return {"kind": type(layer).__name__, **plain}


def layer_from_dict(data: Mapping[str, Any]) -> Layer:
    """The layer that ``layer_to_dict`` described; raises HyperparameterError on unknown data."""
    kind = data.get("kind")
    if not isinstance(kind, str) or kind not in {**REGISTRY, **UNLISTED}:
        raise HyperparameterError(
            f"Layer kind: expected one of {', '.join(sorted(REGISTRY))}, received {kind!r}."
        )
    cls = REGISTRY.get(kind) or UNLISTED[kind]
    known = {f.name for f in dataclasses.fields(cls)}
    extra = sorted(set(data) - known - {"kind"})
    if extra:
        raise HyperparameterError(
            f"{kind}: expected hyper-parameters {', '.join(sorted(known)) or 'none'}, "
            f"received {', '.join(extra)}."
        )
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items() if k != "kind"}
    return cls(**values)
