"""Lists: what can be bought."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields

from rich.console import Group, RenderableType
from rich.text import Text

from hw_catalog.check import Finding
from hw_catalog.gpus import Gpu
from hw_catalog.links import Link
from hw_catalog.machines import Machine
from hw_catalog.profile_files import ProfileListing
from hw_catalog.profiles import KernelProfile
from hw_catalog.provenance import Provenance
from planner.report.rich import listed
from planner.resolve.sized import Sized
from workloads.counts import number, percent, plural, watts

_GIB = 2.0**30


def machines_table(machines: Sequence[Machine]) -> RenderableType:
    """Machine types, one a line."""
    rows = []
    for m in machines:
        prices = [f"${p.usd_per_h:.2f}" if (p := m.price(channel)) else "" for channel in ("reserved", "on-demand")]
        space = f"{m.rack_units:g} U" if m.rack_units else ""
        rows.append((m.name, f"{m.gpus} {m.gpu.name}", watts(m.rated_w), space, *prices))
    return listed(("machine", "GPUs", "#rated", "?#space", "#reserved", "?#on-demand"), rows)


def gpus_table(gpus: Sequence[Gpu]) -> RenderableType:
    """GPUs, one a line."""
    rows = []
    for g in gpus:
        flops = [f"{value / 1e12:,.0f} T" if value else "" for value in (g.bf16_flops, g.fp8_flops)]
        memory, bandwidth = f"{g.hbm_bytes / _GIB:.1f} GiB", f"{g.hbm_bytes_per_s / 1e12:.2f} T"
        rows.append((g.name, memory, bandwidth, *flops, watts(g.tdp_w), g.profile_gpu))
    headings = ("GPU", "#memory", "#bytes/s", "#bf16 FLOP/s", "?#fp8 FLOP/s", "#power", "?profiles of")
    return listed(headings, rows)


def links_table(links: Sequence[Link]) -> RenderableType:
    """Links, one a line."""
    rows = []
    for link in links:
        bandwidth = f"{link.bandwidth_bytes_per_s:.4g}"
        rows.append((link.name, bandwidth, f"{link.latency_s * 1e6:g} µs", f"{link.sync_s * 1e6:g} µs"))
    return listed(("link", "#bytes/s", "#latency", "#visible sync"), rows)


def profiles_table(listings: Sequence[ProfileListing]) -> RenderableType:
    """Kernel profiles by set, GPU and model; those with attention ranks (dp) are of measured clusters' layouts."""
    rows = []
    for p in listings:
        widths = [" ".join(str(ways) for ways in each) for each in (p.tps, p.eps, p.dps)]
        rows.append((p.profile_set, p.gpu, p.model, " ".join(p.dtypes), *widths))
    return listed(("profile set", "GPU", "model", "?~dtypes", "?~tp", "?~ep", "?~dp"), rows)


def models_table(models: Sequence[Sized]) -> RenderableType:
    """Models, one a line; those without a measured kernel cannot be planned until profiles are made."""
    rows = []
    for m in models:
        sizes = (f"{each / 1e9:,.1f} B" for each in (m.params, m.active_params))
        formats = (" ".join(each) for each in (m.own_dtypes, m.dtypes))
        rows.append((m.model, *sizes, f"{m.max_context_tokens:,}", *formats, " ".join(m.gpus) or "none"))
    headings = ("model", "#parameters", "?#active", "#context", "?own format", "?~formats measured", "~on")
    return listed(headings, rows)


def sizes_table(models: Sequence[Sized]) -> RenderableType:
    """Config files, one a line: sizes and kernel profiles, or why there are none."""
    rows = []
    for m in models:
        if m.refused:
            more = f"; {plural(len(m.refused) - 1, 'more problem')}" if len(m.refused) > 1 else ""
            rows.append((m.model, *[""] * 6, f"refused: {m.refused[0]}{more}"))
            continue
        numbers = (f"{m.params / 1e9:,.1f} B", f"{m.active_params / 1e9:,.1f} B", m.own_dtypes[0],
                   f"{m.weight_bytes / 1e9:,.1f} GB", f"{m.kv_bytes_per_token / 1024:,.1f} KiB",
                   f"{m.max_context_tokens:,}")  # fmt: skip
        on = (
            f"{m.timed_as} ({' '.join(m.dtypes)}) on {' '.join(m.gpus)}" if m.timed_as else "none: bake or measure them"
        )
        rows.append((m.model, *numbers, on))
    headings = (
        "model",
        "#parameters",
        "?#active",
        "?format",
        "#weights",
        "?#KV/token",
        "?#context",
        "~kernel profiles",
    )
    return listed(headings, rows)


