"""Registration: where the pixels of one image lie in another, across instruments, with exact derivatives."""

from nanobrag_torch.register.run import Options, Registration, register
from nanobrag_torch.register.transforms import Transform

__all__ = ["Options", "Registration", "Transform", "register"]
