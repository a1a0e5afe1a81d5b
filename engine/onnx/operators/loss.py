"""The two losses, where the answers are known: a weighted sum of chosen log-probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.layers.arithmetic import Arithmetic
from engine.layers.log_softmax import LogSoftmax
from engine.layers.reduce import Reduce
from engine.onnx.operators.normalisation import along
from engine.onnx.site import Site, Tensor, UnsupportedError, Value, imports


@imports("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss")
def likelihood(site: Site) -> Sequence[Value]:
    x = site.importer.hide(site.tensor(0))
    shape = x.sample
    labels = site.array(1).astype(np.int64)
    weights = site.floats(site.array(2)) if site.has(2) else np.ones(shape[1], np.float32)
    ignored = site.attribute("ignore_index")
    counted = np.ones(labels.shape, bool) if ignored is None else labels != ignored
    chosen = np.where(counted, labels, 0)
    if chosen.size and (chosen.min() < 0 or chosen.max() >= shape[1]):
        raise UnsupportedError("answers that are no classes")
    share = np.where(counted, weights[chosen], 0)
    reduction = site.attribute("reduction", "mean")
    if reduction == "mean":
        total = share.sum()
        share = share / total if total else share
    one = np.zeros(shape, np.float32)
    np.put_along_axis(one, chosen[:, None], -share[:, None].astype(np.float32), 1)
    logs = x
    if site.op == "SoftmaxCrossEntropyLoss":
        logs = along(site, LogSoftmax(), x, 2)
    product = site.layer(
        Arithmetic(operation="multiply", operand=shape),
        logs,
        role="chosen",
        params={"operand": one},
    )
    axes = (2,) if reduction == "none" else tuple(range(1, len(shape) + 1))
    y: Tensor = site.layer(Reduce("sum", axes, False), product)
    return (y, logs) if site.wants(1) else (y,)
