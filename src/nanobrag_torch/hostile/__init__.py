"""Hostile inputs: fuzz targets, mutated files, bad command lines, and the judge of what programs make of them."""
