"""Make the example data of examples/: a synthetic protein, its P1 structure factors and an orientation matrix.

    python scripts/make_examples.py [folder]

The same numbers come out every time (specs: structure_factors 2, crystal 3).
"""

from __future__ import annotations

import sys
from pathlib import Path

import gemmi
import numpy as np
from synthetic_protein import make_structure

from nanobrag_torch.io.model import Solvent, read_model

CELL = gemmi.UnitCell(45.0, 55.0, 65.0, 90.0, 90.0, 90.0)
GROUP = "P 21 21 21"
RESIDUES, WATERS, SEED = 160, 90, 1
D_MIN = 2.2
WAVELENGTH = 1.0
MISSET_DEG = (21.0, 38.0, -64.0)


def table(model: Path) -> str:
    """Lines `h k l F` of the whole cell to D_MIN without 0 0 0: atoms and a flat bulk solvent."""
    grid = read_model(model, D_MIN, solvent=Solvent()).grid
    indices = np.argwhere(grid.given) + grid.origin
    rows = zip(indices.tolist(), grid.values[grid.given].tolist(), strict=True)
    return "".join(f"{h} {k} {l} {value:.1f}\n" for (h, k, l), value in rows if (h, k, l) != (0, 0, 0))


def orientation_matrix() -> np.ndarray:
    """Rows x, y, z; columns a*, b*, c* (1/Å) times the wavelength, turned about lab x, y, z by MISSET_DEG."""
    x, y, z = np.radians(MISSET_DEG)
    turn_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    turn_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    turn_z = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    return WAVELENGTH * turn_z @ turn_y @ turn_x @ np.array(CELL.frac.mat).T


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent / "examples")
    model = folder / "model.pdb"
    make_structure(CELL, GROUP, RESIDUES, WATERS, SEED).write_pdb(str(model))
    (folder / "P1.hkl").write_text(table(model))
    rows = ("".join(f"{x:13.8f}" for x in row) + "\n" for row in orientation_matrix())
    (folder / "A.mat").write_text("".join(rows))


if __name__ == "__main__":
    main()
