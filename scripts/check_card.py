"""Everything worth knowing about the kernels on a card, in at most eight minutes: `make cuda`.

Prints as it goes and can be cut off anywhere; what was found so far stands in reports/cuda-<card>.md. In this order:
the first image cold and from the cache; values of the golden set in both precisions; derivatives against the processor;
bits from run to run; memory; the benchmark's loads; a profile of the main job.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from nanobrag_torch import Simulator, settle
from nanobrag_torch.cli.parse import parse
from nanobrag_torch.errors import InputError, NanobragWarning
from nanobrag_torch.models.experiment import Experiment
from nanobrag_torch.parity.benchmark import Load, gradient_runner, loads, settled
from nanobrag_torch.parity.golden import Case, load_cases
from nanobrag_torch.refine import QUANTITIES

ROOT = Path(__file__).resolve().parents[1]
MOST_SECONDS = 8 * 60
NAMES = ("misset", "cell_lengths", "N", "mosaic_spread", "fluence", "distance", "beam_centre")


class Report:
    """Lines that are printed and written as they come; late parts are left out."""

    def __init__(self, path: Path, title: str) -> None:
        self.path, self.lines, self.start = path, [f"# {title}", ""], time.perf_counter()
        self.failed = 0

    def say(self, line: str, good: bool = True) -> None:
        self.failed += not good
        self.lines.append(f"- {line}{'' if good else '  **outside its bound**'}")
        print(self.lines[-1], flush=True)
        self.path.write_text("\n".join(self.lines) + "\n")

    def part(self, title: str, work: Callable[["Report"], None]) -> None:
        self.lines += ["", f"## {title}", ""]
        print(title, flush=True)
        if time.perf_counter() - self.start > MOST_SECONDS:
            self.say("left out: no time is left")
            return
        try:
            work(self)
        except Exception as error:  # one part must not hide the others
            self.say(f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}", good=False)


def timed(run: Callable[[], object], rounds: int = 5) -> float:
    """Best time in seconds of a run that is waited for."""
    run()
    times = []
    for _ in range(rounds):
        torch.cuda.synchronize()
        start = time.perf_counter()
        run()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return min(times)


def first_images(report: Report) -> None:
    load = loads(ROOT / "examples", None)[2]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        for name, wanted in (("cold", 5.0), ("from the cache", 1.5)):
            script = (
                "import time, sys, torch; torch.zeros(1, device='cuda'); start = time.perf_counter()\n"
                "from nanobrag_torch.cli.main import main; main(sys.argv[1:])\n"
                "print(time.perf_counter() - start, file=sys.stderr)"
            )
            words = [*load.words, "-device", "cuda", "-quiet", "-nonoise", "-nopgm"]
            done = subprocess.run([sys.executable, "-c", script, *words], cwd=folder, capture_output=True, text=True)
            seconds = float(done.stderr.split()[-1])
            report.say(f"first image, {name}: {seconds:.2f} s (wanted < {wanted})", seconds < wanted)
        del os.environ["XDG_CACHE_HOME"]


def golden(report: Report) -> None:
    """Every case on the card and on the processor; several at once, as most of the time goes into compiling."""
    folder = os.environ.get("NANOBRAG_GOLDEN")
    cases = load_cases(Path(folder) if folder else ROOT / "tests/golden_data")
    for dtype, bound in (("float64", 1e-10), ("float32", 1e-4)):
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            found = list(pool.map(lambda case, dtype=dtype: differs(report, case, dtype), cases))
        wrong = {case.id: value for case, value in zip(cases, found, strict=True) if value is not None}
        if not wrong:
            report.say(f"{dtype}: no time is left")
            continue
        name = max(wrong, key=lambda key: wrong[key])
        report.say(
            f"{dtype}: {len(wrong)} cases, worst {wrong[name]:.2e} ({name}; bound {bound})", wrong[name] <= bound
        )


def differs(report: Report, case: Case, dtype: str) -> float | None:
    """The relative difference between card and processor, or `None` where the case is refused or no time is left."""
    if time.perf_counter() - report.start > MOST_SECONDS / 2:
        return None
    try:
        experiment = settle(parse([*case.command(), "-nonoise"]), physics="nanobragg")
    except InputError:  # a case whose point is its refusal
        return None
    expected = Simulator(experiment, dtype=dtype).run().values
    found = Simulator(experiment, dtype=dtype, device="cuda").run().values
    pairs = zip(found, expected, strict=True)
    return max(float((a.cpu() - b).norm() / b.norm()) if bool(b.any()) else float(a.abs().max()) for a, b in pairs)


def derivatives(report: Report) -> None:
    for load in loads(ROOT / "examples", None)[:2]:
        experiment = settled(load)
        pixels = torch.stack([torch.arange(0, 1024, 5), torch.arange(0, 1024, 5)], dim=1)
        names = [name for name in NAMES if QUANTITIES[name].objection(experiment) is None]
        values, columns = Simulator(experiment).jacobian(names, pixels)
        on_card = Simulator(experiment, device="cuda").jacobian(names, pixels)
        wrong = float((on_card[1].cpu() - columns).norm() / columns.norm())
        report.say(f"Jacobian, {load.name}: {wrong:.2e} (bound 1e-8)", wrong <= 1e-8)
        found = []
        for device in (None, "cuda"):
            misset = experiment.crystal.misset.clone().requires_grad_()
            turned = experiment.replace(crystal=experiment.crystal.replace(misset=misset))
            image = Simulator(turned, device=device).run(pixels).values[0]
            found.append(torch.autograd.grad(image.sum(), misset)[0])
        wrong = float((found[1] - found[0]).norm() / found[0].norm())
        report.say(f"gradient, {load.name}: {wrong:.2e} (bound 1e-8)", wrong <= 1e-8)


def bits(report: Report) -> None:
    experiment = settled(loads(ROOT / "examples", None)[0])
    first, second = (Simulator(experiment, device="cuda").run().values[0] for _ in range(2))
    report.say(f"two images equal bit for bit: {torch.equal(first, second)}", torch.equal(first, second))
    names = ["misset", "N"]
    one, two = (Simulator(experiment, device="cuda").jacobian(names)[1] for _ in range(2))
    report.say(f"two Jacobians equal bit for bit: {torch.equal(one, two)}", torch.equal(one, two))


def memory(report: Report) -> None:
    load = loads(ROOT / "examples", None)[0]
    for domains in (10, 1000):
        words = [*load.words, "-mosaic_domains", str(domains), "-nonoise"]
        experiment = settle(parse(words), physics="nanobragg")
        torch.cuda.reset_peak_memory_stats()
        Simulator(experiment, device="cuda").run(out_dtype=torch.float32)
        peak = torch.cuda.max_memory_allocated() / 2**20
        report.say(f"{experiment.steps} evaluations a pixel: {peak:.0f} MiB at most")


def speed(report: Report) -> None:
    folder = os.environ.get("NANOBRAG_GOLDEN")
    for load in loads(ROOT / "examples", Path(folder) if folder else None):
        experiment = settled(load)
        panel = experiment.detector.panel
        evaluations = panel.pixels_f * panel.pixels_s * panel.layers * experiment.steps
        for dtype, wanted in (("float64", 30.0), ("float32", 60.0)):
            simulator = Simulator(experiment, device="cuda", dtype=dtype)
            seconds = timed(lambda s=simulator: s.run(out_dtype=torch.float32))
            rate = evaluations / seconds / 1e9
            report.say(f"{load.name}, {dtype}: {1e3 * seconds:.2f} ms, {rate:.1f} G evaluations/s (wanted {wanted})")
        slopes(report, load, experiment)
    many(report)


def slopes(report: Report, load: Load, experiment: Experiment) -> None:
    """The gradient by every parameter and the Jacobian, in images of double precision."""
    simulator = Simulator(experiment, device="cuda")
    image = timed(simulator.run)
    gradient = timed(gradient_runner(load, "cuda"))
    report.say(f"{load.name}, gradient of every parameter: {gradient / image:.2f} images (wanted 3.5)")
    names = [name for name in NAMES if QUANTITIES[name].objection(experiment) is None]
    columns = sum(QUANTITIES[name].take(experiment).numel() for name in names)
    jacobian = timed(lambda: simulator.jacobian(names), rounds=2)
    report.say(f"{load.name}, Jacobian of {columns} columns: {jacobian / image:.2f} images")


def many(report: Report, batch: int = 512) -> None:
    """Small stills of many orientations in one launch."""
    words = "-cell 100 100 100 90 90 90 -misset 10 20 30 -N 5 -lambda 1 -distance 100 -detpixels 256 -pixel 0.4"
    words += f" -oversample 1 -hkl {ROOT / 'examples/P1.hkl'} -nointerpolate -nonoise"
    experiment = settle(parse(words.split()), physics="nanobragg")
    turns = {"misset": 0.1 * torch.rand(batch, 3, dtype=torch.float64)}
    for dtype in (torch.float32, torch.float64):
        simulator = Simulator(experiment, device="cuda", dtype=dtype)
        rate = batch / timed(lambda s=simulator, d=dtype: s.run_many(turns, out_dtype=d))
        report.say(f"run_many, 256 x 256, {str(dtype).removeprefix('torch.')}: {rate:.0f} images/s")


def profile_lines() -> Iterator[str]:
    """What an image of the main job costs, and where the time goes; each line as soon as it is known."""
    folder = os.environ.get("NANOBRAG_GOLDEN")
    experiment = settled(loads(ROOT / "examples", Path(folder) if folder else None)[2])
    simulator = Simulator(experiment, device="cuda")
    yield f"a new simulator: {1e3 * timed(lambda: Simulator(experiment, device='cuda').run()):.2f} ms"
    yield f"one used again: {1e3 * timed(simulator.run):.2f} ms"
    kinds = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=kinds) as found:
        simulator.run()
        torch.cuda.synchronize()
    yield from found.key_averages().table(sort_by="cuda_time_total", row_limit=12).splitlines()


def profile(report: Report) -> None:
    report.lines += ["    " + line for line in profile_lines()]
    report.say("profile of the main job, above")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "reports")
    parser.add_argument("--profile", action="store_true", help="only the profile of the main job, printed; no report")
    given = parser.parse_args()
    if not torch.cuda.is_available():
        print("make cuda: torch finds no CUDA device here; install a CUDA build of torch on a machine with a card")
        return 9
    warnings.simplefilter("ignore", NanobragWarning)
    if given.profile:
        for line in profile_lines():
            print(line, flush=True)
        return 0
    card = torch.cuda.get_device_name(0)
    name = re.sub(r"[^a-z0-9]+", "-", card.lower()).strip("-")
    report = Report(given.out / f"cuda-{name}.md", f"The kernels on {card}")
    for title, work in (
        ("First image", first_images), ("Golden set", golden), ("Derivatives", derivatives), ("Bits", bits),
        ("Memory", memory), ("Speed", speed), ("Profile", profile),
    ):  # fmt: skip
        report.part(title, work)
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
