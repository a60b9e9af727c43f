"""``python -m tests.soak.faults``: real kills, full disks, little memory, closed doors; the last line is JSON.

Every fault is injected into a command that runs as a process of its own. A result is lost where the answer afterwards
has other bytes than the answer without the fault, where a finished point is planned again, or where a file is neither
what it was before nor whole.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from resource import RLIMIT_AS, RLIMIT_FSIZE, setrlimit

import psutil

from tests.planner.small import write_small

ROOT = Path(__file__).parents[2]
POINTS = 6
SWEEP = ("--vary", "workload.rate_scale=" + ",".join(f"{1 + k / 10:g}" for k in range(POINTS)), "--no-regret", "--json")
LIMIT_S = 600
BEFORE = "what was there before\n"

JUMPING = """
import random, time
real, real_ns = time.time, time.time_ns
time.time = lambda: real() + random.choice((-1e9, -3600.0, 0.0, 3600.0, 1e9))
time.time_ns = lambda: real_ns() + random.choice((-10**18, 0, 10**18))
"""


class LostError(Exception):
    """A fault cost more than it may."""


@dataclass(slots=True, kw_only=True)
class Bench:
    """Where faults are tried.

    Attributes:
        folder: empty for every fault.
        scenario: the question.
        draw: when faults happen.
        swept: what the sweep prints without a fault.
        planned: what the plan prints without a fault.
    """

    folder: Path
    scenario: Path
    draw: random.Random
    swept: bytes = b""
    planned: bytes = b""

    def start(self, *words: str, **more: object) -> "subprocess.Popen[bytes]":
        """A command, as a process."""
        own = {**os.environ, "PYTHONPATH": str(ROOT)} | dict(more.pop("env", {}))  # type: ignore[call-overload]
        given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "cwd": self.folder, "env": own} | more
        return subprocess.Popen([sys.executable, "-m", "planner", *words], **given)  # type: ignore[call-overload]

    def run(self, *words: str, **more: object) -> tuple[int, bytes, bytes]:
        """A command to its end: exit code, stdout, stderr."""
        process = self.start(*words, **more)
        out, err = process.communicate(timeout=LIMIT_S)
        return process.returncode, out or b"", err or b""

    def sweep(self, workers: int, journal: Path) -> tuple[str, ...]:
        """The words of the sweep."""
        return ("whatif", str(self.scenario), *SWEEP, "--workers", str(workers), "--journal", str(journal), "-q")

    def plan(self, *more: str) -> tuple[str, ...]:
        """The words of the plan."""
        return ("plan", str(self.scenario), "--json", "-q", *more)

    def resumed(self, journal: Path, before: Mapping[str, str]) -> None:
        """The same sweep goes on from its journal: nothing finished is planned again, and the answer is the same."""
        code, out, err = self.run(*self.sweep(1, journal))
        expect(code == 0, f"resumed: exit {code}: {err.decode()[-500:]}")
        expect(out == self.swept, "resumed: other bytes")
        after = entries(journal)
        expect(len(after) == POINTS, f"resumed: {len(after)} lines of {POINTS} points")
        expect(all(after.get(digest) == line for digest, line in before.items()), "a finished point was planned again")


def expect(held: bool, words: str) -> None:
    """Raises LostError where something does not hold."""
    if not held:
        raise LostError(words)


def entries(journal: Path) -> dict[str, str]:
    """Digest -> whole line of a journal."""
    whole = journal.read_text().rpartition("\n")[0] if journal.exists() else ""
    return {json.loads(line)["digest"]: line for line in whole.splitlines()}


def until(process: "subprocess.Popen[bytes]", journal: Path, lines: int) -> None:
    """Wait until so many lines are written, or the process ends."""
    end_s = time.monotonic() + LIMIT_S
    while process.poll() is None and len(entries(journal)) < lines and time.monotonic() < end_s:
        time.sleep(0.01)


def stopped(bench: Bench, by: signal.Signals, workers: int) -> None:
    """A sweep that is ended by a signal after some points; the same command goes on."""
    journal = bench.folder / "j.jsonl"
    process = bench.start(*bench.sweep(workers, journal))
    until(process, journal, bench.draw.randrange(1, POINTS))
    running = process.poll() is None
    process.send_signal(by)
    _, said = process.communicate(timeout=LIMIT_S)
    if running and process.returncode == 130:
        expect(f"goes on from {journal}" in said.decode(), f"nothing of the journal: {said.decode()[-300:]}")
    if running and by is not signal.SIGKILL:
        expect(process.returncode in (0, 130), f"exit {process.returncode}: {said.decode()[-300:]}")
    bench.resumed(journal, entries(journal))


def killed(bench: Bench) -> None:
    stopped(bench, signal.SIGKILL, 2)


def terminated(bench: Bench) -> None:
    stopped(bench, signal.SIGTERM, 2)


def interrupted(bench: Bench) -> None:
    stopped(bench, signal.SIGINT, 1)


def frontier_terminated(bench: Bench) -> None:
    """A frontier that is ended after some designs says where its journal is; the same command ends as ever."""
    words = ("frontier", str(bench.scenario), "--limit", "400", "--most", "4", "--json", "-q", "--workers", "1")
    code, right, err = bench.run(*words, "--journal", str(bench.folder / "right.jsonl"))
    expect(code == 0, f"exit {code}: {err.decode()[-500:]}")
    journal = bench.folder / "j.jsonl"
    process = bench.start(*words, "--journal", str(journal))
    until(process, journal, 1)
    process.terminate()
    _, said = process.communicate(timeout=LIMIT_S)
    if process.returncode:
        expect(process.returncode == 130, f"exit {process.returncode}: {said.decode()[-300:]}")
        expect(f"goes on from {journal}" in said.decode(), f"nothing of the journal: {said.decode()[-300:]}")
    code, out, err = bench.run(*words, "--journal", str(journal))
    expect((code, out) == (0, right), f"exit {code} or other bytes: {err.decode()[-500:]}")


def clock_back(bench: Bench) -> None:
    """A clock that goes back by a day between two runs, and a journal of the future: finished points stay finished."""
    journal = bench.folder / "j.jsonl"
    process = bench.start(*bench.sweep(1, journal))
    until(process, journal, bench.draw.randrange(1, POINTS))
    process.kill()
    process.communicate()
    later_s = time.time() + 86_400
    os.utime(journal, (later_s, later_s))
    bench.resumed(journal, entries(journal))


def worker_killed(bench: Bench) -> None:
    """A worker is killed; the sweep itself goes on, and its answer is the same."""
    journal = bench.folder / "j.jsonl"
    process = bench.start(*bench.sweep(2, journal))
    until(process, journal, bench.draw.randrange(1, POINTS - 1))
    workers = [child for child in psutil.Process(process.pid).children() if "spawn_main" in " ".join(child.cmdline())]
    if workers:
        bench.draw.choice(workers).kill()
    out, err = process.communicate(timeout=LIMIT_S)
    expect(process.returncode == 0, f"exit {process.returncode}: {err.decode()[-500:]}")
    expect(out == bench.swept, "other bytes")
    expect(len(entries(journal)) == POINTS, "points are missing in the journal")


def torn(bench: Bench) -> None:
    """A journal cut off within its last line, as by a loss of power: all whole lines count."""
    journal = bench.folder / "j.jsonl"
    bench.run(*bench.sweep(1, journal))
    data = journal.read_bytes()
    last = data.rstrip(b"\n").rfind(b"\n") + 1
    journal.write_bytes(data[: bench.draw.randrange(last, len(data) - 1)])
    bench.resumed(journal, entries(journal))


def shared(bench: Bench) -> None:
    """A second run on the same journal is refused, and the first one ends as ever."""
    journal = bench.folder / "j.jsonl"
    first = bench.start(*bench.sweep(1, journal))
    until(first, journal, 1)
    code, out, err = bench.run(*bench.sweep(1, journal))
    expect((code, out) in ((2, b""), (0, bench.swept)), f"second run: exit {code}: {err.decode()[-500:]}")
    out, _ = first.communicate(timeout=LIMIT_S)
    expect((first.returncode, out) == (0, bench.swept), "the first run has another answer")


def clock(bench: Bench) -> None:
    """A clock that jumps by hours and decades at every look, and a journal of 1970."""
    (bench.folder / "sitecustomize.py").write_text(JUMPING)
    journal = bench.folder / "j.jsonl"
    own = {"PYTHONPATH": f"{bench.folder}{os.pathsep}{ROOT}"}
    process = bench.start(*bench.sweep(2, journal), env=own)
    until(process, journal, bench.draw.randrange(1, POINTS))
    process.kill()
    process.communicate()
    os.utime(journal, (0, 0))
    before = entries(journal)
    code, out, err = bench.run(*bench.sweep(2, journal), env=own)
    expect((code, out) == (0, bench.swept), f"exit {code} or other bytes: {err.decode()[-500:]}")
    expect(before.items() <= entries(journal).items(), "a finished point was planned again")


@contextmanager
def small_disk(folder: Path, kib: int) -> Iterator[Path]:
    """A disk of so many KiB; needs to be root."""
    place = folder / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", place], check=True, capture_output=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def kept_or_whole(path: Path, bench: Bench, code: int) -> None:
    """A file is what it was, or a whole plan where the command says so; nothing else lies beside it."""
    text = path.read_text()
    expect(text == BEFORE if code else text != BEFORE and bool(json.loads(text)), f"exit {code}: {text[:80]!r}")
    beside = [each.name for each in path.parent.iterdir() if each.name.endswith(".part")]
    expect(not beside, f"left behind: {beside}")
    expect(code in (0, 1, 2), f"exit {code}")
    expect(bench.scenario.exists(), "the scenario is gone")


def disk_full(bench: Bench) -> None:
    """A plan that does not fit on its disk: exit 2, and the file that was there is untouched."""
    with small_disk(bench.folder, 8) as disk:
        out = disk / "plan.json"
        out.write_text(BEFORE)
        code, said, _ = bench.run(*bench.plan("--out", str(out)))
        expect((code, said) == (2, b""), f"exit {code}, {len(said)} bytes on stdout")
        kept_or_whole(out, bench, code)


def journal_full(bench: Bench) -> None:
    """A journal whose disk is full: an error, and what was written is enough to go on from on a larger one."""
    journal = bench.folder / "j.jsonl"
    with small_disk(bench.folder, 8) as disk:
        code, out, err = bench.run(*bench.sweep(1, disk / "j.jsonl"))
        expect(code == 2 and not out, f"exit {code}: {err.decode()[-500:]}")
        journal.write_bytes((disk / "j.jsonl").read_bytes())
    bench.resumed(journal, entries(journal))


def read_only(bench: Bench) -> None:
    """A disk that is mounted read-only: exit 2 before anything is done."""
    with small_disk(bench.folder, 64) as disk:
        out = disk / "plan.json"
        out.write_text(BEFORE)
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        code, said, _ = bench.run(*bench.plan("--out", str(out)))
        expect((code, said) == (2, b""), f"exit {code}, {len(said)} bytes on stdout")
        kept_or_whole(out, bench, code)


def file_limit(bench: Bench) -> None:
    """No file may grow beyond 2 KiB: exit 2, and the file that was there is untouched."""
    out = bench.folder / "plan.json"
    out.write_text(BEFORE)
    code, said, _ = bench.run(
        *bench.plan("--out", str(out)), preexec_fn=lambda: setrlimit(RLIMIT_FSIZE, (2048, 2048))
    )  # fmt: skip
    expect((code, said) == (2, b""), f"exit {code}, {len(said)} bytes on stdout")
    kept_or_whole(out, bench, code)


def little_memory(bench: Bench) -> None:
    """Address space of 0.2 to 2 GiB: a plan, or an error in words; the file that was there is untouched or whole."""
    out = bench.folder / "plan.json"
    out.write_text(BEFORE)
    most = int(bench.draw.uniform(0.2, 2.0) * 2**30)
    process = bench.start(*bench.plan("--out", str(out)), preexec_fn=lambda: setrlimit(RLIMIT_AS, (most, most)))
    said, err = process.communicate(timeout=LIMIT_S)
    if process.returncode == 0:
        expect(said == bench.planned, "other bytes")
    expect(process.returncode == 0 or bool(err), f"exit {process.returncode} without a word")
    text = out.read_text()
    expect(text == BEFORE or bool(json.loads(text)), f"half a file: {text[:80]!r}")


def closed_stdout(bench: Bench) -> None:
    """Nowhere to print to: exit 2, and the plan is in its file."""
    out = bench.folder / "plan.json"
    code, _, _ = bench.run(*bench.plan("--out", str(out)), stdout=None, preexec_fn=lambda: os.close(1))
    expect(code == 2, f"exit {code}")
    expect(bool(json.loads(out.read_text())), "no plan in its file")


def full_stdout(bench: Bench) -> None:
    """A full device to print to: exit 2, and the plan is in its file."""
    out = bench.folder / "plan.json"
    with Path("/dev/full").open("wb") as full:
        code, _, _ = bench.run(*bench.plan("--out", str(out)), stdout=full)
    expect(code == 2, f"exit {code}")
    expect(bool(json.loads(out.read_text())), "no plan in its file")


def no_home(bench: Bench) -> None:
    """A home that does not exist and a directory for temporary files that is a file: the same plan."""
    code, said, err = bench.run(*bench.plan(), env={"HOME": "/nonexistent/home", "XDG_CACHE_HOME": "/dev/null/cache"})
    expect((code, said) == (0, bench.planned), f"exit {code} or other bytes: {err.decode()[-500:]}")


FAULTS: dict[str, Callable[[Bench], None]] = {
    "SIGKILL of the run": killed, "SIGTERM of the run": terminated, "Ctrl-C": interrupted,
    "SIGTERM of a frontier": frontier_terminated, "SIGKILL of a worker": worker_killed, "journal cut off": torn,
    "two runs on one journal": shared, "clock that jumps": clock, "clock that goes back": clock_back,
    "plan on a full disk": disk_full, "journal on a full disk": journal_full, "disk read-only": read_only,
    "RLIMIT_FSIZE": file_limit, "RLIMIT_AS": little_memory, "stdout closed": closed_stdout,
    "stdout full": full_stdout, "no home": no_home,
}  # fmt: skip


@dataclass(slots=True)
class Counts:
    """Of a fault."""

    injected: int = 0
    lost: int = 0
    skipped: str = ""
    words: list[str] = field(default_factory=list)


def tried(bench: Bench, fault: Callable[[Bench], None], counts: Counts) -> None:
    """Inject a fault once, in an empty folder."""
    with tempfile.TemporaryDirectory() as name:
        bench.folder = Path(name)
        try:
            fault(bench)
        except subprocess.CalledProcessError as error:
            counts.skipped = f"{error.cmd[0]}: {(error.stderr or b'').decode().strip()}"
            return
        except Exception as error:  # whatever it is, it is the finding
            counts.lost += 1
            counts.words.append(str(error) if isinstance(error, LostError) else traceback.format_exc()[-800:])
        counts.injected += 1


def main() -> int:
    """Inject, print what was lost, and end with one line of JSON: injected and lost per fault."""
    asked = argparse.ArgumentParser(prog="python -m tests.soak.faults")
    asked.add_argument("--rounds", type=int, default=2)
    asked.add_argument("--first", type=int, default=int(time.time()), help="seed of the first round")
    asked.add_argument("--only", default="", help="faults, separated by commas; all of them if not given")
    given = asked.parse_args()
    counts = {name: Counts() for name in FAULTS if not given.only or name in given.only.split(",")}
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        bench = Bench(folder=home, scenario=write_small(home).resolve(), draw=random.Random(given.first))
        bench.planned = bench.run(*bench.plan())[1]
        bench.swept = bench.run(*bench.sweep(1, home / "right.jsonl"))[1]
        for _ in range(given.rounds):
            for fault, found in counts.items():
                tried(bench, FAULTS[fault], found)
                sys.stderr.write(f"{fault}: {found.injected} injected, {found.lost} lost\n")
    for fault, found in counts.items():
        sys.stderr.write("".join(f"{fault}: {words}\n" for words in found.words))
        sys.stderr.write(f"{fault}: NOT tried: {found.skipped}\n" if found.skipped else "")
    lost = sum(found.lost for found in counts.values())
    faults = {
        fault: {"injected": found.injected, "lost": found.lost} | ({"skipped": found.skipped} if found.skipped else {})
        for fault, found in counts.items()
    }
    injected = sum(found.injected for found in counts.values())
    sys.stdout.write(
        json.dumps({"first_seed": given.first, "injected": injected, "lost": lost, "faults": faults}) + "\n"
    )
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
