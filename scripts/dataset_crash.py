"""A data set made while workers and schedulers are killed, its disk fills and its network closes: a line of a table.

Undisturbed and disturbed sets must agree in every byte; a shard that was announced must never be touched again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

DESCRIPTION = """\
seed: 2026
images: {images}
scene:
  cell_a: 40
  cell_b: 50
  cell_c: 60
  default_F: 100
  shape: gauss
  wavelength_A: 1.0
  fluence: 1e26
  distance_mm: 60
  pixels_f: {size}
  pixels_s: {size}
  pixel_mm: 1.0
  oversample: 1
  Na: 8
  Nb: 8
  Nc: 8
  water_um: 0.3
vary:
  orientation: {{rotations: all}}
  fluence: {{log_normal: [1e26, 0.3]}}
labels: {{threshold: 0.1, radius: 1}}
shards: {{images: {shard}}}
"""
MAKE = [sys.executable, "-c", "import sys; from nanobrag_torch.dataset.main import main; sys.exit(main())", "make"]


def start(description: Path, folder: Path, *more: str) -> subprocess.Popen[str]:
    words = [*MAKE, str(description), "-o", str(folder), *more]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str], limit: float = 3000.0) -> tuple[int, str]:
    _, text = process.communicate(timeout=limit)
    return process.returncode, text.strip()


def workers(parent: int) -> list[int]:
    """The worker processes of a command: children that were spawned to run something."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            status, words = (entry / "stat").read_text(), (entry / "cmdline").read_text()
        except OSError:
            continue
        if int(status.rsplit(")", 1)[1].split()[1]) == parent and "spawn_main" in words:
            found.append(int(entry.name))
    return found


def announced(folder: Path) -> dict[str, tuple[int, int]]:
    """The shards that were announced, with what would change if one were written again."""
    names = [p.name.removesuffix(".json") for p in folder.glob("shard-*.tar.json")]
    return {name: ((s := (folder / name).stat()).st_ino, s.st_mtime_ns) for name in names}


def content(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.name != ".lock"}


def wait_for(folder: Path, count: int, process: subprocess.Popen[str]) -> None:
    while process.poll() is None and len(list(folder.glob("*.tar.json"))) < count:
        time.sleep(0.05)


