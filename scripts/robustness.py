"""The trial of robustness, piece by piece, and its table in reports/robustness.md.

    python scripts/robustness.py                    everything that is not done yet, then the table
    python scripts/robustness.py --parts bad kills  some parts only
    python scripts/robustness.py --table            the table of what is done

What is done is kept in build/robustness/, one file per piece, so that a trial that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DONE = ROOT / "build" / "robustness"
REPORT = ROOT / "reports" / "robustness.md"
FUZZED, FUZZ_PIECE = 1_000_000, 12_500
BAD_PIECE = 1000
KILLS = 50
SANITIZED, SANITIZED_PIECE = 50_000, 2_500
SPARE = 2_500
"""Scenes beyond those wanted: some lines that are drawn make none."""
SLOW = {"nexus": 8}
"""Kinds of which fewer are fuzzed, and how many times fewer: HDF5 takes milliseconds."""
SCENE = [
    "-cell",
    "40",
    "45",
    "50",
    "-default_F",
    "50",
    "-N",
    "4",
    "-detpixels",
    "300",
    "-pixel",
    "0.5",
    "-distance",
    "100",
    "-lambda",
    "1.2",
    "-oversample",
    "6",
    "-phisteps",
    "20",
    "-osc",
    "1",
    "-seed",
    "1",
    "-noprogress",
]  # noqa: SIM905
PROGRAM = [sys.executable, "-P", "-m", "nanobrag_torch"]
MOST_S = 1800


def pieces() -> Iterator[tuple[str, str, Callable[[], dict[str, Any]]]]:
    """Part, name and work of every piece."""
    from nanobrag_torch.hostile.lines import bad_lines
    from nanobrag_torch.hostile.targets import kinds

    lines = sum(1 for _ in bad_lines())
    for first in range(0, lines, BAD_PIECE):
        count = min(BAD_PIECE, lines - first)
        yield "bad", f"{first:06d}", lambda f=first, c=count: worker("judge", [str(f), str(c)])  # type: ignore[misc]
    for name, check in (*SIGNALS.items(), *DISKS.items(), *TOGETHER.items()):
        part = "signals" if name in SIGNALS else "disks" if name in DISKS else "together"
        yield part, name, check
    for number in range(KILLS):
        yield "kills", f"{number:03d}", lambda n=number: killed(n)  # type: ignore[misc]
    for first in range(0, SANITIZED + SPARE, SANITIZED_PIECE):
        yield "sanitized", f"{first:06d}", lambda f=first: sanitized(f"{f}", f"{SANITIZED_PIECE}")  # type: ignore[misc]
    yield "golden", "cases", lambda: sanitized("0", "0", "--golden")
    yield "startup", "cost", started
    weights = {kind: 1.0 / SLOW.get(kind, 1) for kind in kinds()}
    for kind, weight in weights.items():
        share = int(FUZZED * weight / sum(weights.values())) + 1
        for first in range(0, share, FUZZ_PIECE):
            count = min(FUZZ_PIECE, share - first)
            words = [kind, "1", str(first), str(count)]
            yield "fuzzed", f"{kind}-{first:06d}", lambda w=words: worker("", w)  # type: ignore[misc]


def worker(module: str, words: list[str]) -> dict[str, Any]:
    """A piece in a process of its own: its numbers and findings, one of which is how it ended."""
    name = "nanobrag_torch.hostile" + (f".{module}" if module else "")
    done = limited([sys.executable, "-P", "-m", name, *words])
    told = [json.loads(line) for line in done["out"].splitlines() if line.startswith("{")]
    numbers = next((line for line in told if "done" in line), None)
    findings = [line for line in told if "done" not in line]
    if numbers is None:
        findings.append({"problem": f"{words}: ended with {done['status']}: {done['err'][-300:]}"})
    return {**(numbers or {"count": 0}), "findings": findings}


def limited(command: list[str], folder: Path | None = None, **options: Any) -> dict[str, Any]:
    """A command with a limit of time: status, output and seconds."""
    begun = time.perf_counter()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **options.pop("environment", {})}
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, timeout=MOST_S, env=environment, check=False, **options
        )
        status: int | str = done.returncode
        out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    except subprocess.TimeoutExpired:
        status, out, err = "no end", "", ""
    return {"status": status, "out": out, "err": err, "seconds": time.perf_counter() - begun}


def sanitized(first: str, scenes: str, *more: str) -> dict[str, Any]:
    """Scenes or golden cases under the address and undefined-behaviour sanitizers."""
    script = str(ROOT / "scripts" / "sanitize.py")
    done = limited([sys.executable, script, "--first", first, "--scenes", scenes, *more])
    told = [json.loads(line) for line in done["out"].splitlines() if line.startswith("{")]
    if done["status"] != 0 or not told:
        text = " ".join(done["err"][-1500:].split())
        return {"count": 0, "findings": [{"problem": f"sanitized {first} {' '.join(more)}: {done['status']}: {text}"}]}
    return {**told[-1], "findings": []}


def started() -> dict[str, Any]:
    """What starting up costs more than before the programs were guarded."""
    from startup import MOST_MS, measured

    rows = measured()
    over = [f"{name}: {row['more_ms']:.0f} ms" for name, row in rows.items() if row["more_ms"] > MOST_MS]
    return report([f"start-up of {text} more than before" for text in over], rows=rows)


def files_in(folder: Path) -> dict[str, bytes]:
    """The files of a folder, without logs."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def report(problems: list[str], **numbers: Any) -> dict[str, Any]:
    return {"count": 1, "findings": [{"problem": text} for text in problems], **numbers}


