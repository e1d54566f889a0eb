"""A small network that finds spots, trained on images that are made while it learns."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn

from nanobrag_torch.dataset import Sample, image_tensor, spot_map

LEAST_PHOTONS = 8.0
"""Reflections with fewer expected photons are no spots: nobody could find them."""


def network() -> nn.Module:
    """Four convolutions that see 13 x 13 pixels; one logit per pixel."""
    return nn.Sequential(
        nn.Conv2d(1, 10, 5, padding=2),
        nn.ReLU(),
        nn.Conv2d(10, 14, 3, padding=2, dilation=2),
        nn.ReLU(),
        nn.Conv2d(14, 14, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(14, 1, 3, padding=1),
    )


def pair(sample: Sample) -> tuple[Tensor, Tensor]:
    """Input and target: counts with a stable variance, and 1 at every spot and the pixels around it."""
    near = nn.functional.max_pool2d(spot_map(sample, LEAST_PHOTONS), 3, 1, 1)
    return stable(image_tensor(sample)), near


def stable(counts: Tensor) -> Tensor:
    """2 √(n + 3/8), whose variance is 1 for any mean (Anscombe), compressed at the top."""
    return torch.log1p(2.0 * torch.sqrt(counts.clamp(min=0) + 0.375))


def train(batches: Iterable[list[Tensor]]) -> nn.Module:
    """A network trained on every batch once: no image comes twice."""
    torch.manual_seed(1)
    net = network()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    weight = torch.tensor(8.0)  # spots are rare
    for images, targets in batches:
        loss = nn.functional.binary_cross_entropy_with_logits(net(images), targets, pos_weight=weight)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net.eval()


@torch.no_grad()
def find(net: nn.Module, counts: Tensor, threshold: float = 0.5) -> np.ndarray:
    """Places [n, 2] (fast, slow; pixel k reaches from k to k + 1) of the maxima of the network's answer."""
    chance = torch.sigmoid(net(stable(counts)[None]))[0, 0]
    chance = nn.functional.avg_pool2d(chance[None, None], 3, 1, 1)[0, 0]
    peak = nn.functional.max_pool2d(chance[None, None], 5, 1, 2)[0, 0]
    slow, fast = torch.nonzero((chance == peak) & (chance > threshold), as_tuple=True)
    return np.stack([fast.numpy() + 0.5, slow.numpy() + 0.5], axis=1)


def score(found: np.ndarray, true: np.ndarray, within: float = 2.5) -> tuple[int, int, int]:
    """Found spots that are true, all found, and true spots that were found."""
    if not len(found) or not len(true):
        return 0, len(found), 0
    apart = np.linalg.norm(found[:, None] - true[None], axis=2)
    return int((apart.min(1) < within).sum()), len(found), int((apart.min(0) < within).sum())


def assess(net: nn.Module, samples: Iterable[Sample], threshold: float = 0.5) -> tuple[float, float]:
    """Precision, and recall of the reflections with `LEAST_PHOTONS`; fainter ones may be found, but need not."""
    good = found = recalled = true = 0
    for sample in samples:
        table = sample.reflections
        places = np.stack([table["fast"], table["slow"]], axis=1)
        bright = table["expected"] >= LEAST_PHOTONS
        peaks = find(net, image_tensor(sample), threshold)
        right, count, _ = score(peaks, places[table["expected"] >= LEAST_PHOTONS / 4])
        good, found = good + right, found + count
        recalled, true = recalled + score(peaks, places[bright])[2], true + int(bright.sum())
    return good / max(found, 1), recalled / max(true, 1)
