"""What a space group says of a refinement: which numbers of a cell are free, and which reflections are one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nanobrag_torch.errors import InputError

if TYPE_CHECKING:
    import gemmi

    from nanobrag_torch.refine.outcome import Elements

_LENGTHS = tuple(("cell_lengths", i) for i in range(3))
_ANGLES = tuple(("cell_angles", i) for i in range(3))


def space_group(hall: str) -> gemmi.SpaceGroup:
    """The space group of a Hall symbol.

    Raises:
        InputError: there is no such group.
    """
    import gemmi

    try:
        found = gemmi.find_spacegroup_by_ops(gemmi.symops_from_hall(hall))
    except (ValueError, RuntimeError) as error:
        raise InputError("space group", f"{hall.strip()!r} is not a Hall symbol", "correct the .expt") from error
    if found is None:
        raise InputError("space group", f"{hall.strip()!r} is not a known setting", "reindex to a standard one")
    return found


def cell_freedom(group: gemmi.SpaceGroup) -> tuple[tuple[Elements, ...], Elements]:
    """Numbers of the cell that move together, and those that stay, as `Constraints` has them."""
    system = group.crystal_system_str()
    if system == "triclinic":
        return (), ()
    if system == "monoclinic":
        unique = "abc".index(group.monoclinic_unique_axis())
        return (), tuple(angle for i, angle in enumerate(_ANGLES) if i != unique)
    if system == "orthorhombic":
        return (), _ANGLES
    if system == "cubic":
        return (_LENGTHS,), _ANGLES
    if group.ext == "R":
        return (_LENGTHS, _ANGLES), ()
    return (_LENGTHS[:2],), _ANGLES


def unique_indices(indices: NDArray[np.int32], group: gemmi.SpaceGroup) -> NDArray[np.int32]:
    """The mate [n, 3] in the reciprocal asymmetric unit of each reflection [n, 3], Friedel mates being one."""
    import gemmi

    unit, operations = gemmi.ReciprocalAsu(group), group.operations()
    found = [unit.to_asu([int(x) for x in hkl], operations)[0] for hkl in indices]
    return np.array(found, dtype=np.int32).reshape(-1, 3)