def killed(number: int) -> dict[str, Any]:
    """A run or series, ended by a signal at a random time, then run again: nothing half, nothing lost."""
    rng = random.Random(number)
    name = rng.choice(("KILL", "KILL", "TERM", "HUP", "INT"))
    series = number % 2 == 0
    own = ["-frames", "4", "-cbf", "out_#.cbf"] if series else ["-cbf", "out.cbf", "-nexus", "out.nxs"]
    words = [*PROGRAM, *SCENE, *own, "-quiet"]
    problems = []
    with tempfile.TemporaryDirectory() as place:
        folder, clean = Path(place, "killed"), Path(place, "clean")
        folder.mkdir()
        clean.mkdir()
        whole = limited(words, clean)
        (folder / "mine.txt").write_text("mine")
        process = subprocess.Popen(
            words, cwd=folder, stderr=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        time.sleep(rng.uniform(0.3, 1.0) * whole["seconds"])
        process.send_signal(getattr(signal, f"SIG{name}"))
        took, kept_waiting, err = ending(process)
        status = process.returncode
        if "Traceback" in err:
            problems.append("a traceback")
        if name != "KILL" and status not in (0, 129, 130, 143, -signal.SIGTERM, -signal.SIGHUP, -signal.SIGINT):
            problems.append(f"SIG{name}: status {status}")
        if took - kept_waiting > 1.0 + 0.5 * whole["seconds"] * (status == 0):
            problems.append(f"SIG{name}: ended {took:.1f} s later, of which it was kept waiting {kept_waiting:.1f} s")
        wanted = files_in(clean)
        for file, content in files_in(folder).items():
            if file in wanted and file.endswith(".cbf") and not series:
                continue  # carries the time of day
            if file in wanted and not file.endswith((".series", ".nxs")) and content != wanted[file]:
                problems.append(f"SIG{name}: {file} is half")
        again = limited(words, folder)
        if again["status"] != 0:
            problems.append(f"the run after it: status {again['status']}: {again['err'][-200:]}")
        found = files_in(folder)
        if set(found) != {*wanted, "mine.txt"}:
            problems.append(f"the run after it left {sorted(set(found) ^ {*wanted, 'mine.txt'})}")
        if series and any(found.get(f) != wanted[f] for f in wanted if f.endswith(".cbf")):
            problems.append("the series is not what it is without the kill")
    late = {"signal": name, "took_s": took, "kept_waiting_s": kept_waiting, "status": status}
    return report([f"kill {number}: {text}" for text in problems], **late)


def ending(process: subprocess.Popen[bytes]) -> tuple[float, float, str]:
    """Wait for the end of a process: seconds, those in which it was ready to run or waited for a disk, its errors.

    The kernel counts how long a thread is ready without being given a processor (`schedstat`, second number), and how
    long it waits for a disk (`stat`, field 42): on a machine that others use too, that is not this program's doing.
    """
    begun, start, last = time.perf_counter(), waited(process.pid), 0.0
    while process.poll() is None:
        last = max(last, waited(process.pid))
        time.sleep(0.01)
    took = time.perf_counter() - begun
    err = process.stderr.read().decode(errors="replace") if process.stderr else ""
    return took, min(max(last - start, 0.0), took), err


def waited(pid: int) -> float:
    """Seconds for which the main thread of a process has been kept waiting so far."""
    try:
        queue = int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
        disk = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[39]) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError):
        return 0.0
    return queue + disk


