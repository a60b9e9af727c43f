"""What may fail, as the rule that spare machines follow: rates of machines, racks and domains, each with its source."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from hw_catalog.domains import load_power_delivery
from hw_catalog.machines import Machine
from planner.capacity.envelope import Option
from planner.capacity.redundancy import Reliability, Rule
from planner.perf.layout import Role
from planner.policies.presets import NAMES, policy
from planner.resolve.interruptions import missing_frac
from planner.scenario import Scenario
from planner.scenario.availability_section import AvailabilitySection
from planner.scenario.choices import listed
from workloads.counts import percent, plural

NINES = (0.99, 0.999, 0.9999)
"""Shares of time that are priced beside the one asked for."""

MOST_DOMAINS = 3
"""Domains that are looked at where the scenario does not say over how many a plan is spread."""


def down_frac(mtbf_h: float, mttr_h: float) -> float:
    """Share of the time that something is down: MTTR/(MTBF + MTTR)."""
    return mttr_h / (mtbf_h + mttr_h)


def rule_of(scenario: Scenario, target_frac: float | None = None) -> Rule:
    """What the scenario asks of the machines of a plan together.

    Args:
        scenario: the question.
        target_frac: to ask for this share of time instead of the scenario's.

    Returns:
        The rule, over as few domains as its share of time needs where the scenario names none.
    """
    asked = scenario.availability
    rack, domain = asked.rack, asked.domain
    target = target_frac if target_frac is not None else asked.target_frac or 0.0
    rule = Rule(
        target_frac=target, spares=dict(asked.spares), objective=scenario.objective,
        rack_machines=rack.machines or load_power_delivery().hierarchy.machines,
        rack_down_frac=down_frac(rack.mtbf_h, rack.mttr_h), rack_failures_per_h=1 / rack.mtbf_h,
        domains=domain.count or 1, domain_down_frac=down_frac(domain.mtbf_h, domain.mttr_h),
        domain_failures_per_h=1 / domain.mtbf_h,
    )  # fmt: skip
    if domain.count is None:
        while not rule.reachable() and rule.domains < MOST_DOMAINS:
            rule = replace(rule, domains=rule.domains + 1)
    return rule


def reliability_of(scenario: Scenario, machine: Machine, rule: Rule) -> Reliability:
    """How often a machine of a type is gone."""
    asked = scenario.availability
    mtbf_h = asked.machine.mtbf_h or asked.machine.gpu_mtbf_h / machine.gpus
    taken_per_h = asked.spot.interruptions_per_h if scenario.catalog.channel == "spot" else 0.0
    up_frac = (1 - down_frac(mtbf_h, asked.machine.mttr_h)) * (1 - missing_frac(taken_per_h, asked.spot.start_s))
    return Reliability(
        down_frac=1 - up_frac, failures_per_h=1 / mtbf_h + taken_per_h,
        maintained_frac=asked.maintenance.share_frac, rule=rule,
    )  # fmt: skip


def reliable(scenario: Scenario, options: Iterable[Option], rule: Rule) -> tuple[Option, ...]:
    """Options whose machines fail, and need others on top as a rule says."""
    return tuple(replace(o, reliability=reliability_of(scenario, o.machine, rule)) for o in options)


def availability_problems(scenario: Scenario) -> tuple[str, ...]:
    """What no number of machines could give."""
    asked = scenario.availability
    absent = tuple(_absent_roles(scenario))
    return (*absent, *_unreachable(asked, rule_of(scenario))) if asked.target_frac is not None else absent


def _absent_roles(scenario: Scenario) -> Iterator[str]:
    """Spares of roles that no pool has under any policy allowed; one number for all roles is of every pool."""
    spares, names = scenario.availability.spares, listed(scenario.policy.name)
    if set(spares) == set(Role) and len(set(spares.values())) == 1:
        return
    grouped = max(scenario.catalog.kvp) > 1  # long contexts may be served beside the others
    names = NAMES if "auto" in names else names
    roles = dict.fromkeys(role for name in names for role in policy(name, scenario.policy, long=grouped).roles)
    for role in (role for role, count in spares.items() if count and role not in roles):
        yield (
            f"availability.spares: found {role}; expected {' or '.join(roles)}, the roles of pools under policy.name "
            f"{', '.join(names)}"
        )


def _unreachable(asked: AvailabilitySection, rule: Rule) -> Iterator[str]:
    """A share of time beyond that in which any domain is up."""
    if not rule.reachable():
        most = 1 - rule.domain_down_frac**rule.domains
        more = f"availability.domain.count above {rule.domains}, " if asked.domain.count else ""
        yield (
            f"availability.target_frac: found {rule.target_frac:g}; expected below {most:.6g}, the share of time in "
            f"which one of {plural(rule.domains, 'domain')} is up, {more}or a longer availability.domain.mtbf_h"
        )


def assumptions(scenario: Scenario, each: Mapping[str, Reliability], rule: Rule) -> tuple[str, ...]:
    """What the share of time follows from, full sentences.

    Args:
        scenario: the question.
        each: machine type -> how often one is gone.
        rule: of the plan.
    """
    asked, given = scenario.availability, scenario.availability.model_fields_set
    gpu = "your own" if "machine" in given else "measured on H100 training (419 failures of 16,384 GPUs in 54 days; "
    gpu += "" if "machine" in given else "arXiv 2407.21783, second-hand), transferred; repair time assumed"
    dean = "measured on CPU clusters of 2008 (J. Dean, Google I/O 2008, second-hand), transferred"
    found = [
        f"{name}: one fails every {1 / rates.failures_per_h:,.0f} h and is down {percent(rates.down_frac)} of the time"
        for name, rates in sorted(each.items())
    ]
    found.append(f"machines: back after {asked.machine.mttr_h:g} h; rates {gpu}")
    found.append(
        f"racks of {plural(rule.rack_machines, 'machine')}: {asked.rack.mtbf_h:,.0f} h between failures, "
        f"{asked.rack.mttr_h:g} h down; {'your own' if 'rack' in given else dean}; pools are spread evenly over the "
        "racks"
    )
    found.append(
        f"domains: {rule.domains}, racks spread evenly; {asked.domain.mtbf_h:,.0f} h between failures, "
        f"{asked.domain.mttr_h:g} h down; {'your own' if 'domain' in given else dean}"
    )
    if scenario.catalog.channel == "spot":
        found.append(
            f"spot: taken back {asked.spot.interruptions_per_h:g} times an hour, another serves after "
            f"{asked.spot.start_s:g} s ({'your own' if 'spot' in given else 'assumed'}); one at a time"
        )
    if asked.maintenance.every_h:
        found.append(
            f"maintenance: {percent(asked.maintenance.share_frac)} of each pool's machines are out of service by "
            "turns, their requests moved before"
        )
    found.append("machines fail independently of each other apart from racks and domains, and of the load")
    return tuple(found)
