"""Run all the native code under the address and undefined-behaviour sanitizers.

    python scripts/sanitize.py --scenes 2500 --first 0   random scenes, each as the fuzzer of nb-parity draws them
    python scripts/sanitize.py --golden                  the golden cases (NANOBRAG_GOLDEN, or the copied ones)
    python scripts/sanitize.py --golden 40 20            twenty of them, from number 40 on
    python scripts/sanitize.py --faults                  whether faults made on purpose are found

The libraries are built into build/sanitized/ and loaded in place of the installed ones, in a process that has the
sanitizer's own library before all others. The first fault ends it with its report.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "sanitized"
SOURCE = ROOT / "src" / "nanobrag_torch" / "kernels" / "csrc"
FLAGS = "-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g1"
CONTRACTED = "-fno-math-errno -ffp-contract=fast"
PLAIN = {"nanobrag_noise": "legacy_noise.c", "nanobrag_philox": "philox_noise.c", "nanobrag_trace": "trace.c"}
"""Libraries of one source file; `nanobrag_kernels` is compiled once per instruction set."""
FAULTS = {
    "read beyond an array": ("int fault(int n) { static int a[4]; return *(volatile int *)(a + n); }", 4),
    "sum of int beyond its range": ("int fault(int n) { return n + 2147483647; }", 1),
    "shift by more bits than there are": ("int fault(int n) { return 1 << n; }", 40),
}
"""By name: C code, and the number that makes a fault of it."""
VARIANTS = 25
"""Scenes that are made of one command line: other pixels, precisions, instructions, sizes, gradients."""
PIXELS, EVERY = 12, 10**6
LEVELS = (1, 3, 4)
FOUND = 99
"""Status of a process in which a sanitizer has found something."""
Chosen = list[tuple[int, int, int]]
"""Panel, slow and fast of pixels, in order."""


def build() -> None:
    """The sanitized libraries, the kernels once per instruction set of CMakeLists.txt; only what is out of date."""
    BUILD.mkdir(parents=True, exist_ok=True)
    newest = max(path.stat().st_mtime for path in (*SOURCE.iterdir(), Path(__file__)))
    common = ["gcc", "-std=gnu11", "-O1", *FLAGS.split(), *CONTRACTED.split(), "-fPIC", "-fopenmp"]
    levels = {"_default": [], "_v3": ["-march=x86-64-v3"], "_v4": ["-march=x86-64-v4", "-mprefer-vector-width=512"]}
    kernels = {BUILD / "dispatch.o": [*common, "-DHAS_LEVELS", "-c", str(SOURCE / "dispatch.c")]}
    listed = re.search(r"set\(KERNEL_SOURCES ([^)]*)\)", (SOURCE / "CMakeLists.txt").read_text())
    for name, options in levels.items():
        for source in listed[1].split() if listed else ():
            command = [*common, *options, "-fvisibility=hidden", f"-DLEVEL={name}", "-c", str(SOURCE / source)]
            kernels[BUILD / f"{Path(source).stem}{name}.o"] = command
    plain = {BUILD / f"{name}.o": [*common, "-c", str(SOURCE / source)] for name, source in PLAIN.items()}
    jobs = {**kernels, **plain}
    due = [place for place in jobs if not place.exists() or place.stat().st_mtime < newest]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda place: compiled([*jobs[place], "-o", str(place)]), due))
    objects = {"nanobrag_kernels": list(kernels), **{name: [BUILD / f"{name}.o"] for name in PLAIN}}
    for name, parts in objects.items():
        place = BUILD / f"lib{name}.so"
        if due or not place.exists():
            compiled(["gcc", "-shared", "-fopenmp", *FLAGS.split(), *map(str, parts), "-lm", "-o", str(place)])


def compiled(command: list[str]) -> None:
    """Run a compiler; its errors end the program."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"the sanitized libraries cannot be built: {done.stderr[-2000:]}")


def again_under_sanitizers(words: list[str]) -> subprocess.CompletedProcess[str]:
    """This script in a process of its own, with the libraries of the sanitizers first."""
    found = [
        subprocess.run(
            ["gcc", f"-print-file-name=lib{name}.so"], capture_output=True, text=True, check=True
        ).stdout.strip()
        for name in ("asan", "ubsan")
    ]
    environment = {
        **os.environ,
        "LD_PRELOAD": " ".join(found),
        "ASAN_OPTIONS": f"detect_leaks=0:halt_on_error=1:exitcode={FOUND}:allocator_may_return_null=1:"
        "detect_odr_violation=0",
        "UBSAN_OPTIONS": f"halt_on_error=1:print_stacktrace=1:exitcode={FOUND}",
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "2"),
    }
    command = [sys.executable, __file__, "--inside", *words]
    return subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)


