"""How much memory this process may still take: what the machine, its control group and its limits really allow."""

from __future__ import annotations

import math
import os
import resource
from pathlib import Path

_PROC = Path("/proc")
_CGROUP = Path("/sys/fs/cgroup")
_UNLIMITED = 2.0**60
"""Limits from here on are none."""


def available_memory() -> float:
    """Bytes that can still be used; infinite where the system does not tell."""
    return max(0.0, min(_of_the_machine(), _of_the_group(), _of_the_process()))


def peak_memory() -> float:
    """Bytes that this process has held at most since its program was started.

    What `getrusage` says begins with what the process that started this one held.
    """
    found = _numbers(_PROC / "self" / "status").get("VmHWM")
    if found is not None:
        return found * 1024
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def _of_the_machine() -> float:
    found = _numbers(_PROC / "meminfo").get("MemAvailable", math.inf)
    return found * 1024


def _of_the_group() -> float:
    """What the control groups of this process leave, version 2 or 1, from its own up to the root."""
    left = math.inf
    try:
        lines = (_PROC / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return left
    for line in lines:
        _, controllers, place = line.split(":", 2)
        if controllers == "":
            root, limit, used = _CGROUP, "memory.max", "memory.current"
        elif "memory" in controllers.split(","):
            root, limit, used = _CGROUP / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        folder = root / place.lstrip("/")
        # Inside a container the path is often that of the host, which is not there; its root is then the group's.
        for group in {folder, *folder.parents, root}:
            if group == root or root in group.parents:
                left = min(left, _left_in(group, limit, used))
    return left


def _left_in(group: Path, limit: str, used: str) -> float:
    most, now = _number(group / limit), _number(group / used)
    if most is None or most >= _UNLIMITED:
        return math.inf
    cache = _numbers(group / "memory.stat").get("inactive_file", 0.0)
    return most - max((now or 0.0) - cache, 0.0)


def _of_the_process() -> float:
    """What `ulimit -v` and `ulimit -d` leave."""
    left = math.inf
    used = _numbers(_PROC / "self" / "status")
    for kind, taken in ((resource.RLIMIT_AS, "VmSize"), (resource.RLIMIT_DATA, "VmData")):
        soft = resource.getrlimit(kind)[0]
        if soft != resource.RLIM_INFINITY:
            left = min(left, soft - used.get(taken, 0.0) * 1024)
    return left


def _number(path: Path) -> float | None:
    try:
        return float(path.read_text())
    except (OSError, ValueError):
        return None


def _numbers(path: Path) -> dict[str, float]:
    """Names and numbers of the lines of a file of the kernel."""
    found = {}
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            for line in file:
                words = line.replace(":", " ").split()
                if len(words) > 1 and words[1].isdigit():
                    found[words[0]] = float(words[1])
    except OSError:
        return {}
    return found


def processors() -> int:
    """Processors that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1
