"""Run the native kernels under the address and undefined-behaviour sanitizers.

    python scripts/sanitize.py --scenes 2500 --first 0   random scenes, each as the fuzzer of nb-parity draws them
    python scripts/sanitize.py --golden                  the golden cases (NANOBRAG_GOLDEN, or the copied ones)

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
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "sanitized"
SOURCE = ROOT / "src" / "nanobrag_torch" / "kernels" / "csrc"
FLAGS = "-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g1"
LIBRARIES = ("nanobrag_kernels", "nanobrag_noise")
VARIANTS = 25
"""Scenes that are made of one command line: other pixels, precisions, instructions, sizes, gradients."""
PIXELS = 12
LEVELS = (1, 3, 4)


def build() -> None:
    """The sanitized libraries, once per instruction set of CMakeLists.txt; only what is out of date is made."""
    BUILD.mkdir(parents=True, exist_ok=True)
    newest = max(path.stat().st_mtime for path in SOURCE.iterdir())
    common = ["gcc", "-std=gnu11", "-O1", *FLAGS.split(), "-fPIC", "-fopenmp", "-fno-math-errno", "-ffp-contract=fast"]
    levels = {"_default": [], "_v3": ["-march=x86-64-v3"], "_v4": ["-march=x86-64-v4", "-mprefer-vector-width=512"]}
    plain = SOURCE / "dispatch.c", SOURCE / "legacy_noise.c"
    jobs = [(BUILD / f"{path.stem}.o", [*common, "-DHAS_LEVELS", "-c", str(path)]) for path in plain]
    listed = re.search(r"set\(KERNEL_SOURCES ([^)]*)\)", (SOURCE / "CMakeLists.txt").read_text())
    for name, options in levels.items():
        for source in listed[1].split() if listed else ():
            command = [*common, *options, "-fvisibility=hidden", f"-DLEVEL={name}", "-c", str(SOURCE / source)]
            jobs.append((BUILD / f"{Path(source).stem}{name}.o", command))
    due = [(place, command) for place, command in jobs if not place.exists() or place.stat().st_mtime < newest]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda job: compiled([*job[1], "-o", str(job[0])]), due))
    kernels = [str(place) for place, _ in jobs if place.stem != "legacy_noise"]
    for name, objects in (("nanobrag_kernels", kernels), ("nanobrag_noise", [str(BUILD / "legacy_noise.o")])):
        if due or not (BUILD / f"lib{name}.so").exists():
            compiled(
                ["gcc", "-shared", *FLAGS.split(), "-fopenmp", *objects, "-lm", "-o", str(BUILD / f"lib{name}.so")]
            )


def compiled(command: list[str]) -> None:
    """Run a compiler; its errors end the program."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"the sanitized libraries cannot be built: {done.stderr[-2000:]}")


def again_under_sanitizers(words: list[str]) -> int:
    """This script in a process of its own, with the libraries of the sanitizers first."""
    build()
    found = [
        subprocess.run(
            ["gcc", f"-print-file-name=lib{name}.so"], capture_output=True, text=True, check=True
        ).stdout.strip()
        for name in ("asan", "ubsan")
    ]
    environment = {
        **os.environ,
        "LD_PRELOAD": " ".join(found),
        "ASAN_OPTIONS": "detect_leaks=0:halt_on_error=1:exitcode=99:allocator_may_return_null=1:detect_odr_violation=0",
        "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "2"),
    }
    return subprocess.run([sys.executable, __file__, "--inside", *words], env=environment, check=False).returncode


def load_sanitized() -> None:
    """Let the package find the sanitized libraries."""
    from nanobrag_torch import native

    for name in LIBRARIES:
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
        panels = changed.detector.panels
        chosen = []
        for _ in range(rng.randrange(1, PIXELS)):
            index = rng.randrange(len(panels))
            slow, fast = rng.randrange(panels[index].pixels_s), rng.randrange(panels[index].pixels_f)
            chosen.append((index, slow, fast))
        try:
            made = Simulator(changed, dtype=rng.choice((torch.float64, torch.float64, torch.float32)))
            image = made.run(torch.tensor(sorted(chosen)), solid_angle=rng.random() < 0.5)
            total = sum(values.sum() for values in image.values)
            if isinstance(total, torch.Tensor) and total.requires_grad:
                total.backward()
        except NanobragError:
            pass
        done += 1
    return done


def inside(said: argparse.Namespace) -> None:
    """What runs under the sanitizers."""
    load_sanitized()
    warnings.simplefilter("ignore")
    count = 0
    if said.golden:
        from nanobrag_torch.cli.main import main as nanobrag
        from nanobrag_torch.parity.golden import load_cases

        folder = os.environ.get("NANOBRAG_GOLDEN") or str(ROOT / "tests" / "golden_data")
        for case in load_cases(Path(folder).resolve()):
            with tempfile.TemporaryDirectory() as name:
                os.chdir(name)
                nanobrag([*case.command(), "-quiet", "-floatfile", "a.bin", "-intfile", "a.img"])
                os.chdir(ROOT)
            count += 1
    # The first scenes settle what is settled once; a line is drawn in several variants.
    for index, experiment in scenes(said.first // VARIANTS, -(-said.scenes // VARIANTS)):
        count += VARIANTS if experiment is None else render_variants(experiment, random.Random(index))
        if experiment is None:
            count -= VARIANTS
    print(json.dumps({"done": "sanitized", "count": count}), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=0, help="how many random scenes")
    parser.add_argument("--first", type=int, default=0, help="number of the first one")
    parser.add_argument("--golden", action="store_true", help="also draw the golden cases")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    said = parser.parse_args()
    if said.inside:
        inside(said)
        return 0
    return again_under_sanitizers(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
