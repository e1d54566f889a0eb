"""Pure functions on tensors: cells, orientations, detector frames and positions, sources. No state, no files."""
