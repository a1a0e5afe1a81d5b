"""Scripts that make the committed resources; run as `python -m resources.make.NAME`."""
