"""Batch normalisation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.layers.base import (
    Array,
    Ctx,
    Grads,
    Layer,
    OnnxOp,
    ParamSpec,
    Record,
    Result,
    ShapeError,
    Spec,
    Term,
    Terms,
    expect_rank,
    gathered,
    hyper,
)


@dataclass(frozen=True)
class BatchNorm2d(Layer):
    """Gives every channel mean 0 and spread 1 over the batch, then a trained scale and shift.

    x̂ = (x − μ) / √(σ² + ε),  y = γ x̂ + β

    Training: μ and σ² are those of the batch (N·H·W numbers per channel), and the running
    statistics move: r ← (1 − momentum) · r + momentum · new, the variance in its unbiased form
    (PyTorch's convention). Evaluation: μ and σ² are the running statistics, constants. ``frozen``:
    training too takes the running statistics and leaves them as they are; γ and β are trained.

    Gradient in training: dx = γ/√(σ² + ε) · (dy − mean(dy) − x̂ · mean(dy · x̂)), so its sum over
    the channel is 0; in evaluation and frozen dx = γ/√(σ² + ε) · dy. dγ = Σ dy · x̂, dβ = Σ dy.

    A batch of one picture is normalised over its own H·W numbers; one with a single number per
    channel (N·H·W = 1), whose spread would be 0, is refused in training unless frozen. A NaN in
    training spreads over its whole channel, through mean and variance.

    ``initial_scale`` is where γ starts. At 0 in the last normalisation of each residual branch, a
    block is the identity at first (Goyal et al. 2017, section 5.1).

    Source: Ioffe & Szegedy 2015, algorithm 1.
    """

    title: ClassVar[str] = "Batch normalisation"
    category: ClassVar[str] = "Normalisation"
    slug: ClassVar[str] = "bn"

    eps: float = hyper(1e-5, "Added to the variance, against division by 0.", low=1e-12, high=1.0)
    momentum: float = hyper(
        0.1, "Share of the newest batch in the running statistics.", low=0.0, high=1.0
    )
    frozen: bool = hyper(
        False, "Training takes the running statistics and leaves them as they are.", later=True
    )
    initial_scale: float = hyper(
        1.0,
        "Where the trained scale γ starts; 0 shuts a residual branch.",
        low=0.0,
        high=10.0,
        later=True,
    )

    def outputs(self, *specs: Spec) -> tuple[Spec, ...]:
        expect_rank(specs, 4, "BatchNorm2d", "It needs maps: put it before the Flatten.")
        return (specs[0],)

    def parameters(self, *specs: Spec) -> dict[str, ParamSpec]:
        shape = (specs[0].shape[1],)
        return {
            "weight": ParamSpec(shape, "constant", value=self.initial_scale, decay=False),
            "bias": ParamSpec(shape, "zeros", decay=False),
            "running_mean": ParamSpec(shape, "zeros", kind="statistic", moves=not self.frozen),
            "running_var": ParamSpec(shape, "ones", kind="statistic", moves=not self.frozen),
        }

    def forward(self, p: Mapping[str, Array], *xs: Array, ctx: Ctx = Ctx()) -> Result:
        """``saved``: "xhat" (N, C, H, W), "inv_std" (C,), "trained": 1 with the batch's own."""
        (x,) = xs
        statistics = {}
        trained = ctx.mode == "train" and not self.frozen
        if trained:
            count = x.size // x.shape[1]
            if count < 2:
                raise ShapeError(
                    "at least 2 numbers per channel for BatchNorm2d in training",
                    f"a batch of {x.shape[0]} with maps of {x.shape[2]}×{x.shape[3]}",
                    "Use a larger batch.",
                )
            # two passes, because E[x²] − μ² cancels; sums in float64, because they are long
            mean = x.mean((0, 2, 3), np.float64).astype(x.dtype)
            centred = x - mean[:, None, None]
            var = np.square(centred).mean((0, 2, 3), np.float64).astype(x.dtype)
            m = x.dtype.type(self.momentum)
            unbiased = var * x.dtype.type(count / (count - 1))
            statistics = {
                "running_mean": (1 - m) * p["running_mean"] + m * mean,
                "running_var": (1 - m) * p["running_var"] + m * unbiased,
            }
        else:
            mean, var = p["running_mean"], p["running_var"]
            centred = x - mean[:, None, None]
        inv_std = 1 / np.sqrt(var + x.dtype.type(self.eps))
        xhat = centred * inv_std[:, None, None]
        y = xhat * p["weight"][:, None, None] + p["bias"][:, None, None]
        saved = {"xhat": xhat, "inv_std": inv_std, "trained": np.asarray(trained)}
        return Result((y,), saved, statistics)

    def backward(
        self,
        p: Mapping[str, Array],
        saved: Mapping[str, Array],
        dys: tuple[Array, ...],
        need: tuple[bool, ...],
        ctx: Ctx = Ctx(),
    ) -> Grads:
        (dy,), xhat = dys, saved["xhat"]
        dbias = dy.sum((0, 2, 3), np.float64).astype(dy.dtype)
        dweight = (dy * xhat).sum((0, 2, 3), np.float64).astype(dy.dtype)
        dparams = {"weight": dweight, "bias": dbias}
        if not need[0]:
            return Grads((None,), dparams)
        scale = (p["weight"] * saved["inv_std"])[:, None, None]
        if not saved["trained"]:
            return Grads((dy * scale,), dparams)
        count = dy.dtype.type(dy.size // dy.shape[1])
        mean_dy = (dbias / count)[:, None, None]
        mean_dy_xhat = (dweight / count)[:, None, None]
        return Grads(((dy - mean_dy - xhat * mean_dy_xhat) * scale,), dparams)

    def reads(self, cell: tuple[int, ...], rec: Record, port: int = 0) -> Terms:
        k = cell[0]
        slope = float(rec.params["weight"][k]) * float(rec.saved["inv_std"][k])
        x = float(rec.xs[0][cell])
        mean = x - float(rec.saved["xhat"][(rec.sample, *cell)]) / float(rec.saved["inv_std"][k])
        source = ("constant", "mean") if rec.saved["trained"] else ("param", "running_mean", (k,))
        terms = (
            Term(("input", 0, cell), x, slope, "γ/√(σ² + ε)"),
            Term(source, mean, -slope, "μ"),
            Term(("param", "bias", (k,)), float(rec.params["bias"][k]), 1.0, "β"),
        )
        return Terms(terms, "sum", "γ (x − μ) / √(σ² + ε) + β")

    def feeds(self, cell: tuple[int, ...], rec: Record, slot: int = 0) -> Terms:
        """In training every cell of the channel takes part, in all samples.

        The cells of the other samples are one term, present where ``rec.batch_dys`` is.
        """
        k, dy = cell[0], rec.dys[0]
        if dy is None:
            return Terms((), "sum")
        slope = float(rec.params["weight"][k]) * float(rec.saved["inv_std"][k])
        if not rec.saved["trained"]:
            term = Term(("output_grad", 0, cell), float(dy[cell]), slope, "γ/√(σ² + ε)")
            return Terms((term,), "sum", "γ/√(σ² + ε) · dy")
        xhat = rec.saved["xhat"]
        count = xhat.size // xhat.shape[1]
        here = float(xhat[(rec.sample, *cell)])
        maps = xhat[rec.sample, k]
        terms = []
        for (r, c), other in np.ndenumerate(maps):
            factor = float((r, c) == cell[1:]) - (1 + here * float(other)) / count
            terms.append(Term(("output_grad", 0, (k, r, c)), float(dy[k, r, c]), slope * factor))
        batch = rec.batch_dys[0] if rec.batch_dys else None
        if batch is not None and len(batch) > 1:
            others = np.arange(len(batch)) != rec.sample
            dy_others, xhat_others = batch[others, k], xhat[others, k]
            shares = dy_others.sum(dtype=np.float64) + here * np.vdot(dy_others, xhat_others)
            terms.append(Term(("constant", "other samples"), float(shares), -slope / count))
        return Terms(tuple(terms), "sum", "γ/√(σ² + ε) · (dy − mean dy − x̂ · mean(dy · x̂))")

    def gathers(self, name: str, index: tuple[int, ...], rec: Record) -> Terms:
        dy, xhat = rec.dys[0], rec.saved["xhat"][rec.sample]
        if dy is None:
            return Terms((), "sum")
        places = [(index[0], *place) for place in np.ndindex(*dy.shape[1:])]
        if name == "bias":
            return gathered(dy, places)
        terms = tuple(
            Term(("output_grad", 0, place), float(dy[place]), float(xhat[place]), "x̂")
            for place in places
        )
        return Terms(terms, "sum", "Σ dy · x̂")

    @property
    def onnx(self) -> OnnxOp:
        return OnnxOp(
            "BatchNormalization",
            {"epsilon": self.eps, "momentum": 1 - self.momentum},
            ("weight", "bias", "running_mean", "running_var"),
        )