class Disturbed:
    """The set that is disturbed, and what was done to it."""

    def __init__(self, description: Path, folder: Path, shards: int) -> None:
        self.description, self.folder, self.shards = description, folder, shards
        self.done: dict[str, int] = {}
        self.lines: list[str] = []
        self.kept: dict[str, tuple[int, int]] = {}
        self.touched: list[str] = []

    def note(self, what: str) -> None:
        self.done[what] = self.done.get(what, 0) + 1

    def check(self) -> None:
        """Whatever was announced before is still the same file."""
        now = announced(self.folder)
        self.touched += [name for name, was in self.kept.items() if now.get(name) != was]
        self.kept = now

    def kill_workers(self, until: int, kills: int) -> subprocess.Popen[str]:
        """Start the command and kill its workers until so many shards are there."""
        process = start(self.description, self.folder, "--workers", "2", "--retries", "100")
        goal = self.done.get("workers killed", 0) + kills
        before, since = len(list(self.folder.glob("*.tar.json"))), time.time()
        while process.poll() is None:
            now = len(list(self.folder.glob("*.tar.json")))
            if now >= until and self.done.get("workers killed", 0) >= goal:
                break
            victims = workers(process.pid)
            # Workers that start again and again would make nothing.
            due = now > before or time.time() - since > 30
            if due and victims and self.done.get("workers killed", 0) < goal:
                os.kill(random.choice(victims), signal.SIGKILL)
                self.note("workers killed")
                before, since = now, time.time()
            time.sleep(random.uniform(0.2, 1.0))
        return process

    def kill_scheduler(self, until: int, kills: int) -> None:
        """The scheduler lives in the command: both are killed."""
        process = self.kill_workers(until, kills)
        if process.poll() is not None:
            raise SystemExit(f"it ended by itself: {finish(process)}")
        orphans = workers(process.pid)
        process.kill()
        process.communicate()
        self.note("schedulers killed")
        deadline = time.time() + 60
        while time.time() < deadline and any(Path(f"/proc/{p}").exists() for p in orphans):
            time.sleep(0.2)
        self.check()

    def fill_disk(self, disk: Path, room: int) -> None:
        """The file system has no room any more; then it has again."""
        process = start(self.description, self.folder, "--workers", "2")
        subprocess.run(["mount", "-o", f"remount,size={room}", str(disk)], check=True)
        status, text = finish(process)
        self.note("disk full")
        self.lines.append(f"status {status}: {text}")
        subprocess.run(["mount", "-o", "remount,size=2g", str(disk)], check=True)
        self.check()

    def close_port(self, until: int) -> None:
        """A scheduler and workers of their own, reached through a port that closes."""
        python = [sys.executable, "-m"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        port = _free_port()
        at = f"tcp://127.0.0.1:{port}"
        others = [
            subprocess.Popen(
                [
                    *python,
                    "distributed.cli.dask_scheduler",
                    "--host",
                    "127.0.0.1",
                    "--port",
                    str(port),
                    "--no-dashboard",
                ],
                **quiet,
            )
        ]
        time.sleep(3)
        worker = [*python, "distributed.cli.dask_worker", at, "--nthreads", "1", "--no-dashboard", "--nworkers", "2"]
        others.append(subprocess.Popen(worker, **quiet))
        gate = Gate(port)
        process = start(self.description, self.folder, "--scheduler", f"tcp://127.0.0.1:{gate.port}")
        wait_for(self.folder, until, process)
        gate.close()
        self.note("ports closed")
        status, text = finish(process, 200)
        self.lines.append(f"status {status}: {text}")
        for other in others:
            other.terminate()
            other.wait()
        time.sleep(2)
        self.check()


class Gate:
    """Hands connections on to a port, until it is closed with all of them."""

    def __init__(self, to: int) -> None:
        self.to, self.open = to, True
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.ends: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while self.open:
            try:
                one, _ = self.listener.accept()
                other = socket.create_connection(("127.0.0.1", self.to))
            except OSError:
                return
            self.ends += [one, other]
            for a, b in ((one, other), (other, one)):
                threading.Thread(target=self._hand_on, args=(a, b), daemon=True).start()

    def _hand_on(self, a: socket.socket, b: socket.socket) -> None:
        try:
            while data := a.recv(1 << 16):
                b.sendall(data)
        except OSError:
            pass
        for end in (a, b):
            end.close()

    def close(self) -> None:
        self.open = False
        self.listener.close()
        for end in self.ends:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def run(images: int, shard: int, size: int, kills: int, root: Path | None) -> dict[str, object]:
    """With a folder in `root`, an undisturbed set that an earlier run left there is compared with."""
    with tempfile.TemporaryDirectory() as folder:
        root = root or Path(folder)
        root.mkdir(exist_ok=True)
        description = root / "d.yaml"
        description.write_text(DESCRIPTION.format(images=images, shard=shard, size=size))
        shards = -(-images // shard)
        disk = root / "disk"
        disk.mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2g", "tmpfs", str(disk)], check=True)
        try:
            return _compared(description, root / "calm", disk, shards, kills) | {"images": images, "shards": shards}
        finally:
            subprocess.run(["umount", str(disk)], check=False)


def _compared(description: Path, calm: Path, disk: Path, shards: int, kills: int) -> dict[str, object]:
    began = time.time()
    status, text = finish(start(description, calm, "--workers", "2"))
    if status:
        raise SystemExit(text)
    calm_s = time.time() - began
    set_ = Disturbed(description, disk / "set", shards)
    began = time.time()
    set_.kill_scheduler(shards // 6, kills // 3)
    set_.kill_scheduler(shards // 3, kills // 3)
    used = sum(p.stat().st_size for p in (disk / "set").iterdir())
    set_.fill_disk(disk, used + used // 8)
    set_.close_port(2 * shards // 3)
    status, text = finish(set_.kill_workers(shards, kills - 2 * (kills // 3)))
    set_.check()
    if status:
        raise SystemExit(text)
    one, other = content(calm), content(disk / "set")
    return {
        "undisturbed_s": round(calm_s, 1),
        "disturbed_s": round(time.time() - began, 1),
        "done": set_.done,
        "messages": set_.lines,
        "files": len(one),
        "identical": one == other,
        "announced_and_touched": set_.touched,
        "left_over": sorted(set(other) - set(one)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--shard", type=int, default=500)
    parser.add_argument("--size", type=int, default=48, help="pixels along an edge")
    parser.add_argument("--kills", type=int, default=21)
    parser.add_argument("--root", type=Path, help="a folder to keep, for the undisturbed set")
    parser.add_argument("-o", default="reports/dataset_crash.json")
    said = parser.parse_args()
    found = run(said.images, said.shard, said.size, said.kills, said.root)
    Path(said.o).write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
