"""Comparison with the C program and with stored reference images."""
