"""How fast the engine is next to PyTorch: ``python -m benchmarks.engine``."""
