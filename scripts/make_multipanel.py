"""Make `examples/multipanel.expt`: six panels of our own with gaps, the last row tilted, one panel of it askew.

python scripts/make_multipanel.py [FILE]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from nanobrag_torch.io.scene import rotation

PIXELS, PIXEL_MM, GAP_MM, DISTANCE_MM = (280, 200), 0.15, 2.4, 90.0
COLUMNS, ROWS = 2, 3
LEAN_DEG, ASKEW_DEG = 4.0, 1.5
CELL = np.diag([45.0, 55.0, 65.0])
WAVELENGTH, PHI, OSC = 1.0, 10.0, 0.5
X, Y, Z = np.eye(3)


def frame(fast, slow, origin) -> dict:
    """A local frame, in that of its parent."""
    return {"fast_axis": list(fast + 0.0), "slow_axis": list(slow + 0.0), "origin": list(np.asarray(origin) + 0.0)}


def panel(column: int, row: int) -> dict:
    width, height = PIXELS[0] * PIXEL_MM, PIXELS[1] * PIXEL_MM
    askew = rotation(Z, ASKEW_DEG) if (column, row) == (1, 2) else np.eye(3)
    origin = [(column - COLUMNS / 2) * (width + GAP_MM) + GAP_MM / 2, -height / 2, 0.0]
    return {
        "name": f"row {row} column {column}",
        "type": "SENSOR_PAD",
        **frame(askew @ X, askew @ Y, origin),
        "raw_image_offset": [0, 0],
        "image_size": list(PIXELS),
        "pixel_size": [PIXEL_MM, PIXEL_MM],
        "trusted_range": [-1.0, 1e6],
        "thickness": 0.0,
        "material": "",
        "mu": 0.0,
        "identifier": "",
        "mask": [],
        "gain": 1.0,
        "pedestal": 0.0,
        "px_mm_strategy": {"type": "SimplePxMmStrategy"},
    }


def row_frame(row: int) -> dict:
    """Rows lie below each other; the last leans towards the sample. Frame of the detector: x fast, y slow, z away."""
    height = PIXELS[1] * PIXEL_MM + GAP_MM
    lean = rotation(X, LEAN_DEG) if row == ROWS - 1 else np.eye(3)
    children = [{"panel": row * COLUMNS + column} for column in range(COLUMNS)]
    return {
        "name": f"row {row}",
        **frame(lean @ X, lean @ Y, [0, (row - (ROWS - 1) / 2) * height, 0]),
        "children": children,
    }


BEAM = {
    "__id__": "monochromatic",
    "direction": [0.0, 0.0, 1.0],
    "wavelength": WAVELENGTH,
    "divergence": 0.0,
    "sigma_divergence": 0.0,
    "polarization_normal": [0.0, 1.0, 0.0],
    "polarization_fraction": 0.99,
    "flux": 0.0,
    "transmission": 1.0,
}
SCAN = {
    "image_range": [1, 1],
    "batch_offset": 0,
    "oscillation": [PHI, OSC],
    "exposure_time": [1.0],
    "epochs": [0.0],
    "valid_image_ranges": {},
}


def experiments() -> dict[str, Any]:
    """The content of the file."""
    cell = CELL @ (rotation(X, 20.0) @ rotation(Y, 35.0) @ rotation(Z, 50.0)).T
    a, b, c = (list(vector) for vector in cell)
    return {
        "__id__": "ExperimentList",
        "experiment": [
            {
                "__id__": "Experiment",
                "identifier": "",
                "beam": 0,
                "detector": 0,
                "goniometer": 0,
                "scan": 0,
                "crystal": 0,
            }
        ],
        "imageset": [],
        "beam": [BEAM],
        "detector": [
            {
                "panels": [panel(column, row) for row in range(ROWS) for column in range(COLUMNS)],
                "hierarchy": {
                    "name": "detector",
                    **frame(X, -Y, [0.0, 0.0, -DISTANCE_MM]),
                    "children": [row_frame(row) for row in range(ROWS)],
                },
            }
        ],
        "goniometer": [
            {
                "rotation_axis": [1.0, 0.0, 0.0],
                "fixed_rotation": list(np.eye(3).ravel()),
                "setting_rotation": list(np.eye(3).ravel()),
            }
        ],
        "scan": [SCAN],
        "crystal": [
            {
                "__id__": "crystal",
                "real_space_a": a,
                "real_space_b": b,
                "real_space_c": c,
                "space_group_hall_symbol": " P 2ac 2ab",
            }
        ],
        "profile": [],
        "scaling_model": [],
    }


def main() -> None:
    target = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent / "examples" / "multipanel.expt"
    Path(target).write_text(json.dumps(experiments(), indent=1) + "\n")


if __name__ == "__main__":
    main()
