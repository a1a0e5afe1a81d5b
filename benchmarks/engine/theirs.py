"""PyTorch's side: the same graph, from the same weights."""

from __future__ import annotations

import importlib
from contextlib import nullcontext
from typing import Any

from benchmarks.engine.cases import Case, samples
from benchmarks.engine.ours import MOMENTUM, RATE, Outcome
from engine.graph import Graph, Node
from engine.layers.add import Add
from engine.layers.avg_pool2d import AvgPool2d
from engine.layers.batch_norm2d import BatchNorm2d
from engine.layers.concat import Concat
from engine.layers.conv2d import Conv2d
from engine.layers.flatten import Flatten
from engine.layers.global_avg_pool import GlobalAvgPool
from engine.layers.linear import Linear
from engine.layers.max_pool2d import MaxPool2d
from engine.layers.relu import ReLU
from engine.parameters import initial_parameters


def found() -> Any | None:
    """PyTorch, or None where it is not installed."""
    try:
        return importlib.import_module("torch")
    except ImportError:
        return None


def module(torch: Any, node: Node, channels: int, in_place: bool) -> Any:
    """The module of a node; None for those that take several tensors."""
    nn, layer = torch.nn, node.layer
    match layer:
        case Conv2d():
            return nn.Conv2d(
                channels,
                layer.out_channels,
                layer.kernel_size,
                layer.stride,
                layer.padding,
                layer.dilation,
                layer.groups,
                layer.bias,
            )
        case Linear():
            return nn.Linear(channels, layer.out_features, layer.bias)
        case BatchNorm2d():
            return nn.BatchNorm2d(channels, eps=layer.eps, momentum=layer.momentum)
        case MaxPool2d():
            return nn.MaxPool2d(layer.kernel_size, layer.stride, layer.padding)
        case AvgPool2d():
            return nn.AvgPool2d(layer.kernel_size, layer.stride, layer.padding)
        case ReLU():
            return nn.ReLU(inplace=in_place)
        case GlobalAvgPool():
            return nn.AdaptiveAvgPool2d(1)
        case Flatten():
            return nn.Flatten()
        case Add() | Concat():
            return None
    raise TypeError(f"Expected a layer that this benchmark knows, received {layer}.")


class TorchSide:
    """A case ready to run in one memory format; each call is one pass.

    ReLU works in place where nobody else reads its input, and a tensor is let go after its last
    reader, as in PyTorch's own networks.
    """

    def __init__(self, torch: Any, case: Case, channels_last: bool) -> None:
        self.torch, self.case = torch, case
        graph = case.build()
        specs = graph.infer(case.batch).specs
        modules = {
            node.id: module(torch, node, specs[_first(node)].shape[1], _alone(graph, node))
            for node in graph.order
        }
        names = {node_id: node_id.replace(".", "_") for node_id in modules}
        net = torch.nn.ModuleDict({names[k]: m for k, m in modules.items() if m is not None})
        for (owner, name), value in initial_parameters(graph, 0).items():
            getattr(modules[owner], name).data = torch.from_numpy(value.copy())
        self.x, self.target = (torch.from_numpy(a) for a in samples(case, graph))
        if channels_last:
            net, self.x = (a.to(memory_format=torch.channels_last) for a in (net, self.x))
        net.train(case.work != "forward")
        self.x.requires_grad_(case.input_gradients)
        self.net, self.modules = net, modules
        self.optimizer = torch.optim.SGD(net.parameters(), RATE, MOMENTUM)
        last = {ref[0]: node.id for node in graph.order for ref in node.inputs if ref}
        self.walk = []
        for node in graph.order:
            sources = [ref[0] for ref in node.inputs if ref]
            done = [s for s in dict.fromkeys(sources) if last[s] == node.id]
            self.walk.append((node, modules[node.id], sources, done))
        self.entry, self.logits = graph.inputs[0].id, graph.losses[0].input[0]

    def _outputs(self) -> Any:
        values = {self.entry: self.x}
        for node, run, sources, done in self.walk:
            xs = [values[s] for s in sources]
            if run is not None:
                y = run(xs[0])
            elif isinstance(node.layer, Concat):
                y = self.torch.cat(xs, 1)
            else:
                y = xs[0] + xs[1]
            values[node.id] = y
            del xs
            for source in done:
                del values[source]
        return values[self.logits]

    def __call__(self) -> None:
        forward = self.case.work == "forward"
        with self.torch.inference_mode() if forward else nullcontext():
            self.output = self._outputs()
        if forward:
            return
        self.loss = self.torch.nn.functional.cross_entropy(self.output, self.target)
        self.optimizer.zero_grad(set_to_none=True)
        self.x.grad = None
        self.loss.backward()
        if self.case.work == "step":
            self.optimizer.step()

    def outcome(self) -> Outcome:
        """What the last pass left."""
        if self.case.work == "forward":
            return Outcome(None, self.output.numpy(), {})
        gradients = {
            (owner, name): parameter.grad.numpy()
            for owner, found in self.modules.items()
            if found is not None
            for name, parameter in found.named_parameters()
        }
        return Outcome(float(self.loss.detach()), None, gradients)


def _first(node: Node) -> tuple[str, int]:
    (ref, *_) = [r for r in node.inputs if r is not None]
    return ref


def _alone(graph: Graph, node: Node) -> bool:
    """Whether only this node reads its input, which is not the network's."""
    ref = _first(node)
    return ref[0] not in graph.input_ids and len(graph.readers[ref]) == 1