def signal_latency(name: str) -> dict[str, Any]:
    """How soon a render ends whose every piece takes long."""
    problems = []
    with tempfile.TemporaryDirectory() as place:
        words = [*PROGRAM, *SCENE, "-detpixels", "8", "-oversample", "4000", "-phisteps", "2000"]
        process = subprocess.Popen(words, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        time.sleep(8)
        if process.poll() is not None:
            problems.append(f"it ended by itself with {process.returncode}")
        process.send_signal(getattr(signal, name))
        begun = time.perf_counter()
        err = process.communicate()[1].decode(errors="replace")
        took = time.perf_counter() - begun
        expected = 128 + getattr(signal, name)
        if process.returncode != expected or err.count("\n") != 1 or os.listdir(place):
            problems.append(f"status {process.returncode}, {err!r}, {os.listdir(place)}")
        if took > 1.0:
            problems.append(f"ended {took:.2f} s later")
    return report([f"{name}: {text}" for text in problems], seconds=took)


def compare_ends() -> dict[str, Any]:
    """nb-compare, ended while both sides run, leaves no child."""
    problems = []
    with tempfile.TemporaryDirectory() as place:
        slow = Path(place, "slow")
        slow.write_text("#!/bin/sh\nsleep 987\n")
        slow.chmod(0o755)
        words = [
            sys.executable,
            "-P",
            "-m",
            "nanobrag_torch.parity.compare",
            "--c-bin",
            "/bin/true",
            "--py-bin",
            str(slow),
        ]
        process = subprocess.Popen([*words, "--", *SCENE], cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        time.sleep(6)
        process.terminate()
        err = process.communicate()[1].decode(errors="replace")
        time.sleep(0.5)
        left = subprocess.run(["pgrep", "-f", "sleep 987"], capture_output=True, text=True, check=False).stdout.split()
        if left or "Traceback" in err:
            problems.append(f"nb-compare left {len(left)} children: {err[-200:]!r}")
    return report(problems)


def full_disk(kind: str) -> dict[str, Any]:
    """No room for what is written: a line, a status, and what was there before."""
    problems = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        before = {"floatimage.bin": b"mine", "intimage.img": b"mine"}
        for name, content in before.items():
            (folder / name).write_bytes(content)
        out: dict[str, Any] = {}
        shell = " ".join([*PROGRAM, *SCENE])
        if kind == "output":
            done = limited(["bash", "-c", f"ulimit -f 100; exec {shell} -quiet"], folder)
            if done["status"] != 9 or files_in(folder) != before:
                problems.append(f"status {done['status']}, {sorted(files_in(folder))}, {done['err'][-200:]!r}")
        elif kind == "stdout full":
            done = limited(["bash", "-c", f"exec {shell} > /dev/full"], folder)
            if done["status"] != 70 or len(files_in(folder)["floatimage.bin"]) != 360000:
                problems.append(f"status {done['status']}, {done['err'][-200:]!r}")
        elif kind == "stdout closed":
            done = limited(["bash", "-c", f"exec {shell} >&-"], folder)
            if done["status"] != 0 or len(files_in(folder)["floatimage.bin"]) != 360000:
                problems.append(f"status {done['status']}, {done['err'][-200:]!r}")
        else:
            done = limited(["bash", "-c", f"{shell} | head -1; exit ${{PIPESTATUS[0]}}"], folder)
            if done["status"] != 0 or len(files_in(folder)["floatimage.bin"]) != 360000:
                problems.append(f"status {done['status']}, {done['err'][-200:]!r}")
        if "Traceback" in done["err"]:
            problems.append("a traceback")
        out["seconds"] = done["seconds"]
    return report([f"{kind}: {text}" for text in problems], **out)


def low_memory() -> dict[str, Any]:
    """A render in less memory than it needs: one line."""
    shell = " ".join([*PROGRAM, *SCENE, "-detpixels", "11000", "-oversample", "1", "-phisteps", "1"])
    with tempfile.TemporaryDirectory() as place:
        done = limited(["bash", "-c", f"ulimit -v 3000000; exec {shell}"], Path(place))
        good = done["status"] in (9, 70) and len(done["err"].splitlines()) == 1 and "Traceback" not in done["err"]
        left = os.listdir(place)
    return report([] if good and not left else [f"low memory: {done['status']}, {left}, {done['err'][-300:]!r}"])


def together(kind: str) -> dict[str, Any]:
    """Four runs at once in one folder."""
    own = {
        "same names": ["-quiet"],
        "one series": ["-quiet", "-frames", "3", "-cbf", "out_#.cbf"],
        "one dump": ["-quiet", "-hkl", "in.hkl"],
    }[kind]
    problems = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "in.hkl").write_text(
            "".join(f"{h} {k} {l} 10\n" for h in range(9) for k in range(9) for l in range(9))
        )
        options = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        running = [subprocess.Popen([*PROGRAM, *SCENE, *own], **options) for _ in range(4)]  # type: ignore[call-overload]
        ended = [(p.communicate()[1].decode(errors="replace"), p.returncode) for p in running]
        allowed = {0, 9} if kind == "one series" else {0}
        if any(status not in allowed or "Traceback" in err for err, status in ended):
            problems.append(f"{ended}")
        if not any(status == 0 for _, status in ended):
            problems.append("none of them finished")
        if any(name.endswith(".part") for name in os.listdir(folder)):
            problems.append("a temporary file is left")
    return report([f"{kind}: {text}" for text in problems])


def forked() -> dict[str, Any]:
    """A plainly forked process that renders after its parent has."""
    code = (
        "import os, sys, nanobrag_torch.cli.main as m\n"
        f"words = {SCENE + ['-quiet', '-detpixels', '40']!r}\n"
        "assert m.main(words) == 0\n"
        "first = open('floatimage.bin', 'rb').read()\n"
        "pid = os.fork()\n"
        "if pid == 0:\n    status = m.main(words)\n    os._exit(status)\n"
        "assert os.waitpid(pid, 0)[1] == 0\n"
        "assert open('floatimage.bin', 'rb').read() == first\n"
    )
    with tempfile.TemporaryDirectory() as place:
        done = limited(
            ["timeout", "60", sys.executable, "-P", "-c", code], Path(place), environment={"OMP_NUM_THREADS": "2"}
        )
    return report([] if done["status"] == 0 else [f"fork: {done['status']}: {done['err'][-300:]}"])


SIGNALS: dict[str, Callable[[], dict[str, Any]]] = {
    **{f"SIG{name}": (lambda n=f"SIG{name}": signal_latency(n)) for name in ("INT", "TERM", "HUP")},  # type: ignore[misc]
    "nb-compare": compare_ends,
}
DISKS: dict[str, Callable[[], dict[str, Any]]] = {
    **{kind: (lambda k=kind: full_disk(k)) for kind in ("output", "stdout full", "stdout closed", "reader left")},  # type: ignore[misc]
    "low memory": low_memory,
}
TOGETHER: dict[str, Callable[[], dict[str, Any]]] = {
    **{kind: (lambda k=kind: together(k)) for kind in ("same names", "one series", "one dump")},  # type: ignore[misc]
    "fork": forked,
}


def run(parts: list[str], backwards: bool) -> None:
    """Do what is not done."""
    DONE.mkdir(parents=True, exist_ok=True)
    for part, name, work in reversed(list(pieces())) if backwards else pieces():
        place = DONE / f"{part}-{name.replace(' ', '_')}.json"
        if place.exists() or (parts and part not in parts):
            continue
        begun = time.perf_counter()
        told = work()
        told["seconds"] = told.get("seconds", time.perf_counter() - begun)
        temporary = place.with_suffix(".new")
        temporary.write_text(json.dumps(told))
        temporary.replace(place)
        print(
            f"{part} {name}: {told['count']} in {told['seconds']:.1f} s, {len(told['findings'])} findings", flush=True
        )


TITLES = {
    "bad": ("bad command lines and damaged inputs, run to the end", 4700),
    "fuzzed": ("fuzzed inputs of the readers and the command line", FUZZED),
    "sanitized": ("scenes under address and undefined-behaviour sanitizers", SANITIZED),
    "golden": ("golden cases under the same", 40),
    "kills": ("runs and series ended by SIGKILL, SIGTERM, SIGHUP or SIGINT, and run again", KILLS),
    "signals": ("signals while native code computes, children of nb-compare", 4),
    "disks": ("full and closed outputs, little memory", 5),
    "together": ("runs at once in one folder, renders after a fork", 4),
    "startup": ("start-up beside the commit before the guard", 1),
}


def table() -> None:
    """Write the table of what is done."""
    done: dict[str, list[dict[str, Any]]] = {part: [] for part in TITLES}
    for place in sorted(DONE.glob("*.json")):
        done[place.name.partition("-")[0]].append(json.loads(place.read_text()))
    lines = [
        "# Robustness",
        "",
        "Made by `make robustness` (scripts/robustness.py), which goes on where it was stopped. A finding is a",
        "traceback, a status 0 with an image that is negative or not finite, an input or older output destroyed,",
        "a file that is half there, a refusal of more than one line, an unforeseen error, or 5 s without progress.",
        "",
        "| trial | wanted | done | findings | slowest s | peak MB |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    findings = []
    for part, (title, wanted) in TITLES.items():
        told = done[part]
        findings += [finding for one in told for finding in one["findings"]]
        slowest = max((one.get("slowest_s", 0.0) for one in told), default=0.0)
        peak = max((one.get("peak_MB", 0.0) for one in told), default=0.0)
        count, found = sum(one["count"] for one in told), sum(len(one["findings"]) for one in told)
        shown = [f"{slowest:.2f}" if slowest else "", f"{peak:.0f}" if peak else ""]
        lines.append(f"| {title} | {wanted:,} | {count:,} | {found} | {shown[0]} | {shown[1]} |")
    statuses: dict[str, int] = {}
    for one in done["bad"]:
        for status, count in one.get("statuses", {}).items():
            statuses[status] = statuses.get(status, 0) + count
    text = ", ".join(f"{count:,} with status {status}" for status, count in sorted(statuses.items()))
    timed = sorted(DONE.glob("signals-SIG*.json"))
    latency = [f"{json.loads(place.read_text())['seconds']:.2f}" for place in timed]
    lines += [
        "",
        f"Of the bad inputs {text or 'none'} ended. Some bad values are good ones elsewhere (`-N 7`), hence status 0.",
    ]
    lines += [f"After a signal while native code computes the program ends within {', '.join(latency)} s."]
    late = [one for one in done["kills"] if "took_s" in one and one["signal"] != "KILL" and one["status"] != 0]
    if late:
        longest = max(one["took_s"] - one["kept_waiting_s"] for one in late)
        lines += [
            f"Of {len(late)} runs that a signal ended before their time the slowest took {longest:.2f} s for it, not",
            "counting the time in which it was ready and other programs of the machine had the processor or the disk.",
        ]
    for one in done["startup"]:
        costs = (f"{row['more_ms']:+.0f} ms on {row['before_ms']:.0f} ms ({name})" for name, row in one["rows"].items())
        lines += [f"Start-up, processor time beside the commit before the guard: {', '.join(costs)}."]
    kinds = sorted({place.name.split("-")[1] for place in DONE.glob("fuzzed-*.json")})
    lines += [f"Fuzz targets: {', '.join(kinds)}."]
    if findings:
        lines += ["", "## Findings", ""] + [f"- {json.dumps(finding)[:300]}" for finding in findings[:50]]
    REPORT.write_text("\n".join(lines) + "\n")
    print(f"writing {REPORT.relative_to(ROOT)}")


def heard_by_children() -> None:
    """Let children hear signals that this process was started to ignore, as behind `nohup` and `&`."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)  # a handler is not handed on, ignoring is


def main() -> None:
    heard_by_children()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="*", choices=tuple(TITLES), default=[], help="only these")
    parser.add_argument("--backwards", action="store_true", help="the last piece first, beside another run")
    parser.add_argument("--table", action="store_true", help="only write the table")
    parser.add_argument("--again", action="store_true", help="forget what is done")
    said = parser.parse_args()
    if said.again:
        shutil.rmtree(DONE, ignore_errors=True)
    if not said.table:
        run(said.parts, said.backwards)
    table()


if __name__ == "__main__":
    main()
