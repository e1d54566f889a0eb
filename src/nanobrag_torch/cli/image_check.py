"""What no image has: values that are negative or not finite. Such an image is an error, not a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nanobrag_torch.errors import ImageError

if TYPE_CHECKING:
    from torch import Tensor

    from nanobrag_torch.pipeline.image import Image


def checked(image: Image) -> Image:
    """The image, if every rendered pixel is finite and not negative.

    Raises:
        ImageError: names the first pixel that is not.
    """
    import torch

    for panel, values in enumerate(image.values):
        if not len(values):
            continue
        low, high = (float(x) for x in torch.aminmax(values.detach()))
        if not 0.0 <= low <= high < float("inf"):
            raise ImageError(_complaint(image, panel, values.detach()))
    return image


def _complaint(image: Image, panel: int, values: Tensor) -> str:
    import torch

    wrong = ~((values >= 0) & (values < float("inf")))
    place, pixels = int(wrong.to(torch.uint8).argmax()), image.pixels[panel]
    slow, fast = divmod(
        place if pixels is None else int(pixels[place]), image.experiment.detector.panels[panel].pixels_f
    )
    several = len(image.values) > 1
    where = f"{f'panel {panel}, ' if several else ''}slow {slow}, fast {fast}"
    text = f"{int(wrong.sum())} of {len(values)} pixels are negative or not finite, the first ({where}) is"
    advice = "a quantity of the scene is too large or too small (amplitudes, fluence, polarization, weights, lengths)"
    return f"the image cannot be: {text} {float(values[place]):g}; {advice}; nothing is written"
