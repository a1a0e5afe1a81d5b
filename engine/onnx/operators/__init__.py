"""What turns each operator of a file into layers, a file for each family."""

from engine.onnx.operators import (
    activation,
    arithmetic,
    choice,
    convolution,
    loss,
    normalisation,
    shape,
)

__all__ = ["activation", "arithmetic", "choice", "convolution", "loss", "normalisation", "shape"]
