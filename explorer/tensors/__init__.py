"""Pictures of tensors: scales, mosaics, the grid of all channels, forward beside gradient."""
