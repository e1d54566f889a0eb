"""Factors of a pixel's value, each a pure function, and how they are put together."""
