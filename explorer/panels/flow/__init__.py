"""Activations and gradients of every layer on one scale, with the rules of what is wrong."""

from explorer.panels.flow.panel import FlowPanel

__all__ = ["FlowPanel"]
