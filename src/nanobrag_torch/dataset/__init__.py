"""Data sets: populations of images whose truth is known, in shards, for training and planning."""
