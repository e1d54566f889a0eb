"""Derivatives of every pixel by a few quantities: the chain from settled values to a scene, and through the kernel.

The scene's packed tensors are differentiated by the quantities in forward mode (few columns, many numbers), and the
kernel carries all directions through the sum over pixels in one pass. Where the kernel cannot serve, the plain
definition is differentiated in forward mode as a whole, a chunk of pixels at a time.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from nanobrag_torch.errors import InputError
from nanobrag_torch.kernels.packing import pack_scene
from nanobrag_torch.kernels.pixel_sum import pixel_sum_jvp, why_not
from nanobrag_torch.models import Experiment
from nanobrag_torch.models.quantities import QUANTITIES
