"""Coherent light: crystals whose every cell counts, ptychography, and what finds an object behind its intensities."""
