"""The engine: networks, and runs of them one operation at a time, in NumPy.

A library of its own, for a notebook or a script::

    import engine

    net = engine.sequential((1, 8, 8), engine.Conv2d(8, 3), engine.Flatten(), engine.Linear(10))

Every name below is loaded when it is first used, so that the import itself takes no time; only
``export_onnx`` needs the package onnx. Layers and losses are named as in their files
(``engine.Conv2d``), and modules can be reached too (``engine.explain``).
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.architectures import ARCHITECTURES as ARCHITECTURES
    from engine.build import sequential as sequential
    from engine.cell import Cell as Cell
    from engine.checkpoint import Checkpoint as Checkpoint
    from engine.checkpoint import load as load_checkpoint  # noqa: F401
    from engine.checkpoint import save as save_checkpoint  # noqa: F401
    from engine.data.augmentation import Augmentation as Augmentation
    from engine.data.catalogue import load as load_data  # noqa: F401 (in _HOMES)
    from engine.data.dataset import Dataset as Dataset
    from engine.data.preprocessing import Preprocessing as Preprocessing
    from engine.explain import Place as Place
    from engine.explain import Weight as Weight
    from engine.explain import origin as origin
    from engine.explain import why as why
    from engine.fields import effective_receptive_field as effective_receptive_field
    from engine.fields import fields_of as fields_of
    from engine.fields import influence as influence
    from engine.fields import input_gradients as input_gradients
    from engine.fields import receptive_field as receptive_field
    from engine.flow import flow_of as flow_of
    from engine.gradient_check import gradient_check as check_gradients  # noqa: F401
    from engine.graph import Graph as Graph
    from engine.graph import Input as Input
    from engine.graph import Loss as Loss
    from engine.graph import Node as Node
    from engine.losses import CrossEntropy as CrossEntropy
    from engine.node_check import check_node as check_node
    from engine.onnx.writer import export_onnx as export_onnx
    from engine.optimizers import SGD as SGD
    from engine.optimizers import Adam as Adam
    from engine.optimizers import AdamW as AdamW
    from engine.optimizers import RMSProp as RMSProp
    from engine.parameters import initial_parameters as initial_parameters
    from engine.plan import Batch as Batch
    from engine.plan import Plan as Plan
    from engine.plan import compile as compile
    from engine.plan import exhaust as exhaust
    from engine.project_file import Project as Project
    from engine.project_file import load as load
    from engine.project_file import save as save
    from engine.statistics import statistics_of as statistics_of
    from engine.trace import Step as Step
    from engine.trace import Trace as Trace
    from engine.train import Evaluation as Evaluation
    from engine.train import Report as Report
    from engine.train import Trainer as Trainer
    from engine.train import TrainingDiverged as TrainingDiverged
    from engine.train import TrainSettings as TrainSettings
    from engine.train import evaluate as evaluate
    from engine.training_flow import TrainingFlow as TrainingFlow

# Under another name where a module of the engine has the function's own.
_HOMES = {
    "ARCHITECTURES": "engine.architectures",
    "Adam": "engine.optimizers",
    "AdamW": "engine.optimizers",
    "Augmentation": "engine.data.augmentation",
    "Batch": "engine.plan",
    "Cell": "engine.cell",
    "Checkpoint": "engine.checkpoint",
    "CrossEntropy": "engine.losses",
    "Dataset": "engine.data.dataset",
    "Evaluation": "engine.train",
    "Graph": "engine.graph",
    "Input": "engine.graph",
    "Loss": "engine.graph",
    "Node": "engine.graph",
    "Place": "engine.explain",
    "Plan": "engine.plan",
    "Preprocessing": "engine.data.preprocessing",
    "Project": "engine.project_file",
    "RMSProp": "engine.optimizers",
    "Report": "engine.train",
    "SGD": "engine.optimizers",
    "Step": "engine.trace",
    "Trace": "engine.trace",
    "TrainSettings": "engine.train",
    "Trainer": "engine.train",
    "TrainingDiverged": "engine.train",
    "TrainingFlow": "engine.training_flow",
    "Weight": "engine.explain",
    "check_gradients": "engine.gradient_check:gradient_check",
    "check_node": "engine.node_check",
    "compile": "engine.plan",
    "effective_receptive_field": "engine.fields",
    "evaluate": "engine.train",
    "exhaust": "engine.plan",
    "export_onnx": "engine.onnx.writer",
    "fields_of": "engine.fields",
    "flow_of": "engine.flow",
    "influence": "engine.fields",
    "initial_parameters": "engine.parameters",
    "input_gradients": "engine.fields",
    "load": "engine.project_file",
    "load_checkpoint": "engine.checkpoint:load",
    "load_data": "engine.data.catalogue:load",
    "origin": "engine.explain",
    "receptive_field": "engine.fields",
    "save": "engine.project_file",
    "save_checkpoint": "engine.checkpoint:save",
    "sequential": "engine.build",
    "statistics_of": "engine.statistics",
    "why": "engine.explain",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """Load a name when it is first used: one of ``_HOMES``, a layer, a loss or a module."""
    if name.startswith("_"):
        raise AttributeError(f"module 'engine' has no attribute {name!r}")
    if name in _HOMES:
        module, _, own = _HOMES[name].partition(":")
        value = getattr(import_module(module), own or name)
    elif find_spec(f"engine.{name}") is not None:
        return import_module(f"engine.{name}")
    else:
        value = _registered(name)
    globals()[name] = value
    return value


def _registered(name: str) -> Any:
    """A layer or a loss by its name; raises AttributeError with what there is."""
    layers = import_module("engine.layers").REGISTRY
    losses = import_module("engine.losses").LOSSES
    for registry in (layers, losses):
        if name in registry:
            return registry[name]
    raise AttributeError(
        f"engine: expected {', '.join(sorted([*_HOMES, *layers, *losses]))} or a module, "
        f"received {name!r}."
    )


def __dir__() -> list[str]:
    layers = import_module("engine.layers").REGISTRY
    losses = import_module("engine.losses").LOSSES
    return sorted({*_HOMES, *layers, *losses})
