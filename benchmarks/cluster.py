"""A sweep on a Dask cluster of this machine: the same bytes, the speed-up, and what a killed worker costs.

``python benchmarks/cluster.py --points 24 --workers 2`` starts a scheduler and workers, each a process of its own, and
prints a line of JSON: one process (``serial_s``), workers of the cluster (``workers_s``) and their ratio. Each run
plans the same points anew; in the last one a worker is killed when a third is done.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import psutil

from planner.compare.journal import Journal
from planner.compare.sweep import sweep, swept
from planner.executor import Executor, executor
from planner.executor.cluster import Cluster
from planner.files.plan_file import dumps
from planner.scenario import Scenario

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "planner" / "examples" / "splitwise-conv.yaml"
START_S = 120


@dataclass(slots=True, kw_only=True)
class Local:
    """A scheduler and its workers.

    Attributes:
        address: of the scheduler, ``HOST:PORT``.
        workers: processes, one thread each.
    """

    address: str
    workers: list[subprocess.Popen[bytes]]

    def cpu_s(self) -> float:
        """CPU seconds of the workers that are alive."""
        return sum(sum(psutil.Process(each.pid).cpu_times()[:2]) for each in self.workers if each.poll() is None)


@contextmanager
def cluster(count: int, folder: Path) -> Iterator[Local]:
    """A scheduler and so many workers."""
    file = folder / f"scheduler-{time.monotonic_ns()}.json"
    own = {**os.environ, "PHASEWISE_CORES": "1", "PYTHONPATH": str(ROOT)}

    def start(role: str, *words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.dask_{role}", "--scheduler-file", str(file), *words]
        return subprocess.Popen(command, env=own, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    started = [start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")]
    try:
        address = _once(lambda: json.loads(file.read_text())["address"], "scheduler").removeprefix("tcp://")
        started += [start("worker", "--no-nanny", "--nthreads", "1", "--no-dashboard") for _ in range(count)]
        with Cluster(address) as crew:
            _once(lambda: [None][crew.workers - count], "workers")
        yield Local(address=address, workers=started[1:])
    finally:
        for process in started:
            process.kill()
            process.wait()


def _once(ask: "object", what: str) -> str:
    """What is asked for, as soon as it is there."""
    end_s = time.monotonic() + START_S
    while True:
        try:
            return ask()  # type: ignore[operator, no-any-return]
        except (OSError, ValueError, IndexError):
            if time.monotonic() > end_s:
                raise RuntimeError(f"no {what} within {START_S} s") from None
            time.sleep(0.1)


class Killing(Journal):
    """A journal in memory that has a worker killed when a third of the points is done."""

    def __init__(self, local: Local | None, at: int) -> None:
        """Of a cluster, or of none."""
        super().__init__()
        self.local, self.at = local, at

    def note(self, entry):  # noqa: ANN001, ANN201  as the journal's
        """Note, and kill once."""
        super().note(entry)
        if self.local is not None and len(self.elapsed_s) == self.at:
            os.kill(self.local.workers[0].pid, signal.SIGKILL)


def run(crew: Executor, points: int, local: Local | None = None) -> dict[str, object]:
    """One sweep: seconds, and the digest of what it says."""
    rates = ",".join(f"{0.5 + k / 20:g}" for k in range(points))
    wanted = sweep(Scenario.load(EXAMPLE), [f"workload.rate_scale={rates}"], regret=False)
    journal = Killing(local, max(1, points // 3))
    start_s = time.monotonic()
    found = swept(wanted, journal=journal, executor=crew, progress=lambda *_: None)
    wall_s = time.monotonic() - start_s
    return {
        "wall_s": round(wall_s, 2), "points": len(found.points), "planned": len(journal.elapsed_s),
        "tasks_s": round(sum(journal.elapsed_s.values()), 2), "sha256": sha256(dumps(found).encode()).hexdigest()[:16],
    }  # fmt: skip


def main() -> None:
    """Measure."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--points", type=int, default=12)
    asked.add_argument("--workers", type=int, default=2)
    given = asked.parse_args()
    runs: dict[str, dict[str, object]] = {}
    with executor(workers=1) as crew:
        run(crew, 1)  # compiled and warm
        runs["this process"] = run(crew, given.points)
    with executor(workers=given.workers) as crew:
        crew.map(abs, range(given.workers))
        runs[f"{given.workers} processes"] = run(crew, given.points)
    with tempfile.TemporaryDirectory() as name:
        for label, count, killed in (
            ("dask, 1 worker", 1, False), (f"dask, {given.workers} workers", given.workers, False),
            (f"dask, {given.workers + 1} workers, one killed", given.workers + 1, True),
        ):  # fmt: skip
            with cluster(count, Path(name)) as local, executor(f"dask://{local.address}") as crew:
                run(crew, count)
                before_s = local.cpu_s()
                runs[label] = run(crew, given.points, local if killed else None)
                runs[label]["alive"] = sum(each.poll() is None for each in local.workers)
                if not killed:
                    runs[label]["cpu_s"] = round(local.cpu_s() - before_s, 2)
    one, many = (runs[f"dask, {n} worker{'s' * (n > 1)}"]["wall_s"] for n in (1, given.workers))
    same = len({each["sha256"] for each in runs.values()}) == 1
    load = os.getloadavg()[0]
    serial = runs["this process"]["wall_s"]
    shown = {"serial_s": serial, "workers_s": many, "serial_ratio": round(serial / many, 2)}
    print(json.dumps({"same": same, "speedup": round(one / many, 2), **shown, "load": round(load, 1), "runs": runs}))


if __name__ == "__main__":
    main()
