"""``make release``: everything that a release is, but its upload.

Wheel and sdist are built twice, from two copies of the commit with other times, and must have the same bytes. The wheel
is installed with the locked dependencies on every Python that is here, measured, and tested without the sources beside
it. What is in it is listed (SBOM, CycloneDX). Everything lands in ``dist/``, with digests.

A Python that this system lacks is looked for in another one below a directory (as root):
``debootstrap --variant=minbase --include=python3.14,python3.14-venv sid DIR``, then ``--root DIR``.
"""

import argparse
import gzip
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
MOST_MIB = 400
SBOM = "cyclonedx-bom>=7,<8"
BUILD = "import sys, setuptools.build_meta as b; out = sys.argv[1]; b.build_wheel(out); b.build_sdist(out)"
TESTS = [f"tests/{name}" for name in ("planner", "hw_catalog", "workloads", "solvers", "laws", "soak")]
APART = (
    "tests", "benchmarks", "docs", "pyproject.toml", "README.md", "CHANGELOG.md", "NOTICE", "SECURITY.md",
    "planner/examples", "hw_catalog/data", "workloads/data",
)  # fmt: skip
"""What tests need beside the wheel; no code of it. Directories without code hide no installed package."""


def run(*words: str | Path, cwd: Path = ROOT, **env: str) -> str:
    """A command that must succeed: its stdout."""
    done = subprocess.run(
        [str(word) for word in words], cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = f"{named(done.stdout)}{done.stdout[-4000:]}{done.stderr[-4000:]}"
        raise SystemExit(f"{' '.join(map(str, words))}: exit {done.returncode}\n{said}")
    return done.stdout


def named(said: str) -> str:
    """What failed of a run of tests, a line each, however long the rest is that it said."""
    failed = [line for line in said.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    return "".join(f"{line[:300]}\n" for line in dict.fromkeys(failed))


def uv() -> tuple[str, ...]:
    """The command that installs: a program of its own, so that it works below another root too."""
    named = "import uv; print(uv.find_uv_bin())"
    found = subprocess.run([sys.executable, "-c", named], capture_output=True, text=True, check=False)
    return (found.stdout.strip() or shutil.which("uv") or "uv",)


@contextmanager
def inside(root: Path | None, *places: Path) -> Iterator[tuple[str, ...]]:
    """The words that run a command in a directory below another root, where the places are seen under their own paths.

    Nothing is mounted and the words only change the directory where no root is given.
    """
    if root is None:
        yield ("env", "-C")
        return
    mounted: list[Path] = []
    try:
        for place in (*places, Path("/proc"), Path("/dev"), Path("/etc/ssl/certs"), Path("/etc/resolv.conf")):
            seen = root / place.relative_to("/")
            if place.is_dir():
                seen.mkdir(parents=True, exist_ok=True)
            else:
                seen.touch()
            run("mount", "--rbind", "--make-rslave", place, seen)
            mounted.append(seen)
        yield ("chroot", str(root), "env", "-C")
    finally:
        for seen in reversed(mounted):
            run("umount", "--lazy", "--recursive", seen)


def built(place: Path, epoch_s: int, shift_s: int) -> dict[str, bytes]:
    """Wheel and sdist of the commit, from a copy whose files have other times."""
    tree, out = place / "tree", place / "out"
    tree.mkdir()
    out.mkdir()
    with tarfile.open(fileobj=io.BytesIO(subprocess.run(
        ["git", "archive", "HEAD"], cwd=ROOT, capture_output=True, check=True
    ).stdout)) as archive:  # fmt: skip
        archive.extractall(tree, filter="data")
    for path in tree.rglob("*"):
        os.utime(path, (epoch_s + shift_s, epoch_s + shift_s))
    run(sys.executable, "-c", BUILD, out, cwd=tree, SOURCE_DATE_EPOCH=str(epoch_s))
    return {
        path.name: repacked(path.read_bytes(), epoch_s) if path.name.endswith(".tar.gz") else path.read_bytes()
        for path in sorted(out.iterdir())
    }


def repacked(data: bytes, epoch_s: int) -> bytes:
    """An sdist with its members in order, without owners, at the time of the commit: setuptools writes the clock."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(data)) as old, tarfile.open(fileobj=raw, mode="w") as new:
        for member in sorted(old.getmembers(), key=lambda each: each.name):
            member.mtime, member.uid, member.gid, member.uname, member.gname = epoch_s, 0, 0, "", ""
            member.mode, member.pax_headers = 0o755 if member.isdir() or member.mode & 0o100 else 0o644, {}
            new.addfile(member, old.extractfile(member) if member.isfile() else None)
    return gzip.compress(raw.getvalue(), mtime=epoch_s)


def interpreter_of(version: str, root: Path | None) -> tuple[str, Path | None]:
    """A Python of this version, of the system, of pyenv or below another root, which is named; empty where none is."""
    found = subprocess.run([*uv(), "python", "find", version], capture_output=True, text=True, check=False)
    if not found.returncode:
        return found.stdout.strip(), None
    own = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"))
    there = f"/usr/bin/python{version}"
    if not own and root and (root / there.removeprefix("/")).exists():
        return there, root
    return (str(own[-1]) if own else ""), None


def wheels_for(version: str, place: Path) -> str:
    """That every locked dependency has a wheel for a Python that is not here; ends the run where one has none."""
    run(
        *uv(), "pip", "install", "--dry-run", "--quiet", "--no-config", "--python", sys.executable, "--python-version",
        version, "--python-platform", "x86_64-manylinux_2_28", "--only-binary", ":all:", "--require-hashes", "--target",
        place / "none", "-r", ROOT / ".ci" / "lock.txt",
    )  # fmt: skip
    return "every locked dependency has a wheel for it"


def tried(version: str, wheel: Path, place: Path, given: argparse.Namespace) -> dict[str, object]:
    """The wheel on a Python: its size with all that it needs, and the tests without the sources."""
    interpreter, root = interpreter_of(version, given.root)
    if not interpreter:
        return {"skipped": f"no Python {version} here: NOT tested; {wheels_for(version, place)}"}
    venv, apart = place / "venv", place / "apart"
    apart.mkdir()
    for name in APART:
        (apart / name).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, apart / name)
    python = venv / "bin" / "python"
    install = (apart, *uv(), "pip", "install", "--quiet", "--python", python)
    with inside(root, place, ROOT, Path(uv()[0]).parent) as there:
        run(*there, apart, *uv(), "venv", "--quiet", "--python", interpreter, venv)
        run(*there, *install, "--require-hashes", "-r", ROOT / ".ci" / "lock-plan.txt")
        run(*there, *install, "--no-deps", wheel)
        found = "import sys, sysconfig; print(sys.version.split()[0], sysconfig.get_paths()['purelib'])"
        exact, _, packages = run(*there, apart, python, "-c", found).strip().partition(" ")
        mib = sum(path.stat().st_size for path in Path(packages).rglob("*") if path.is_file()) / 2**20
        if mib > MOST_MIB:
            raise SystemExit(f"Python {version}: {mib:.0f} MiB installed; expected at most {MOST_MIB}")
        said = run(*there, place, venv / "bin" / "phasewise", "--version").splitlines()
        if version == PYTHONS[0]:
            run(*uv(), "tool", "run", "--quiet", "--from", SBOM, "cyclonedx-py", "environment", python, "--of", "JSON",
                "--output-reproducible", "-o", DIST / "phasewise.cdx.json")  # fmt: skip
        passed = "not asked for"
        if not given.no_tests:
            run(*there, *install, "--require-hashes", "-r", ROOT / ".ci" / "lock.txt")
            words = ("-m", "pytest", "-n", given.workers, "-m", "not slow", *given.tests)
            passed = run(*there, apart, python, *words).splitlines()[-1]
    return {"python": exact, "installed_mib": round(mib, 1), "version": said, "tests": passed}


def main() -> None:
    """Build, compare, install, test, list."""
    asked = argparse.ArgumentParser(prog="make release")
    asked.add_argument("tests", nargs="*", default=TESTS)
    asked.add_argument("--pythons", default=",".join(PYTHONS))
    asked.add_argument("--root", type=Path, help="another system, below a directory, for Pythons that are not here")
    asked.add_argument("--workers", default="2", help="processes of the tests")
    asked.add_argument("--no-tests", action="store_true")
    given = asked.parse_args()
    if run("git", "status", "--porcelain", "--untracked-files=no"):
        raise SystemExit("files are changed and not committed; a release is a commit")
    epoch_s = int(run("git", "log", "-1", "--format=%ct"))
    DIST.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        first, second = built(Path(one), epoch_s, 0), built(Path(two), epoch_s, 86_400)
    if first != second:
        differ = [name for name in first if first[name] != second.get(name)]
        raise SystemExit(f"two builds of one commit differ: {differ}")
    for name, data in first.items():
        (DIST / name).write_bytes(data)
    wheel = next(DIST / name for name in first if name.endswith(".whl"))
    found = {}
    for version in given.pythons.split(","):
        with tempfile.TemporaryDirectory() as place:
            found[version] = tried(version, wheel, Path(place), given)
        print(f"Python {version}: {found[version]}", file=sys.stderr)
    files = sorted(path for path in DIST.iterdir() if path.name != "SHA256SUMS")
    sums = {path.name: sha256(path.read_bytes()).hexdigest() for path in files}
    (DIST / "SHA256SUMS").write_text("".join(f"{digest}  {name}\n" for name, digest in sums.items()))
    print(json.dumps({"commit": run("git", "rev-parse", "HEAD").strip(), "sha256": sums, "pythons": found}))
    print("nothing is uploaded: sign dist/SHA256SUMS, then upload what it lists", file=sys.stderr)


if __name__ == "__main__":
    main()
