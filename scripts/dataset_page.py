# ruff: noqa: E501
"""The page of `dataset_table.py`: what was measured, and what follows for many machines."""

from __future__ import annotations

from typing import Any

WORKERS, IMAGES = 10_000, 1e9


def page(known: dict[str, Any], crash: dict[str, Any] | None) -> str:
    lines = ["# Data sets", "", "Made by `scripts/dataset_table.py` and `scripts/dataset_crash.py`.", ""]
    if "rates" in known:
        lines += _rates(known["rates"])
    if "labels" in known:
        lines += _labels(known["labels"])
    if crash is not None:
        lines += _crash(crash)
    if "rates" in known and "scaling" in known:
        lines += _scaling(known["rates"], known["scaling"])
    return "\n".join(lines).rstrip() + "\n"


def _rates(rates: dict[str, Any]) -> list[str]:
    lines = [
        "## Rates",
        "",
        "Stills of one crystal (79 x 79 x 38 Å, about 125 labelled reflections) with a reflection table, background,",
        f"Poisson noise and labels. The machine had other users (load {rates['load']:.1f} on two cores), so the time of a",
        "core is given too: with a core of its own, a process makes 1000 divided by it.",
        "",
        "| what | images/s | core ms per image | memory of a process, MB |",
        "|---|---|---|---|",
    ]
    for name, found in rates.items():
        if name != "load":
            lines.append(f"| {name} | {found['per_s']:.0f} | {found['cpu_ms']:.2f} | {found['memory_mb']:.0f} |")
    return [*lines, ""]


def _labels(labels: dict[str, Any]) -> list[str]:
    lines = [
        "## Labels",
        "",
        "Places against centroids of noise-free spots, each drawn alone with all its streaks, pixels:",
        "",
    ]
    lines += ["| crystals | spots | median | 95 % | largest |", "|---|---|---|---|---|"]
    for name, x in labels["centroids"].items():
        lines.append(f"| {name} | {x['spots']} | {x['median']:.4f} | {x['p95']:.4f} | {x['max']:.4f} |")
    lines += [
        "",
        "Streaks of a square crystal reach half-way to the neighbouring lattice points, where the next reflection begins.",
        "A top hat was drawn with 24 x 24 points in a pixel, for its edge; the others with 3 x 3.",
        "",
        "Places against DIALS' prediction from the same `.expt`, pixels:",
        "",
    ]
    for kind, x in labels["dials"].items():
        lines.append(
            f"- {kind}: {x['reflections']} reflections, largest difference {x['max']:.1e}"
            if isinstance(x, dict)
            else f"- {x}"
        )
    lines += [
        "",
        "Partialities against sums over 200 steps of phi of each reflection alone, over the closed form of the whole, percent:",
        "",
    ]
    lines += ["| shape | reflections | median | largest |", "|---|---|---|---|"]
    for shape, x in labels["partialities"].items():
        lines.append(f"| {shape} | {x['reflections']} | {x['median']:.3f} | {x['max']:.3f} |")
    return [*lines, ""]


def _crash(crash: dict[str, Any]) -> list[str]:
    done = ", ".join(f"{name}: {count}" for name, count in crash["done"].items())
    same = "identical in every byte to" if crash["identical"] else "DIFFERENT from"
    messages = [f"- {line}" for line in crash["messages"]]
    return [
        "## Interruptions",
        "",
        f"{crash['images']} images in {crash['shards']} shards were made while it was disturbed ({done}), and started",
        f"again each time: {same} the undisturbed set ({crash['files']} files), {len(crash['announced_and_touched'])}",
        f"announced shards touched, {len(crash['left_over'])} files left over; {crash['disturbed_s']:.0f} s, undisturbed",
        f"{crash['undisturbed_s']:.0f} s. What the command said when the disk was full and when the port had closed:",
        "",
        *messages,
        "",
    ]


def _scaling(rates: dict[str, Any], scaling: dict[str, Any]) -> list[str]:
    one, two = (rates[f"256 x 256 rendered, {n}"] for n in ("1 process", "2 processes"))
    image_s = rates["256 x 256 written, 2 processes"]["cpu_ms"] / 1000
    task_s = scaling["task_ms"] / 1000
    shard = 1000
    tasks = IMAGES / shard
    shard_s = shard * image_s
    needed = WORKERS / shard_s
    least = WORKERS * task_s / image_s
    kilobytes = 60
    return [
        "## Scaling",
        "",
        f"From one process to two: {two['per_s'] / one['per_s']:.2f} times as many images a second",
        f"({two['cpu_ms'] / one['cpu_ms']:.2f} times the core's time per image). A task that does nothing costs the",
        f"scheduler {scaling['task_ms']:.1f} ms ({scaling['task_cpu_ms']:.1f} ms of a core) from handing out to collecting;",
        f"a local cluster of two starts in {scaling['start_s']:.0f} s.",
        "",
        f"On paper, {WORKERS:,} workers and {IMAGES:.0e} small images: a shard of {shard} images takes {shard_s:.1f} s,",
        f"so {needed:,.0f} tasks a second end, and one scheduler manages {1 / task_s:,.0f}. It breaks there first: shards",
        f"must have at least {least:,.0f} images, {2 * least:,.0f} to leave the scheduler half idle. With the default of",
        f"{shard}, one scheduler feeds {shard_s / task_s:,.0f} workers. Next is the file system: at about {kilobytes} kB an",
        f"image, {WORKERS / image_s * kilobytes / 1e6:,.0f} GB/s; then the number of files, {2 * tasks:,.0f} with their records.",
        f"The whole takes {IMAGES * image_s / WORKERS / 60:.0f} min of all workers, and {IMAGES * kilobytes / 1e9:,.0f} TB.",
    ]
