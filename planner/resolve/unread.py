"""Keys that a question sets and that nothing reads in it: each is named, for it was meant to change something."""

from collections.abc import Iterator
from typing import NamedTuple

from pydantic import BaseModel

from planner.policies.presets import LONG, NAMES, PUBLIC
from planner.resolve import long_context as long
from planner.resolve.public_rules import published_reading
from planner.resolve.workload import Asked
from planner.scenario import Scenario
from planner.scenario.choices import listed
from planner.scenario.policy_section import SPLIT
from planner.scenario.power import ANY, CONTROLS
from planner.scenario.prefix_section import IDEAL
from workloads.builtin import builtin_names
from workloads.slo import Unit

_WORKING_DAYS_S = 5 * 86400.0


class Rule(NamedTuple):
    """Keys that are read in some questions only.

    Attributes:
        read: whether they are in this one.
        why: they are not.
        keys: dotted; of a section, all its keys.
    """

    read: bool
    why: str
    keys: tuple[str, ...]


def unread(scenario: Scenario, asked: Asked) -> tuple[str, ...]:
    """A sentence for each key that differs from its default and changes nothing.

    Args:
        scenario: the question.
        asked: its workload, as it was read.
    """
    return tuple(
        f"{key}: found {shown}, which changes nothing: {rule.why}"
        for rule in rules(scenario, asked)
        if not rule.read
        for dotted in rule.keys
        for key, shown in _given(scenario, dotted)
    )


def rules(scenario: Scenario, asked: Asked) -> Iterator[Rule]:
    """Every key that some questions do not read, and whether this one does."""
    yield from _of_workload(scenario, asked)
    yield from _of_policy(scenario, asked)
    yield from _of_machines(scenario)
    if scenario.schedule is not None:
        yield from _of_schedule(scenario)
    if scenario.power.row_limit_w is not None:
        yield from _of_row(scenario)


def _of_workload(scenario: Scenario, asked: Asked) -> Iterator[Rule]:
    """Keys of traces, of what is drawn, and of how both are measured."""
    workload, checks = scenario.workload, scenario.validation
    trace_keys = ("format", "time_unit", "skip_bad_rows", "bytes_per_token", "answer_s_per_token")
    yield Rule(
        workload.trace is not None and workload.trace not in builtin_names(), "no trace file is read",
        tuple(f"workload.{key}" for key in trace_keys),
    )  # fmt: skip
    replayed = asked.growth is not None
    yield Rule(replayed, "no trace is replayed", ("workload.growth",))
    yield Rule(not replayed, "a trace is replayed in its own time", ("workload.duration_s",))
    slowed = any(slo.unit is Unit.SLOWDOWN for slo in scenario.slos())
    yield Rule(slowed, "no objective is a slowdown", ("reference",))
    measured = asked.unmeasured_at(1.0, checks) == (checks.warmup_frac, checks.cooldown_frac)
    whole = "a whole trace is measured from its first request to its last"
    yield Rule(measured or scenario.schedule is not None, whole, ("validation.warmup_frac", "validation.cooldown_frac"))
    hours = "energy.hourly_carbon_g_per_kwh says it by the hour"
    by_hour = bool(scenario.energy.hourly_carbon_g_per_kwh) and scenario.schedule is None
    yield Rule(not by_hour, hours, ("energy.carbon_g_per_kwh",))
    ideal = "an ideal cache takes no memory"
    yield Rule(scenario.prefix_cache.gib != IDEAL, ideal, ("prefix_cache.host_gib",))


def _of_policy(scenario: Scenario, asked: Asked) -> Iterator[Rule]:
    """Keys of rules that no policy has which may be chosen."""
    section = scenario.policy
    names = NAMES if section.name == "auto" else listed(section.name)
    split, splitwise = any(name in SPLIT for name in names), "splitwise" in names
    chunked = splitwise and (section.chunked_prefill or section.chunked_decode)
    beside = any(long.beside(scenario.catalog, section, name, asked.demand) for name in names)
    streams = LONG in names or beside
    who = f"under policy.name {', '.join(names)}"
    yield Rule(
        split, f"{who} both phases run on one instance",
        ("policy.kv_transfer", "headroom.prefill_frac", "headroom.decode_frac", "headroom.link_frac"),
    )  # fmt: skip
    mixed = beside or scenario.schedule is not None or any(name not in SPLIT for name in names)
    yield Rule(mixed, f"{who} no instance runs both phases", ("headroom.mixed_frac",))
    yield Rule(
        splitwise and section.kv_transfer == "auto", "only splitwise with policy.kv_transfer auto asks for it",
        ("policy.layerwise_from_tokens",),
    )  # fmt: skip
    own = ("foresee_output", "mixed_pool", "chunked_prefill", "chunked_decode")
    yield Rule(splitwise, "only splitwise has such a rule", tuple(f"policy.{key}" for key in own))
    yield Rule(
        PUBLIC in names or (splitwise and section.mixed_pool), "no pool borrows from the other (policy.mixed_pool)",
        ("policy.prefill_threshold_tokens", "policy.decode_threshold_tokens"),
    )  # fmt: skip
    yield Rule("sarathi" in names or chunked or streams, f"{who} no prompt is cut", ("policy.chunk_tokens",))
    yield Rule("sarathi" in names or chunked, f"{who} no chunk has a form to choose", ("policy.chunk_form",))
    yield Rule(streams, f"only {LONG} cuts prompts by the time of a step", ("policy.tbt_target_s",))
    yield Rule(max(scenario.catalog.kvp) > 1, "catalog.kvp asks for no groups", ("policy.kvp_group_tokens",))
    yield Rule(
        not published_reading(scenario),
        "model.reading as-published sizes memory in its own way",
        ("policy.block_tokens", "policy.kv_memory_frac"),
    )


