"""Make the example data of examples/: a synthetic protein, its P1 structure factors and an orientation matrix.

    python scripts/make_examples.py [folder]

The same numbers come out every time (gemmi computes the structure factors; specs: structure_factors 2, crystal 3).
"""

from __future__ import annotations

import sys
from pathlib import Path

import gemmi
import numpy as np
from synthetic_protein import make_structure

CELL = gemmi.UnitCell(45.0, 55.0, 65.0, 90.0, 90.0, 90.0)
GROUP = "P 21 21 21"
RESIDUES, WATERS, SEED = 160, 90, 1
D_MIN = 2.2
WAVELENGTH = 1.0
MISSET_DEG = (21.0, 38.0, -64.0)
SOLVENT_SCALE, SOLVENT_B = 0.35, 46.0


def amplitudes(structure: gemmi.Structure) -> dict[tuple[int, int, int], float]:
    """Structure factors of the whole cell to D_MIN: atoms and a flat bulk solvent."""
    atoms = gemmi.DensityCalculatorX()
    atoms.d_min, atoms.rate = D_MIN, 1.8
    atoms.grid.setup_from(structure)
    atoms.set_refmac_compatible_blur(structure[0])
    atoms.put_model_density_on_grid(structure[0])
    f = gemmi.transform_map_to_f_phi(atoms.grid, half_l=False)
    mask = gemmi.FloatGrid()
    mask.setup_from(structure, spacing=0.6)
    gemmi.SolventMasker(gemmi.AtomicRadiiSet.Cctbx).put_mask_on_float_grid(mask, structure[0])
    f_mask = gemmi.transform_map_to_f_phi(mask, half_l=False)
    table = {}
    for h, k, l in gemmi.make_miller_array(CELL, gemmi.SpaceGroup("P 1"), D_MIN):  # noqa: E741
        stol2 = 0.25 / CELL.calculate_d([h, k, l]) ** 2
        solvent = SOLVENT_SCALE * np.exp(-SOLVENT_B * stol2) * f_mask.get_value(h, k, l)
        value = abs(f.get_value(h, k, l) * atoms.reciprocal_space_multiplier(4 * stol2) + solvent)
        table[h, k, l] = table[-h, -k, -l] = value
    return table


def orientation_matrix() -> np.ndarray:
    """Rows x, y, z; columns a*, b*, c* (1/Å) times the wavelength, turned about lab x, y, z by MISSET_DEG."""
    x, y, z = np.radians(MISSET_DEG)
    turn_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    turn_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    turn_z = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    return WAVELENGTH * turn_z @ turn_y @ turn_x @ np.array(CELL.frac.mat).T


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent / "examples")
    structure = make_structure(CELL, GROUP, RESIDUES, WATERS, SEED)
    structure.write_pdb(str(folder / "model.pdb"))
    structure = gemmi.read_structure(str(folder / "model.pdb"))  # with the file's own rounding
    lines = [f"{h} {k} {l} {value:.1f}\n" for (h, k, l), value in sorted(amplitudes(structure).items())]
    (folder / "P1.hkl").write_text("".join(lines))
    rows = ("".join(f"{x:13.8f}" for x in row) + "\n" for row in orientation_matrix())
    (folder / "A.mat").write_text("".join(rows))


if __name__ == "__main__":
    main()
