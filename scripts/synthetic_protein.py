"""A protein-like model that belongs to nobody: helices, strands and loops folded into a compact globule.

Bond lengths and angles are those of a polypeptide; the fold is found by growing one segment at a time and keeping,
of many random ones, the most compact that touches neither the chain nor its symmetry mates.
"""

from __future__ import annotations

import gemmi
import numpy as np

BASINS = {"helix": (-62.0, -43.0, 4.0), "strand": (-120.0, 130.0, 10.0), "turn": (-90.0, 0.0, 60.0)}
LENGTHS = {"helix": (8, 15), "strand": (5, 9), "turn": (2, 6)}
RING = {"CD1": ("CA", "CB", "CG", 1.39, 120.0, "chi"), "CD2": ("CD1", "CB", "CG", 1.39, 120.0, 180.0)}
RING |= {"CE1": ("CB", "CG", "CD1", 1.39, 120.0, 180.0), "CE2": ("CB", "CG", "CD2", 1.39, 120.0, 180.0)}
RING |= {"CZ": ("CG", "CD1", "CE1", 1.39, 120.0, 0.0)}
CG = {"CG": ("N", "CA", "CB", 1.52, 113.0, "chi")}
# atom: the three atoms that its bond, angle and torsion refer to (the last is bonded), Å, degrees, degrees or a rotamer
SIDE_CHAINS: dict[str, dict[str, tuple]] = {
    "GLY": {},
    "ALA": {},
    "SER": {"OG": ("N", "CA", "CB", 1.42, 110.8, "chi")},
    "THR": {"OG1": ("N", "CA", "CB", 1.43, 109.0, "chi"), "CG2": ("OG1", "CA", "CB", 1.52, 110.5, -120.0)},
    "VAL": {"CG1": ("N", "CA", "CB", 1.52, 110.5, "chi"), "CG2": ("CG1", "CA", "CB", 1.52, 110.5, 122.0)},
    "ILE": {
        "CG1": ("N", "CA", "CB", 1.53, 110.4, "chi"),
        "CG2": ("CG1", "CA", "CB", 1.52, 110.5, -122.0),
        "CD1": ("CA", "CB", "CG1", 1.51, 113.9, "chi"),
    },
    "LEU": CG | {"CD1": ("CA", "CB", "CG", 1.52, 110.5, "chi"), "CD2": ("CD1", "CB", "CG", 1.52, 110.5, 122.0)},
    "ASP": CG | {"OD1": ("CA", "CB", "CG", 1.25, 118.4, "chi"), "OD2": ("OD1", "CB", "CG", 1.25, 118.4, 180.0)},
    "ASN": CG | {"OD1": ("CA", "CB", "CG", 1.23, 120.8, "chi"), "ND2": ("OD1", "CB", "CG", 1.33, 116.4, 180.0)},
    "GLU": CG
    | {"CD": ("CA", "CB", "CG", 1.52, 112.6, "chi"), "OE1": ("CB", "CG", "CD", 1.25, 118.4, "chi")}
    | {"OE2": ("OE1", "CG", "CD", 1.25, 118.4, 180.0)},
    "LYS": CG
    | {"CD": ("CA", "CB", "CG", 1.52, 111.3, "chi"), "CE": ("CB", "CG", "CD", 1.52, 111.3, "chi")}
    | {"NZ": ("CG", "CD", "CE", 1.49, 111.9, "chi")},
    "MET": CG | {"SD": ("CA", "CB", "CG", 1.80, 112.7, "chi"), "CE": ("CB", "CG", "SD", 1.79, 100.9, "chi")},
    "PHE": CG | RING,
    "TYR": CG | RING | {"OH": ("CD1", "CE1", "CZ", 1.38, 120.0, 180.0)},
}
FREQUENCIES = {"LEU": 10, "ALA": 9, "GLU": 8, "LYS": 8, "VAL": 7, "GLY": 6, "ASP": 6, "ILE": 6, "SER": 6} | {
    "THR": 6, "ASN": 5, "PHE": 4, "TYR": 4, "MET": 3}  # fmt: skip
