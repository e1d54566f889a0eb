"""The primitives: the lattice sum and the sum over a pixel; they know nothing of files or command lines."""