def faults_are_found() -> int:
    """How many of the faults made on purpose are found; one that is not ends the program."""
    for number, (name, (code, _)) in enumerate(FAULTS.items()):
        place = BUILD / f"fault{number}.c"
        place.write_text(code)
        compiled(["gcc", "-shared", "-fPIC", *FLAGS.split(), str(place), "-o", str(place.with_suffix(".so"))])
        done = again_under_sanitizers(["--fault", str(number)])
        if done.returncode != FOUND:
            raise SystemExit(f"the sanitizers do not find a {name}: status {done.returncode}")
    return len(FAULTS)


def load_sanitized() -> None:
    """Let the package find the sanitized libraries."""
    from nanobrag_torch import native

    for name in ("nanobrag_kernels", *PLAIN):
        native._FOUND[name] = (ctypes.CDLL(str(BUILD / f"lib{name}.so")), "")


def scenes(first: int, count: int) -> Iterator[tuple[int, Any]]:
    """Settled random scenes."""
    from nanobrag_torch.errors import NanobragError
    from nanobrag_torch.parity.fuzz import random_line

    for index in range(first, first + count):
        made = random_line(7, index)
        with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as name:
            os.chdir(name)
            Path("inputs").mkdir()
            for file, content in made.files.items():
                Path(file).write_bytes(content)
                Path("inputs", file).write_bytes(content)
            try:
                yield index, settled([word.replace("../inputs/", "inputs/") for word in made.args])
            except NanobragError:
                yield index, None
            finally:
                os.chdir(ROOT)


def settled(args: list[str]) -> Any:
    """The scene of a command line."""
    from nanobrag_torch.cli.parse import parse_line
    from nanobrag_torch.cli.running import with_seeds
    from nanobrag_torch.settling import settle
    from nanobrag_torch.settling.inputs import read_inputs

    config = with_seeds(parse_line(args).config, 1)
    return settle(config, physics=config.output.physics, inputs=read_inputs(config))


def render_variants(experiment: Any, rng: random.Random) -> int:
    """Render variants of a scene; how many."""
    import torch

    from nanobrag_torch.errors import NanobragError
    from nanobrag_torch.kernels import cpu
    from nanobrag_torch.pipeline.simulator import Simulator

    done = 0
    for variant in range(VARIANTS):
        cpu.level(LEVELS[variant % len(LEVELS)])
        changed = experiment
        if variant % 3 == 1:
            size = rng.choice((1.0, 2.0, 2.5, 17.0, 1e3, 1e6))
            changed = experiment.replace(N=torch.full((3,), size, dtype=torch.float64))
        if variant % 4 == 3:
            wavelength = experiment.beam.wavelength * rng.choice((0.01, 0.3, 3.0, 50.0))
            changed = changed.replace(wavelength=wavelength)
        if variant % 5 == 4 and not changed.crystal.water.requires_grad:
            misset = torch.tensor([rng.uniform(-9, 9) for _ in range(3)], dtype=torch.float64, requires_grad=True)
            changed = changed.replace(misset=misset)
        chosen = some_pixels(changed, rng)
        with suppress(NanobragError):
            made = Simulator(changed, dtype=rng.choice((torch.float64, torch.float64, torch.float32)))
            image = made.run(torch.tensor(chosen), solid_angle=rng.random() < 0.5)
            total = sum(values.sum() for values in image.values)
            if isinstance(total, torch.Tensor) and total.requires_grad:
                total.backward()
        with suppress(NanobragError):
            also_tried(variant, changed, made, chosen, rng)
        done += 1
    return done


def some_pixels(experiment: Any, rng: random.Random) -> Chosen:
    """A few pixels."""
    panels, chosen = experiment.detector.panels, []
    for _ in range(rng.randrange(1, PIXELS)):
        index = rng.randrange(len(panels))
        chosen.append((index, rng.randrange(panels[index].pixels_s), rng.randrange(panels[index].pixels_f)))
    return sorted(chosen)