CORE = {"LEU", "ILE", "VAL", "PHE", "MET", "ALA"}


def place(a, b, c, length, angle, torsion):
    """Position bonded to `c` at `length`, with the angle at `c` towards `b` and the torsion a-b-c-new (degrees)."""
    angle, torsion = np.radians(angle), np.radians(torsion)
    along = (c - b) / np.linalg.norm(c - b)
    normal = np.cross(b - a, along)
    normal /= np.linalg.norm(normal)
    local = np.array([-np.cos(angle), np.sin(angle) * np.cos(torsion), np.sin(angle) * np.sin(torsion)])
    return c + length * local @ np.array([along, np.cross(normal, along), normal])


class Packing:
    """Distances to atoms and to their symmetry mates, with the smallest translation (cells with right angles)."""

    def __init__(self, cell, group):
        self.edges = np.array(cell.parameters[:3])
        ops = gemmi.SpaceGroup(group).operations()
        self.ops = [(np.array(op.rot) / op.DEN, np.array(op.tran) / op.DEN) for op in ops]

    def distances(self, x, y, skip_identity=False):
        """Shortest distance [len(x), len(y)] over all symmetry mates of y."""
        best = np.full((len(x), len(y)), np.inf)
        for rotation, shift in self.ops[skip_identity:]:
            d = x[:, None] / self.edges - ((y / self.edges) @ rotation.T + shift)
            best = np.minimum(best, np.linalg.norm((d - np.round(d)) * self.edges, axis=2))
        return best


def grow(rng, tail, psi, kinds_and_lengths):
    """Backbone atoms of the residues after `tail` (N, CA, C), kind by kind, and the last psi."""
    residues = []
    for kind, length in kinds_and_lengths:
        mean_phi, mean_psi, width = BASINS[kind]
        for _ in range(length):
            n = place(*tail, 1.329, 116.2, psi)
            ca = place(tail[1], tail[2], n, 1.458, 121.7, 180 + rng.normal(0, 3))
            c = place(tail[2], n, ca, 1.525, 111.0, mean_phi + rng.normal(0, width))
            psi = mean_psi + rng.normal(0, width)
            o = place(n, ca, c, 1.231, 120.5, psi + 180)
            residues.append({"N": n, "CA": ca, "C": c, "O": o, "CB": place(n, c, ca, 1.53, 110.1, 122.6)})
            tail = (n, ca, c)
    return residues, psi


def fold(rng, packing, centre, count):
    """Backbone of `count` residues around `centre`: a list of {atom name: position}."""
    start = centre + [0.0, 9.0, 0.0]
    chain, psi = [], -43.0
    while len(chain) < count:
        tail = (start + [-2.0, 1.0, 0], start + [-0.8, 0.5, 0], start + [0.5, 0.1, 0])
        tail = tuple(chain[-1][k] for k in ("N", "CA", "C")) if chain else tail
        old = np.array([r[k] for r in chain for k in ("CA", "CB")]).reshape(-1, 3)
        best, best_score, accepted = None, np.inf, 0
        for _ in range(300):
            kind = str(rng.choice(["helix", "helix", "strand"]))
            unit = [("turn", int(rng.integers(*LENGTHS["turn"]))), (kind, int(rng.integers(*LENGTHS[kind])))]
            new, new_psi = grow(rng, tail, psi, unit)
            new = new[: count - len(chain)]
            x = np.array([r[k] for r in new for k in ("CA", "CB")])
            if packing.distances(x, x, skip_identity=True).min() < 5.5:
                continue
            if len(old) > 4 and packing.distances(x[4:], old[:-4]).min(initial=np.inf) < 4.5:
                continue
            score = ((x[-2:] - centre) ** 2).sum(1).mean() + 2 * ((x - centre) ** 2).sum(1).mean()
            if score < best_score:
                best, best_score = (new, new_psi), score
            accepted += 1
            if accepted == 12:
                break
        if best is None:  # a dead end: give up what was grown last
            chain = chain[: max(0, len(chain) - 20)]
        else:
            chain, psi = chain + best[0], best[1]
    return chain


