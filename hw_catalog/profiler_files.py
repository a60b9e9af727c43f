"""Files of a profiler's run: the journal it resumes from, the profile, and the watts beside it."""

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from hw_catalog.errors import CatalogError
from hw_catalog.profile_files import load_profiles, write_profiles
from hw_catalog.profiler import PROFILE_SET, Reading, Subject, mean_watts_w, step_operations
from hw_catalog.profiler_ops import Device
from hw_catalog.profiles import KernelProfile


def profile_path(directory: Path, subject: Subject) -> Path:
    """Where the profile goes: as in any catalog directory."""
    return directory / "profiles" / PROFILE_SET / subject.gpu / f"{subject.model}.json"


def beside(directory: Path, subject: Subject, ending: str) -> Path:
    """A file next to the profile, of one dtype and tensor-parallel width."""
    return profile_path(directory, subject).with_name(f"{subject.model}-{subject.dtype}-tp{subject.shard.tp}.{ending}")


def header(subject: Subject, device: Device) -> dict[str, str]:
    """What readings of one journal have in common; a run is resumed under the same header only."""
    shard = ",".join(f"{name}={value}" for name, value in asdict(subject.shard).items())
    return {
        "model": subject.model, "gpu": subject.gpu, "dtype": subject.dtype, "shard": shard, "device": device.name,
        "library": device.library, "driver": device.driver, "point_s": str(subject.knots.point_s),
    }  # fmt: skip


def open_journal(path: Path, expected: Mapping[str, str], *, resume: bool) -> dict[str, Reading]:
    """Begin a journal, or go on with one.

    Args:
        path: of the journal; directories are made.
        expected: header of this run.
        resume: take the readings that are there; otherwise they are dropped.

    Returns:
        Readings already taken.

    Raises:
        CatalogError: the journal was started for something else, or is damaged before its last line.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = path.read_text(encoding="utf-8").splitlines() if resume and path.is_file() else []
    found: dict[str, Reading] = {}
    kept = [json.dumps(dict(expected))]
    for number, line in enumerate(lines, start=1):
        try:
            entry = json.loads(line)
            if number > 1:
                reading = Reading(**entry)
                found[reading.key] = reading
                kept.append(line)
        except (ValueError, TypeError):
            if number == len(lines):
                break  # the run stopped while it wrote this line
            raise CatalogError(f"{path}:{number}: not a reading; remove the file to measure anew") from None
        if number == 1 and entry != dict(expected):
            other = [
                f"{key} {entry.get(key)!r}, now {value!r}" for key, value in expected.items() if entry.get(key) != value
            ]
            raise CatalogError(f"{path}: started with {'; '.join(other)}; run without --resume to measure anew")
    path.write_text("\n".join(kept) + "\n", encoding="utf-8")
    return found


def keep(path: Path, reading: Reading) -> None:
    """Add a reading to the journal."""
    with path.open("a", encoding="utf-8") as journal:
        journal.write(json.dumps(asdict(reading)) + "\n")


def add_profile(directory: Path, profile: KernelProfile) -> Path:
    """Write a profile into a catalog directory, beside those of other dtypes and widths that are already there.

    Returns:
        The file.

    Raises:
        CatalogError: a file is there and damaged.
    """
    path = directory / "profiles" / profile.profile_set / profile.gpu / f"{profile.model}.json"
    mine = (profile.dtype, profile.tp, profile.ep)
    others: tuple[KernelProfile, ...] = ()
    if path.is_file():
        others = load_profiles(directory, model=profile.model, gpu=profile.gpu, profile_set=profile.profile_set)
    write_profiles(path, [*(p for p in others if (p.dtype, p.tp, p.ep) != mine), profile])
    return path


def watts_table(subject: Subject, device: Device, readings: Mapping[str, Reading]) -> str:
    """Power as CSV: steps by phase and size first, then every operation with its time and spread.

    Power of a step is that of its token-wise operations, weighted by their times; decode attention is an operation.
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("what", "sizes", "median_s", "spread_ratio", "samples", "watts_w"))
    for phase, knots in (("prefill step", subject.knots.tokens), ("decode step", subject.knots.batch)):
        for tokens in knots:
            parts = step_operations(subject, device, tokens, 1 if phase == "prefill step" else tokens)
            took_s = sum(times * readings[operation.key].median_s for times, operation in parts)
            rows.writerow((phase, tokens, f"{took_s:.4g}", "", "", _watts(mean_watts_w(parts, readings))))
    for reading in readings.values():
        what, _, sizes = reading.key.partition(":")
        spread = f"{reading.spread_ratio:.3f}"
        rows.writerow((what, sizes, f"{reading.median_s:.4g}", spread, reading.samples, _watts(reading.watts_w)))
    return text.getvalue()


def _watts(value: float | None) -> str:
    """Power for a table; empty where unknown."""
    return "" if value is None else f"{value:.1f}"
