"""Files that ship with the program: networks, weights, digits, strokes and icons."""
