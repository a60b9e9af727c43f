"""The data that ship: their digests, and whether they are those that were released."""

from base64 import urlsafe_b64encode
from hashlib import sha256
from importlib import metadata, resources
from importlib.resources.abc import Traversable

DATA = {"hw_catalog": "machines, prices, links, engines, kernel profiles", "workloads": "models, traces"}
"""Package -> what its folder ``data`` holds."""


def shipped() -> tuple[str, ...]:
    """A line for each package of data: its digest, and whether it is what was released."""
    recorded = _recorded()
    return tuple(f"{package} {_digest(files)} {_state(package, files, recorded)}" for package, files in _all().items())


def _all() -> dict[str, dict[str, bytes]]:
    """Package -> path below its folder of data -> content."""
    return {package: dict(sorted(_files(resources.files(package) / "data", ""))) for package in DATA}


def _files(folder: Traversable, path: str) -> list[tuple[str, bytes]]:
    found = list[tuple[str, bytes]]()
    for each in folder.iterdir():
        name = f"{path}{each.name}"
        found += _files(each, f"{name}/") if each.is_dir() else [(name, each.read_bytes())]
    return found


def _digest(files: dict[str, bytes]) -> str:
    """SHA-256 of the names and contents of files, in the order of their names."""
    whole = sha256()
    for name, content in files.items():
        whole.update(f"{name}\0{len(content)}\0".encode())
        whole.update(content)
    return f"sha256:{whole.hexdigest()}"


def _recorded() -> dict[str, str]:
    """Path -> digest, as the installed wheel lists them; empty for a checkout."""
    try:
        files = metadata.files("phasewise") or []
    except metadata.PackageNotFoundError:
        return {}
    return {str(file): file.hash.value for file in files if file.hash and file.hash.mode == "sha256"}


def _state(package: str, files: dict[str, bytes], recorded: dict[str, str]) -> str:
    known = {path: value for path, value in recorded.items() if path.startswith(f"{package}/data/")}
    if not known:
        return "(a checkout)"
    digests = {f"{package}/data/{name}": _record(content) for name, content in files.items()}
    changed = sorted(path for path in known.keys() | digests.keys() if known.get(path) != digests.get(path))
    return f"(NOT as released: {len(changed)} files, first {changed[0]})" if changed else "(as released)"


def _record(content: bytes) -> str:
    """A digest as wheels write it."""
    return urlsafe_b64encode(sha256(content).digest()).rstrip(b"=").decode()
