"""Pictures and labels for the engine: shipped digits, shapes, IDX files, image files, strokes."""
