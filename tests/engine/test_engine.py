"""The engine: order, errors, lost workers, back-pressure, a queue of jobs."""

from __future__ import annotations

import logging
import operator
import os
import signal
import stat
import subprocess
import sys
import time
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest

from nanobrag_torch import engine
from nanobrag_torch.engine import Where, mapping, queue_options
from nanobrag_torch.errors import InputError, WorkersLost


def square(x):
    return x * x


def refuse(x):
    raise InputError("x", f"{x} is no good")


def die_once(folder, x):
    """Kills its own worker the first time it is given an item."""
    mark = Path(folder) / str(x)
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return x


def slow_when_small(x):
    time.sleep(0.3 if x == 0 else 0.0)
    return x * x


def shot_gradient(turn):
    """Loss of one shot and its gradient along fluence, orientation and cell, as a refinement adds them up."""
    import torch

    from nanobrag_torch import BeamConfig, Config, CrystalConfig, DetectorConfig, Simulator, settle

    torch.set_num_threads(1)
    start = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in (1e24, turn, 40.0)]
    fluence, angle, cell = start
    config = Config(
        beam=BeamConfig(wavelength_A=1.0, fluence=fluence),
        crystal=CrystalConfig(
            cell_a=cell, cell_b=50.0, cell_c=60.0, default_F=100.0, Na=3, Nb=3, Nc=3, misset_deg=(angle, 0.0, 0.0)
        ),
        detector=DetectorConfig(distance_mm=50.0, pixels_f=12, pixels_s=10, pixel_mm=1.0),
    )
    image = Simulator(settle(config)).run().array
    loss = (image - 0.1).square().sum()
    return float(loss.detach()), [float(x) for x in torch.autograd.grad(loss, start)]


def always_dies(x):
    os.kill(os.getpid(), signal.SIGKILL)


def test_here_in_order_and_lazily():
    read = []

    def items():
        for x in range(3):
            read.append(x)
            yield x

    found = engine.map(square, items())
    assert next(found) == (0, 0)
    assert read == [0]
    assert list(found) == [(1, 1), (2, 4)]


def test_order_is_kept_of_what_comes_early(monkeypatch):
    """Results that come in another order wait for their turn; equal items and lists are items like others."""
    monkeypatch.setattr(mapping, "map", lambda task, items, where: ((x, task(x)) for x in reversed(list(items))))
    assert list(engine.in_order(len, [[1], [1], [], [1, 2]])) == [([1], 1), ([1], 1), ([], 0), ([1, 2], 2)]


def test_errors_of_a_task_come_through_here():
    with pytest.raises(InputError, match="1 is no good"):
        list(engine.map(refuse, [1]))


@pytest.mark.parametrize("wrong", [{"workers": -1}, {"ahead": 0}, {"queue": "cron"}, {"memory": 0}])
def test_places_that_make_no_sense(wrong):
    with pytest.raises(InputError):
        Where(**wrong)
    with pytest.raises(InputError, match="too"):
        Where(queue="slurm", scheduler="tcp://127.0.0.1:1")


def test_queue_options():
    assert queue_options("walltime=01:00:00, jobs=2", "--slurm") == {"walltime": "01:00:00", "jobs": "2"}
    with pytest.raises(InputError, match="--slurm: 'short' is not of the form"):
        queue_options("short", "--slurm")
    with pytest.raises(InputError, match="twice"):
        queue_options("a=1,a=2", "--slurm")


dask_needed = pytest.importorskip("distributed")


def test_workers_losses_and_errors(tmp_path):
    """A worker killed with its task is replaced and the task done; nothing is done twice in the results."""
    told = []
    where = Where(workers=2, progress=told.append)
    found = sorted(engine.map(partial(die_once, str(tmp_path)), range(3), where=where))
    assert found == [(x, x) for x in range(3)]
    assert told[-1].done == told[-1].begun == 3


def test_shots_on_workers_add_up_as_in_a_loop():
    """Losses and gradients of shots, in the order of the shots, have the bits of the serial loop."""
    turns = [0.0, 3.0, -8.0, 3.0, 21.0]
    serial = [(turn, shot_gradient(turn)) for turn in turns]
    assert all(any(gradient) for _, (_, gradient) in serial)
    assert list(engine.in_order(shot_gradient, turns, where=Where(workers=2))) == serial
    assert list(engine.in_order(slow_when_small, range(6), where=Where(workers=2))) == [(x, x * x) for x in range(6)]


def test_a_task_that_kills_every_worker_is_named():
    with pytest.raises(WorkersLost, match=r"2 workers were lost .* \(7\)"):
        list(engine.map(always_dies, [7], where=Where(workers=1, retries=1)))


def test_errors_of_a_task_come_through_from_workers():
    with pytest.raises(InputError, match="5 is no good"):
        list(engine.map(refuse, [5], where=Where(workers=1)))


def test_a_scheduler_that_does_not_answer(monkeypatch):
    monkeypatch.setattr("nanobrag_torch.engine.cluster.CONNECT_S", 0.3)
    with pytest.raises(InputError, match="tcp://127.0.0.1:9 does not answer"):
        list(engine.map(square, [1], where=Where(scheduler="tcp://127.0.0.1:9")))


FAKE_SBATCH = """#!{python}
import subprocess, sys
job = open(sys.argv[-1]).read()
open({log!r}, "a").write(job)
subprocess.Popen(["bash", "-c", job], stdout=open({log!r} + ".out", "w"), stderr=subprocess.STDOUT,
                 stdin=subprocess.DEVNULL, start_new_session=True)
print("Submitted batch job 17")
"""
"""The job's file is gone when its submission returns, as with the real one, which keeps a copy."""


@pytest.mark.skipif(find_spec("dask_jobqueue") is None, reason="dask-jobqueue is not installed")
def test_jobs_of_slurm(tmp_path, monkeypatch):
    """A stand-in for `sbatch` starts the job scripts, so real workers come over the network."""
    interrupt = signal.getsignal(signal.SIGINT)
    log = tmp_path / "jobs"
    for name, text in (
        ("sbatch", FAKE_SBATCH.format(python=sys.executable, log=str(log))),
        ("scancel", "#!/bin/sh\nexit 0\n"),
    ):
        script = tmp_path / name
        script.write_text(text)
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    where = Where(queue="slurm", options={"walltime": "00:01:00", "memory": "1GB", "jobs": "1"})
    # Workers from elsewhere can import what is installed, and not this file.
    assert sorted(engine.map(operator.neg, range(5), where=where)) == [(x, -x) for x in range(5)]
    assert "#SBATCH -t 00:01:00" in log.read_text()
    assert signal.getsignal(signal.SIGINT) is interrupt


def test_tasks_are_held_back():
    """Items are read only as fast as there is room for them."""
    read = []

    def items():
        for x in range(12):
            read.append(x)
            yield x

    found = engine.map(square, items(), where=Where(workers=1, ahead=2))
    next(found)
    time.sleep(0.2)
    assert len(read) <= 4
    assert len(list(found)) == 11


def test_the_log_of_dask_stays_quiet_however_late_it_is_imported():
    pytest.importorskip("distributed")
    code = (
        "import logging, sys\n"
        "from nanobrag_torch.engine.cluster import LOGS, _quiet\n"
        "assert 'distributed' not in sys.modules\n"
        "with _quiet():\n"
        "    import distributed\n"
        "    print({logging.getLogger(name).level for name in LOGS})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str({logging.CRITICAL})