def _of_machines(scenario: Scenario) -> Iterator[Rule]:
    """Keys of machines that fail, where none does."""
    asked, schedule = scenario.availability, scenario.schedule
    taken = schedule is not None and schedule.interruptions_per_h_ratio > 0
    fails = asked.asked or bool(scenario.validation.failures) or taken
    yield Rule(fails, "no machine fails (availability, validation.failures)", ("policy.recovery",))
    sections = ("machine", "rack", "domain", "maintenance")
    if not asked.asked:
        keys = tuple(f"availability.{key}" for key in (*sections, "spot"))
        yield Rule(asked.asked, "neither availability.target_frac nor spares are asked for", keys)
        return
    yield Rule(scenario.catalog.channel == "spot", "catalog.channel is not spot", ("availability.spot",))
    own = "availability.machine.mtbf_h says it of the whole machine"
    yield Rule(asked.machine.mtbf_h is None, own, ("availability.machine.gpu_mtbf_h",))
    turns = "availability.maintenance.every_h is null: no machine has a turn"
    yield Rule(asked.maintenance.every_h is not None, turns, ("availability.maintenance.duration_h",))


def _of_schedule(scenario: Scenario) -> Iterator[Rule]:
    """Keys of a plan over time that provide for what it is not asked to expect."""
    section = scenario.schedule
    assert section is not None
    sure = "schedule.forecast_sigma_frac is 0: the forecast is taken to be right"
    yield Rule(section.forecast_sigma_frac > 0, sure, ("schedule.confidence_frac",))
    kept = "schedule.interruptions_per_h_ratio is 0: no machine is taken away"
    yield Rule(section.interruptions_per_h_ratio > 0, kept, ("schedule.spare_confidence_frac",))


def _of_row(scenario: Scenario) -> Iterator[Rule]:
    """Keys of controls that may not be chosen."""
    asked = scenario.power
    names = CONTROLS if asked.policy == ANY else listed(asked.policy)
    polca, one = "polca" in names, any(name.startswith("one-threshold") for name in names)
    who = f"under power.policy {', '.join(names)}"
    two = ("power.t1_frac", "power.t2_frac", "power.low_t1_mhz", "power.high_mhz")
    yield Rule(polca, f"{who} no row has two thresholds", two)
    yield Rule(one, f"{who} no row has one threshold", ("power.threshold_frac",))
    yield Rule(polca or one, f"{who} no clock is lowered before the brake", ("power.low_t2_mhz",))
    ends = "power.week_s ends before a weekend"
    yield Rule(asked.load.weekend_ratio == 1 or asked.week_s > _WORKING_DAYS_S, ends, ("power.load.weekend_ratio",))


def _given(part: BaseModel, dotted: str) -> Iterator[tuple[str, str]]:
    """A key, or the keys of a section, that differ from their defaults, and what stands there."""
    holder, _, name = dotted.rpartition(".")
    for step in filter(None, holder.split(".")):
        part = getattr(part, step)
    field, found = type(part).model_fields[name], getattr(part, name)
    if found == field.get_default(call_default_factory=True):
        return
    if isinstance(found, BaseModel):
        for each in type(found).model_fields:
            yield from ((f"{holder}.{key}" if holder else key, shown) for key, shown in _inside(found, name, each))
    else:
        yield dotted, spelled(found)


def _inside(section: BaseModel, name: str, each: str) -> Iterator[tuple[str, str]]:
    """A key of a section that differs from its default."""
    yield from ((f"{name}.{key}", shown) for key, shown in _given(section, each))


def spelled(value: object) -> str:
    """A value as a scenario has it, where it is short."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float | str) else "a value"
