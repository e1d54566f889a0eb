"""Stored traces against the TRACE lines of a program (grammar: README of this folder)."""
import json
import re

import numpy as np

BY_MAGNITUDE = {"F_latt", "F_latt_a", "F_latt_b", "F_latt_c"}


def parse(out):
    """{'pixel.polar': array, ...} from TRACE_C: or TRACE_PY: lines."""
    found = {}
    for line in out.splitlines():
        match = re.match(r"TRACE_\w+: (\S+) (.*)", line)
        if match:
            found[match.group(1)] = np.array([float(x) for x in match.group(2).split()])
    return found


def flat(place, values):
    """(name, value) pairs of one block, nested names joined by dots."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from flat(f"{place}.{name}", value)
        elif not (isinstance(value, list) and value and isinstance(value[0], dict)):
            yield f"{place}.{name}", value


def expected(trace, layout):
    """Every stored quantity under the name a program prints it; layout = (layers, oversample)."""
    yield from flat("setup", trace["setup"])
    yield from flat("pixel", trace["pixel"])
    layers, n = layout
    index = [(t, s, f) for t in range(layers) for s in range(n) for f in range(n)]
    for (t, s, f), term in zip(index, trace["terms"], strict=True):
        third = term.pop("third_source", None)
        yield from flat(f"term[{t},{s},{f},0]", term)
        for step in term.get("phi_steps", []):
            yield from flat(f"step[{t},{s},{f},0,{step['phi_tic']},0]", step)
        if third:
            yield from flat(f"term[{t},{s},{f},2]", third)


def error(name, ours, theirs):
    """Largest difference, relative to the largest component."""
    theirs = np.ravel(np.array(theirs, float))
    if ours is None or ours.shape != theirs.shape:
        return np.inf
    if name.rsplit(".", 1)[1] in BY_MAGNITUDE:
        ours, theirs = np.abs(ours), np.abs(theirs)
    top = np.abs(theirs).max()
    d = np.abs(ours - theirs).max()
    return d / top if top > 0 else d


def compare(path, run):
    """Worst relative error of one stored trace, and the quantity; run(extra flags) runs the program."""
    with open(path) as f:
        trace = json.load(f)
    slow, fast = trace["slow"], trace["fast"]
    here = [str(x) for x in (fast, fast, slow, slow)]
    done = run(["-trace_pixel", str(slow), str(fast), "-roi", *here])
    found = parse(done.stdout)
    keys = [[int(x) for x in m.group(1).split(",")] for m in (re.match(r"term\[([\d,]+)\]", k) for k in found) if m]
    if not keys:
        return np.inf, "no TRACE lines"
    layout = 1 + max(k[0] for k in keys), 1 + max(k[1] for k in keys)
    pairs = [(error(name, found.get(name), value), name) for name, value in expected(trace, layout)]
    return max(pairs)