def entry_view(entry: Gpu | Link | Machine) -> RenderableType:
    """One catalog entry: every number with the mark of its source, and the sources below."""
    rows = []
    marks: dict[str, str] = {}
    for key, value, provenance in _numbers(entry):
        kind = str(provenance.kind) if provenance else ""
        mark = marks.setdefault(_source(provenance), f"[{len(marks) + 1}]") if provenance else ""
        rows.append((key, value, kind, mark))
    made = listed(("key", "#value", "kind", "source"), rows)
    sources = [Text(f"{mark} {source}") for source, mark in marks.items()]
    return Group(Text(entry.name, style="bold"), Text(), made, Text(), *sources)


def _numbers(entry: Gpu | Link | Machine) -> Iterator[tuple[str, str, Provenance | None]]:
    for field in fields(entry):
        value = getattr(entry, field.name)
        if isinstance(value, Gpu | Link):
            yield field.name, value.name, None
        elif isinstance(value, str) and field.name != "name":
            yield field.name, value, None
        elif value is None or isinstance(value, int | float):
            source = entry.provenance if isinstance(entry, Link) else entry.provenance.get(field.name)
            yield field.name, "any" if value is None else f"{value:,.6g}", source
    for price in entry.prices if isinstance(entry, Machine) else ():
        yield f"{price.channel} usd_per_h", f"{price.usd_per_h:,.6g}", price.provenance


def profiles_view(profiles: Sequence[KernelProfile]) -> RenderableType:
    """The kernel profiles of one file: what was measured, with what, how much of it."""
    first = profiles[0]
    rows = []
    for p in profiles:
        ranges = (number(p.tokens[-1]), number(p.context_tokens[-1]))
        overhead = f"{p.overhead_s * 1e6:.0f} µs"
        rows.append((p.dtype, p.kv_dtype, str(p.tp), str(p.ep), overhead, *ranges, percent(p.measured_frac)))
    headings = ("dtype", "KV", "#tp", "#ep", "?#overhead", "?#tokens to", "?#context to", "#measured")
    made = listed(headings, rows)
    title = Text(f"{first.model} on {first.gpu}, {first.engine} {first.engine_version}", style="bold")
    return Group(title, Text(), made, Text(), Text(f"{first.provenance.kind}: {_source(first.provenance)}"))


def catalog_check_view(
    counts: Mapping[str, int], unprofiled: Sequence[str], findings: Sequence[Finding], *, yours: Sequence[str] = (),
    elsewhere: int = 0,
) -> RenderableType:  # fmt: skip
    """What a catalog holds, and what in it deserves a second look, rule by rule.

    Args:
        counts: of entries, by kind.
        unprofiled: machines whose GPU has no kernel profile.
        findings: what is shown.
        yours: entries that a directory adds or changes.
        elsewhere: findings on built-in entries that are not shown.
    """
    lines = ["OK: " + ", ".join(f"{count} {name}" for name, count in counts.items()) + "; every number has a source"]
    if yours:
        lines.append("Yours: " + ", ".join(yours) + ("" if findings else "; nothing of it deserves a second look"))
    if elsewhere:
        lines.append(f"Built-in: {elsewhere} findings; `phasewise catalog check` lists them")
    if unprofiled:
        lines.append("No kernel profile, so never part of a plan: " + ", ".join(unprofiled))
    rows = [(finding.rule, finding.subject, finding.message) for finding in findings]
    found = listed(("to look at", "~subject", "~finding"), rows)
    return Group(*(Text(line) for line in lines), *((Text(), found) if findings else ()))


def _source(provenance: Provenance) -> str:
    remark = f" ({provenance.note})" if provenance.note else ""
    return f"{provenance.source}, {provenance.date}{remark}"
