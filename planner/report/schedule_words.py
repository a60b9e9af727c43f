"""A plan over time in words: money and watts, the fixed fleet beside it, what the simulator said."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from planner.perf.layout import Role
from planner.results.evidence import Verdict
from planner.results.schedule import Epoch, FixedFleet, OneKnob, Spent
from planner.results.timetable import Served, Timetable, Tried, watts_ratios, way_words
from planner.scenario import Scenario
from planner.scenario.fleet import Fleet
from workloads.counts import number, percent, plural, watts

_BARS = " ▁▂▃▄▅▆▇█"
J_PER_KWH = 3.6e6
_WHOLE = 999.45
"""From here on a tenth more would be told as a whole number."""
_NAMED = 3
"""Alternatives that are told one by one."""


def load_words(epochs: Sequence[Epoch], scenario: Scenario | Fleet) -> str:
    """What is served: ``epoch peaks of 3.2 to 40 req/s of llama-3.1-70b, azure-conv-2023``; of each model."""
    several = isinstance(scenario, Fleet)
    parts = scenario.parts() if isinstance(scenario, Fleet) else {"": scenario}
    told = []
    for name, part in parts.items():
        peaks = [_started(epoch, name if several else None) for epoch in epochs]
        low, high = number(min(peaks)), number(max(peaks))
        trace = f", {Path(part.workload.trace).name}" if part.workload.trace else ""
        told.append(f"{low if low == high else f'{low} to {high}'} req/s of {part.model.name}{trace}")
    return f"epoch peaks of {'; '.join(told)}"


def _started(epoch: Epoch, model: str | None) -> float:
    """Requests per second of an epoch, of one of several models; one that is split is counted where it starts."""
    runs = (run for run in epoch.runs if run.spec.role is not Role.DECODE and model in (None, run.model))
    return sum(sum(run.rate_req_per_s.values()) for run in runs)


def spent_words(spent: Spent) -> str:
    """For example ``$1,007, 282 kWh, 107.2 kg CO2``."""
    return f"${spent.cost_usd:,.0f}, {tenths(spent.energy_j / J_PER_KWH)} kWh, {tenths(spent.carbon_g / 1000)} kg CO2"


def tenths(value: float) -> str:
    """A number with a tenth where it is small; rounded once, so that it is the same wherever it is told whole."""
    return number(value if abs(value) >= _WHOLE else round(value, 1))


def against_the_simulator(found: Spent | None, served: Sequence[Served]) -> str:
    """What the schedule comes to with metered watts, and how far planned watts were off; nothing if not known."""
    ratios = [ratio for ratio in watts_ratios(served).values() if ratio is not None]
    if found is None or not ratios:
        return ""
    least, most = min(ratios) - 1, max(ratios) - 1
    off = f"{100 * least:+.1f} to {100 * most:+.1f} %"
    return f"{spent_words(found)}; wall power of served epochs {off} against plan"


def against_fixed(found: Spent | None, fixed: FixedFleet | None) -> str:
    """What the schedule saves against the fixed fleet for the peak; nothing where there is none to compare with."""
    if found is None or fixed is None:
        return ""
    doubt = "" if fixed.valid else "; in an epoch that was served it misses an objective"
    doubt += f"; it takes no place of the schedule: {fixed.outside}" if fixed.outside else ""
    fleet = f"{fleet_words(fixed)}, never changed, {spent_words(fixed.spent)}{doubt}"
    return f"{fleet}; against it the schedule {_changes(found, fixed.spent)}"


def against_one_knob(planned: Spent, knobs: Sequence[OneKnob]) -> str:
    """What the schedule saves against the best that moves one knob, both as planned; nothing where none is moved."""
    if not knobs:
        return ""
    best = knobs[0]
    told = ", ".join(f"{each.knob} {spent_words(each.spent)}" for each in knobs)
    return f"{told} (planned, not simulated); against {best.knob} alone the schedule {_changes(planned, best.spent)}"


def _changes(found: Spent, against: Spent) -> str:
    """What money, energy and CO2 are against others, a verb said once: ``saves 25 % of the money, 32 % of the CO2``."""
    names = (("money", "cost_usd"), ("energy", "energy_j"), ("CO2", "carbon_g"))
    told = [saved_words(getattr(found, key), getattr(against, key), word) for word, key in names]
    verbs = [words.partition(" ")[0] for words in told]
    return ", ".join(
        words.partition(" ")[2] if at and verbs[at] == verbs[at - 1] else words for at, words in enumerate(told)
    )


def saved_words(value: float, against: float, word: str) -> str:
    """For example ``saves 12.3 % of the energy``, ``takes 4.0 % more money`` or ``takes the same money``."""
    saved_pct = round(100 * (1 - value / against), 1) if against else 0.0
    if not saved_pct:
        return f"takes the same {word}"
    return f"saves {saved_pct:.1f} % of the {word}" if saved_pct > 0 else f"takes {-saved_pct:.1f} % more {word}"


def fleet_words(fixed: FixedFleet) -> str:
    """For example ``3 dgx-h100 (6 x tp4/chunk1024/1200mhz)``."""
    machines = ", ".join(f"{count} {name}" for name, count in fixed.machines.items())
    pools = Counter[str]()
    for run in fixed.runs:
        pools[f"{f'{run.model}: ' * bool(run.model)}{run.spec.name.split('/', 2)[2]}"] += run.instances
    return f"{machines} ({', '.join(f'{count} x {name}' for name, count in pools.items())})"


def said(each: Served) -> str:
    """What the simulator said of an epoch."""
    if each.valid:
        return "met"
    words = [f"{e.key} {e.words}" for e in each.evidence if e.verdict is not Verdict.MET]
    counted = ((each.unfinished, "unfinished"), (each.refused, "refused"))
    words += [f"{count} {word}" for count, word in counted if count]
    words += [f"{watts(each.excess_w)} above budgets.expected_power_w"] if each.excess_w else []
    return ", ".join(words) or "a growing backlog"


def spans(epochs: Sequence[int]) -> str:
    """For example ``3-7, 12``."""
    parts, begin = [], 0
    for at in range(1, len(epochs) + 1):
        if at == len(epochs) or epochs[at] != epochs[at - 1] + 1:
            first, last = epochs[begin], epochs[at - 1]
            parts.append(f"{first}" if first == last else f"{first}-{last}")
            begin = at
    return ", ".join(parts)


def served_words(found: Timetable) -> str:
    """How many epochs were served, and how they fared, in a sentence."""
    if not found.served:
        return "no epoch was served by the simulator"
    different = {each.epochs for each in found.served}
    count = sum(len(epochs) for epochs in different)
    missed = {epoch for each in found.served if not each.valid for epoch in each.epochs}
    near = max(found.served, key=lambda each: each.tightness_ratio)
    of = f" of {near.model}" if near.model else ""
    told = f"an objective or budget missed in {spans(sorted(missed))}" if missed else "every objective met"
    rest = f"; {len(found.unserved)} more rest on the same capacities" if found.unserved else ""
    more = sum(any(ratio > 1 for ratio in each) for each in zip(*found.provided_ratio.values(), strict=True))
    tight = f"; {plural(more, 'epoch')} {'provides' if more == 1 else 'provide'} for more than the peak" if more else ""
    return (
        f"the simulator served {plural(count, 'epoch')} ({len(different)} different) at their peak, with the "
        f"changes into them, {told}; nearest to a limit is epoch {near.epochs[0]}{of} at "
        f"{percent(near.tightness_ratio)}{rest}{tight}"
    )


def sparkline(values: Sequence[float], most: float) -> str:
    """One bar per value, in eighths of ``most``."""
    return "".join(_BARS[min(8, round(8 * value / most))] if most else " " for value in values)


def tried_words(found: Timetable) -> list[str]:
    """What other precisions, engines and policies came to, a line each: the cheapest, and how many more there are."""
    others = [each for each in found.tried if (each.variant, way_words(each.policy)) != (found.variant, found.policies)]
    order = sorted(others, key=lambda each: float("inf") if each.cost_usd is None else each.cost_usd)
    lines = [f"{_way(each)}: {_came_to(each)}" for each in order[:_NAMED]]
    left = [_came_to(each) for each in order[_NAMED:]]
    counts = ", ".join(f"{left.count(words)} with {words}" for words in dict.fromkeys(left))
    return [*lines, *([f"{len(left)} more: {counts}"] if left else [])]


def _way(each: Tried) -> str:
    return way_words(each.policy) + (f", {each.variant.words}" if each.variant else "")


def _came_to(each: Tried) -> str:
    if not each.simulated:
        return "no better by its proven bound" if each.cost_usd is None and each.bound is not None else "no schedule"
    told = "no schedule" if each.cost_usd is None else f"${each.cost_usd:,.2f}"
    return told if each.valid else f"{told}, not validated"
