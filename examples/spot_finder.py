"""A small network that finds spots, trained on images that are made while it learns."""

from __future__ import annotations

import time
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn

from nanobrag_torch.dataset import Sample, image_tensor, spot_map

LEAST_PHOTONS = 8.0
"""Reflections with fewer expected photons are no spots: nobody could find them."""


def network() -> nn.Module:
    """Five convolutions, 11 x 11 pixels of view; one logit per pixel."""
    layers: list[nn.Module] = []
    channels = [1, 16, 24, 24, 24]
    for before, after in zip(channels[:-1], channels[1:], strict=True):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(channels[-1], 1, 3, padding=1))


def pair(sample: Sample) -> tuple[Tensor, Tensor]:
    """Input and target: counts with a stable variance, and 1 at every spot."""
    return stable(image_tensor(sample)), spot_map(sample, LEAST_PHOTONS)


def stable(counts: Tensor) -> Tensor:
    """2 √(n + 3/8), whose variance is 1 for any mean (Anscombe), compressed at the top."""
    return torch.log1p(2.0 * torch.sqrt(counts.clamp(min=0) + 0.375))


def train(batches: Iterable[list[Tensor]], seconds: float = 200.0) -> nn.Module:
    """A trained network; stops when the batches or the time are used up."""
    torch.manual_seed(1)
    net = network()
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    weight = torch.tensor(20.0)  # spots are rare
    began = time.perf_counter()
    for images, targets in batches:
        loss = nn.functional.binary_cross_entropy_with_logits(net(images), targets, pos_weight=weight)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if time.perf_counter() - began > seconds:
            break
    return net.eval()


@torch.no_grad()
def find(net: nn.Module, counts: Tensor, threshold: float = 0.9) -> np.ndarray:
    """Places [n, 2] (fast, slow; pixel k reaches from k to k + 1) of the maxima of the network's answer."""
    chance = torch.sigmoid(net(stable(counts)[None]))[0, 0]
    peak = nn.functional.max_pool2d(chance[None, None], 5, 1, 2)[0, 0]
    slow, fast = torch.nonzero((chance == peak) & (chance > threshold), as_tuple=True)
    return np.stack([fast.numpy() + 0.5, slow.numpy() + 0.5], axis=1)


def score(found: np.ndarray, true: np.ndarray, within: float = 2.5) -> tuple[int, int, int]:
    """Found spots that are true, all found, and true spots that were found."""
    if not len(found) or not len(true):
        return 0, len(found), 0
    apart = np.linalg.norm(found[:, None] - true[None], axis=2)
    return int((apart.min(1) < within).sum()), len(found), int((apart.min(0) < within).sum())
