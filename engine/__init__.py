"""The engine: networks, and runs of them one operation at a time, in NumPy."""
