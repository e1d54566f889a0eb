"""Many variants of one scene at a time: settled together, rendered in one call of the kernel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from nanobrag_torch.errors import InputError
from nanobrag_torch.kernels import op
from nanobrag_torch.kernels.packing import PackedScene, pack_scene
from nanobrag_torch.kernels.pixel_sum import why_not
from nanobrag_torch.models import Experiment
from nanobrag_torch.models.quantities import QUANTITIES
