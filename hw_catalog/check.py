"""Judging a catalog that reads well: what is stale, unsold, unlikely or against the order of the generations."""

import datetime
import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from hw_catalog.load import Catalog
from hw_catalog.machines import PUBLISHED
from hw_catalog.profiles import KernelProfile
from hw_catalog.provenance import Provenance

STALE_DAYS = 180
SAME_RATIO = 1.05
"""Two times this close are called equal: the spread between two measurements of one kernel is of this size."""
LARGE_PREFILL_TOKENS = 4096
GENERATIONS = ("a100-sxm", "h100-sxm", "h200-sxm", "b200-sxm", "gb200", "gb300")
"""From old to new; each is expected to be no slower than the one before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something to look at before trusting a plan.

    Attributes:
        rule: short name of the rule, for example ``stale-price``.
        subject: the catalog entry.
        message: a sentence with what was found and what was expected.
    """

    rule: str
    subject: str
    message: str


def check_catalog(catalog: Catalog, *, today: datetime.date) -> tuple[Finding, ...]:
    """Findings about GPUs, links and machines.

    Args:
        catalog: as loaded.
        today: prices are judged by their age on this day.
    """
    return (
        *_missing_sources(catalog),
        *_prices(catalog, today),
        *_generations(catalog),
        *_machine_sizes(catalog),
    )


def check_profiles(profiles: Iterable[KernelProfile]) -> tuple[Finding, ...]:
    """Findings about kernel profiles: layouts that a wider one or an older GPU beats at a large prefill."""
    known = {(p.profile_set, p.model, p.dtype, p.gpu, p.tp, p.ep): p for p in profiles}
    findings = []
    for (family, model, dtype, gpu, tp, ep), profile in known.items():
        older = dict(itertools.pairwise(GENERATIONS[::-1])).get(gpu, "")
        rivals = {
            "newer-is-slower": known.get((family, model, dtype, older, tp, ep)),
            "wider-is-slower": known.get((family, model, dtype, gpu, tp // 2, ep)) if ep == 1 else None,
        }
        for rule, rival in rivals.items():
            if rival is not None and large_prefill_s(profile) > SAME_RATIO * large_prefill_s(rival):
                found = f"{large_prefill_s(profile):.3g} s for a prefill of {LARGE_PREFILL_TOKENS:,} tokens"
                text = f"{found}, {large_prefill_s(rival):.3g} s on {rival.gpu} at tp {rival.tp}"
                subject = f"{family}/{gpu}/{model} {dtype} tp {tp} ep {ep}"
                findings.append(Finding(rule=rule, subject=subject, message=text))
    return tuple(findings)


def large_prefill_s(profile: KernelProfile) -> float:
    """Seconds of a 4096-token prefill of one request."""
    linear = np.interp(LARGE_PREFILL_TOKENS, profile.tokens, profile.linear_prefill_s)
    attention = np.interp(LARGE_PREFILL_TOKENS, profile.new_tokens, profile.prefill_attention_s[:, 0])
    return profile.overhead_s + float(linear + attention)


GPU_NUMBERS = (
    *("hbm_bytes", "hbm_bytes_per_s", "bf16_flops", "fp8_flops", "tdp_w", "idle_w", "clock_min_mhz", "clock_max_mhz"),
    *("prefill_slowdown_ratio", "decode_slowdown_ratio"),
)
MACHINE_NUMBERS = ("gpus", "rated_w", "idle_w", "rack_units")
SOMETIMES = ("domain_gpus", "host_gib")  # of machines that state them


def _missing_sources(catalog: Catalog) -> Iterator[Finding]:
    """Numbers without a source, and sources without a date."""
    entries: list[tuple[str, Mapping[str, Provenance], tuple[str, ...]]] = []
    entries += [(gpu.name, gpu.provenance, GPU_NUMBERS) for gpu in catalog.gpus.values()]
    for machine in catalog.machines.values():
        stated = tuple(number for number in SOMETIMES if getattr(machine, number) is not None)
        entries.append((machine.name, machine.provenance, MACHINE_NUMBERS + stated))
    named: list[tuple[str, Provenance]] = [(link.name, link.provenance) for link in catalog.links.values()]
    named += [(f"{m.name} {p.channel}", p.provenance) for m in catalog.machines.values() for p in m.prices]
    for name, provenance, numbers in entries:
        for number in numbers:
            if number not in provenance:
                yield Finding(rule="no-source", subject=f"{name}.{number}", message="has no source")
        named += [(f"{name}.{number}", source) for number, source in provenance.items()]
    for name, source in named:
        if not source.source or not source.date:
            yield Finding(rule="no-date", subject=name, message="its source has no text or no date")


def _prices(catalog: Catalog, today: datetime.date) -> Iterator[Finding]:
    """Machines that no source sells and prices past their age."""
    for machine in catalog.machines.values():
        if not machine.prices:
            yield Finding(rule="no-price", subject=machine.name, message="has no price through any channel")
        for price in machine.prices:
            days = (today - datetime.date.fromisoformat(price.provenance.date)).days
            if days > STALE_DAYS and price.channel not in PUBLISHED:
                text = f"{price.usd_per_h:g} USD/h is {days} days old, expected at most {STALE_DAYS}"
                yield Finding(rule="stale-price", subject=f"{machine.name} {price.channel}", message=text)


def _generations(catalog: Catalog) -> Iterator[Finding]:
    """Newer GPUs with less memory bandwidth or arithmetic than their predecessor."""
    present = [catalog.gpus[name] for name in GENERATIONS if name in catalog.gpus]
    for older, newer in itertools.pairwise(present):
        for number in ("hbm_bytes_per_s", "bf16_flops"):
            before, after = getattr(older, number), getattr(newer, number)
            if after < before:
                text = f"{after:.4g}, less than {before:.4g} of {older.name}"
                yield Finding(rule="newer-is-less", subject=f"{newer.name}.{number}", message=text)


def _machine_sizes(catalog: Catalog) -> Iterator[Finding]:
    """Ratings that cannot hold their own GPUs."""
    for machine in catalog.machines.values():
        gpus_w = machine.gpus * machine.gpu.tdp_w
        if machine.rated_w < gpus_w:
            text = f"{machine.rated_w:g} W, less than the {gpus_w:g} W of its GPUs"
            yield Finding(rule="rating-too-small", subject=machine.name, message=text)
        if machine.idle_w >= machine.rated_w:
            text = f"{machine.idle_w:g} W idle, not below the rating of {machine.rated_w:g} W"
            yield Finding(rule="idle-too-large", subject=machine.name, message=text)