def dress(rng, packing, chain, centre):
    """Residue names and side chains: of a few random ones for each residue, the one with most room."""
    occupied = np.array([p for r in chain for p in r.values()])
    names = list(FREQUENCIES)
    weights = np.array(list(FREQUENCIES.values()), dtype=float)
    dressed = []
    for residue in chain:
        best, best_score = ("GLY", {k: v for k, v in residue.items() if k != "CB"}), 2.0
        inside = np.linalg.norm(residue["CB"] - centre) < 12.0
        for name in rng.choice(names, size=12, p=weights / weights.sum()):
            atoms = dict(residue)
            for atom, (a, b, c, length, angle, torsion) in SIDE_CHAINS[name].items():
                if torsion == "chi":
                    torsion = rng.choice([-60.0, 60.0, 180.0]) + rng.normal(0, 8)
                atoms[atom] = place(atoms[a], atoms[b], atoms[c], length, angle, torsion)
            x = np.array([p for k, p in atoms.items() if k not in residue]).reshape(-1, 3)
            others = occupied[np.linalg.norm(occupied - residue["CB"], axis=1) > 2.6]
            room = packing.distances(x, others).min(initial=3.4) if name != "GLY" else 2.5
            score = min(room, 3.4) + 0.3 * (inside == (name in CORE)) + 0.02 * len(x)
            if room > 2.9 and score > best_score:
                best, best_score = (str(name), atoms), score
        dressed.append(best)
        occupied = np.concatenate([occupied, [p for k, p in best[1].items() if k not in residue] or occupied[:0]])
    return dressed, occupied


def waters(rng, packing, occupied, count):
    """Positions of `count` water molecules in the first shell."""
    found: list[np.ndarray] = []
    while len(found) < count:
        step = rng.normal(size=3)
        x = occupied[rng.integers(len(occupied))] + step * 2.9 / np.linalg.norm(step)
        if packing.distances(x[None], np.array([*occupied, *found])).min() > 2.7:
            found.append(x)
    return found


def make_structure(cell, group, residues, waters_count, seed):
    """A gemmi.Structure of one chain with isotropic B that grows from the core outwards, and its waters."""
    rng, packing = np.random.default_rng(seed), Packing(cell, group)
    centre = np.array(cell.parameters[:3]) * [0.0, 0.0, 0.05]
    dressed, occupied = dress(rng, packing, fold(rng, packing, centre, residues), centre)
    structure, model, chain = gemmi.Structure(), gemmi.Model(1), gemmi.Chain("A")
    structure.name, structure.cell, structure.spacegroup_hm = "SYNTHETIC", cell, group
    solvent = [("HOH", {"O": x}) for x in waters(rng, packing, occupied, waters_count)]
    for number, (name, atoms) in enumerate(dressed + solvent, start=1):
        residue = gemmi.Residue()
        residue.name, residue.seqid = name, gemmi.SeqId(str(number))
        residue.het_flag = "H" if name == "HOH" else "A"
        for label, position in atoms.items():
            atom = gemmi.Atom()
            atom.name, atom.element, atom.pos = label, gemmi.Element(label[0]), gemmi.Position(*position)
            outside = np.linalg.norm(position - centre) / 18.0
            side = label not in ("N", "CA", "C", "O", "CB")
            atom.b_iso = round(10.0 + 9.0 * outside**2 + 4.0 * side + 12.0 * (name == "HOH"), 2)
            residue.add_atom(atom)
        chain.add_residue(residue)
    model.add_chain(chain)
    structure.add_model(model)
    structure.setup_entities()
    return structure