def also_tried(variant: int, experiment: Any, made: Any, chosen: Chosen, rng: random.Random) -> None:
    """With some variants: derivatives in forward mode (slow: once), the trace of a pixel, both kinds of noise."""
    import torch

    from nanobrag_torch.models.quantities import QUANTITIES
    from nanobrag_torch.pipeline.kernel_trace import kernel_taps
    from nanobrag_torch.random import Purpose, normal, poisson

    if variant == 1:
        free = [name for name, quantity in QUANTITIES.items() if quantity.objection(experiment) is None]
        made.jacobian(rng.sample(free, min(len(free), 3)), torch.tensor(chosen))
    elif variant % 5 == 2:
        panel, slow, fast = chosen[0]
        kernel_taps(experiment, slow, fast, rng.choice((torch.float64, torch.float32)), panel=panel)
    elif variant % 5 == 3:
        count, first = rng.randrange(1, 70), rng.randrange(9)
        means = [rng.choice((-1.0, 0.0, 0.3, 11.9, 12.0, 1e3, 1e15, 1e16, float("nan"))) for _ in range(count)]
        poisson(np.array(means), rng.getrandbits(64), 1, Purpose.PHOTONS, first=first)
        normal(count, rng.getrandbits(64), 1, Purpose.READOUT, first=first)


def golden(first: int, count: int) -> tuple[int, list[str]]:
    """Render golden cases with all that they write, at each instruction set in turn; how many, and what went wrong."""
    from nanobrag_torch.kernels import cpu
    from nanobrag_torch.parity.golden import load_cases, run_case
    from nanobrag_torch.parity.trace import main as nb_trace

    folder = Path(os.environ.get("NANOBRAG_GOLDEN") or ROOT / "tests" / "golden_data").resolve()
    cases, wrong = load_cases(folder)[first : first + count], []
    for number, case in enumerate(cases, start=first):
        for dtype in ("float64", "float32"):
            cpu.level(LEVELS[(number + (dtype == "float32")) % len(LEVELS)])
            with tempfile.TemporaryDirectory() as name:
                run = run_case(case, Path(name), dtype)
            if run.status != 0:
                wrong.append(f"{case.id} {dtype}: status {run.status}: {run.errors[-200:]}")
        for trace in case.traces():
            pixel = [str(trace["slow"]), str(trace["fast"])]
            with redirect_stdout(StringIO()):
                status = nb_trace(["--kernel", "--pixel", *pixel, "--", *case.command()])
            if status != 0:
                wrong.append(f"{case.id}: the trace of the kernel: status {status}")
    return len(cases), wrong


def inside(said: argparse.Namespace) -> None:
    """What runs under the sanitizers."""
    if said.fault is not None:
        ctypes.CDLL(str(BUILD / f"fault{said.fault}.so")).fault(list(FAULTS.values())[said.fault][1])
        return
    load_sanitized()
    warnings.simplefilter("ignore")
    count, findings = 0, []
    if said.golden is not None:
        count, findings = golden(*said.golden) if said.golden else golden(0, EVERY)
    # The first scenes settle what is settled once; a line is drawn in several variants.
    for index, experiment in scenes(said.first // VARIANTS, -(-said.scenes // VARIANTS)):
        if experiment is not None:
            count += render_variants(experiment, random.Random(index))
    found = [{"problem": text} for text in findings]
    print(json.dumps({"done": "sanitized", "count": count, "findings": found}), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=0, help="how many random scenes")
    parser.add_argument("--first", type=int, default=0, help="number of the first one")
    parser.add_argument("--golden", type=int, nargs="*", metavar="N", help="also the golden cases: all, or FIRST COUNT")
    parser.add_argument("--faults", action="store_true", help="whether faults made on purpose are found")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--fault", type=int, help=argparse.SUPPRESS)
    said = parser.parse_args()
    if said.golden and len(said.golden) != 2:
        parser.error("--golden takes no number, or two: the first case and how many")
    if said.inside:
        inside(said)
        return 0
    build()
    if said.faults:
        print(json.dumps({"done": "faults", "count": faults_are_found(), "findings": []}), flush=True)
        return 0
    done = again_under_sanitizers(sys.argv[1:])
    print(done.stdout, end="", flush=True)
    told = next((json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"done"')), None)
    return done.returncode or (1 if told is None or told["findings"] else 0)


if __name__ == "__main__":
    sys.exit(main())
