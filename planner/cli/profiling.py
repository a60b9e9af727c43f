"""The verb that measures a kernel profile on the machine it runs on."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from planner.cli.terminal import Quiet, note, progress
from planner.errors import BadInput
from workloads.counts import percent

if TYPE_CHECKING:
    from hw_catalog.profiler import Subject
    from hw_catalog.profiler_ops import Bench


class Where(StrEnum):
    """What runs the operations."""

    CUDA = "cuda"
    CPU = "cpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class Procedure:
    """How a profile is measured."""

    resume: Annotated[bool, typer.Option("--resume", help="go on with an interrupted run")] = False
    quick: Annotated[bool, typer.Option("--quick", help="fewer points, without tile edges")] = False
    point_s: Annotated[
        float | None, typer.Option("--point-s", min=0.0, help="seconds on each operation and size; 0.4, quick 0.1")
    ] = None
    device: Annotated[Where, typer.Option("--device", help="cpu tries the procedure with NumPy")] = Where.CUDA


def profile(
    model: Annotated[str, typer.Option("--model", help="model id; with --config, the id to give", show_default=False)],
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="Hugging Face config.json of a model of yours")
    ] = None,
    tp: Annotated[int, typer.Option("--tp", min=1, help="tensor-parallel GPUs whose shard is measured")] = 1,
    dtype: Annotated[str, typer.Option("--dtype", help="of weights and KV cache; only bf16")] = "bf16",
    gpu: Annotated[
        str | None, typer.Option("--gpu", help="catalog id; else found from what the driver calls the GPU")
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="catalog directory to add to")] = Path("my-catalog"),
    quiet: Quiet = False,
    *,
    how: Procedure,
) -> None:
    """Measure a kernel profile on this machine's GPU. Needs `pip install phasewise[profile]`."""
    from hw_catalog.profiler import FULL, QUICK, QUICK_CPU, Subject
    from hw_catalog.profiler_ops import shard_of

    if dtype != "bf16":
        raise BadInput(f"--dtype {dtype}: expected bf16; other formats need an engine's own kernels")
    shard = shard_of(_config(model, config), name=model, tp=tp)
    bench = _bench(how.device)
    name = gpu or ("cpu" if how.device is Where.CPU else gpu_id(bench.device.name))
    look = QUICK_CPU if how.device is Where.CPU else QUICK
    knots = look if how.quick else FULL
    knots = knots if how.point_s is None else replace(knots, point_s=how.point_s)
    _measured(bench, Subject(model=model, gpu=name, dtype=dtype, shard=shard, knots=knots), out, how.resume, quiet)


def _measured(bench: "Bench", subject: "Subject", out: Path, resume: bool, quiet: bool) -> None:
    """Measure, with a journal, and write the profile and the watts."""
    from hw_catalog.profiler import composed, measure, operations
    from hw_catalog.profiler_files import add_profile, beside, header, keep, open_journal, watts_table
    from planner.files.writing import write_whole

    device, journal = bench.device, beside(out, subject, "journal.jsonl")
    known = open_journal(journal, header(subject, device), resume=resume)
    wanted, before = operations(subject, device), bench.state()
    if known:
        note(f"{len(known)} of {len(wanted)} readings are in {journal}", quiet=quiet)
    with progress(quiet=quiet) as tell:
        found = measure(
            bench, wanted, point_s=subject.knots.point_s, known=known, keep=lambda r: keep(journal, r), progress=tell
        )
    spread = sorted(reading.spread_ratio for reading in found.values())
    said = "; ".join(f"{name} {before[name]:g} before, {value:g} after" for name, value in bench.state().items())
    remark = f"median spread {percent(spread[len(spread) // 2])}, largest {percent(spread[-1])}"
    remark += f"; {said}" if said else ""
    date = datetime.now(tz=UTC).date().isoformat()
    made = composed(subject, device, found, date=date, note=remark)
    path = add_profile(out, made)
    write_whole(beside(out, subject, "watts.csv"), watts_table(subject, device, found))
    note(f"{made.provenance.kind}: {made.provenance.note}", quiet=quiet)
    note(f"wrote {path}, with the watts beside it; scenarios use it with catalog.directory={out}", quiet=quiet)


def _bench(device: Where) -> "Bench":
    """What runs the operations."""
    if device is Where.CPU:
        from hw_catalog.profiler_cpu import NumpyBench

        return NumpyBench()
    from hw_catalog.profiler_torch import torch_bench

    return torch_bench()


def _config(model: str, file: Path | None) -> dict[str, Any]:
    """The size-bearing keys of a model."""
    from hw_catalog.strict_files import Unreadable, json_document, read_text
    from planner.errors import nearest
    from workloads.models import model_cards

    if file is None:
        cards = model_cards()
        if model not in cards:
            raise BadInput(f"--model {model}: there is no such model; {nearest(model, cards)}, or --config FILE")
        return dict(cards[model].config)
    try:
        what = "a Hugging Face config.json"
        found = json_document(read_text(file, what), str(file), what)
    except Unreadable as error:
        raise BadInput(f"--config {error}") from None
    if not isinstance(found, dict):
        raise BadInput(f"--config {file}: found a JSON {type(found).__name__}, expected an object")
    return found


def gpu_id(name: str) -> str:
    """The catalog's id of the GPU in this machine.

    Raises:
        BadInput: none or several fit; asks for ``--gpu``.
    """
    from hw_catalog.load import load_catalog

    words = name.lower().replace("-", " ").replace("nvidia", "").split()
    known = [gpu.name for gpu in load_catalog(None).gpus.values() if gpu.profile_gpu == gpu.name]
    card = {"pcie", "nvl"} & set(words)
    fitting = [gpu for gpu in known if {*gpu.split("-")} - {"sxm"} <= {*words} and all(word in gpu for word in card)]
    if len(fitting) != 1:
        raise BadInput(f"the GPU '{name}' is not clearly one of {', '.join(sorted(known))}; say which with --gpu")
    return fitting[0]
