"""DynamoLLM (HPCA'25): its comparison over load and over a week, repeated with schedules that are simulated."""

from collections.abc import Callable, Iterator

import numpy as np

from planner.reproduce.claims import Claim, Reproduction, claim
from planner.reproduce.dynamollm_lab import PEAK_SERVERS, Lab, day_hours, open_lab, total_req_per_s
from planner.results.schedule import Schedule
from workloads.load import Floats

Progress = Callable[[str, float], None]

SOURCE = "DynamoLLM, HPCA'25 (arXiv 2408.00741), second-hand"
GPU_ONLY = "llama-2-70b on DGX-H100, GPU energy only"
WALL = "the same, energy at the wall"
BUSY = "the same, the three busiest hours alone, GPU energy above idle"
BUSY_HOURS = 3
LEVELS = {"low": 0.25, "medium": 0.55, "high": 0.9}
"""Level of a steady load -> share of what the single pool was bought for; not published, assumed."""
POINTS = 0.10
"""Within which a saving counts as reproduced: ten points, as the shape is what can be compared."""
CARBON_G_PER_KWH = (300.0, 290.0, 280.0, 280.0, 290.0, 310.0, 320.0, 280.0, 200.0, 130.0, 100.0, 90.0, 85.0, 85.0, 95.0,
                    120.0, 180.0, 270.0, 340.0, 360.0, 350.0, 340.0, 330.0, 310.0)  # fmt: skip
"""A day with much sun in the grid, by hour; assumed, of the size recalled for California."""
KNOBS = (("ScaleFreq", "clock", 0.19), ("ScaleShard", "TP", 0.07), ("ScaleInst", "instances", 0.041))
"""Control, its knob, and the published saving."""


def dynamollm(*, progress: Progress) -> Reproduction:
    """Every claim, by load first, then of the week.

    Args:
        progress: takes what is being run, and the share that is done.
    """
    progress("conversation", 0.0)
    lab = open_lab("conversation", lambda words, done: progress(f"conversation: {words}", 0.5 * done))
    claims = [*_by_load(lab), *_single_knobs(lab), *_busy_knobs(lab), *_of_the_week(lab, "conversation", 0.47)]
    coding = open_lab("coding", lambda words, done: progress(f"coding: {words}", 0.5 + 0.5 * done))
    claims += _of_the_week(coding, "coding", 0.56)
    claims += _of_the_fleet(lab)
    claims += [
        _claim("more energy with 40 % of lengths mispredicted, share", 0.13, None, 0.05,
               "the program knows each request's class"),
        _claim("energy, cost and carbon saved in one experiment", None, None, 0.0, "the headlines come from several"),
    ]  # fmt: skip
    return Reproduction(claims=tuple(claims))


def _claim(
    name: str, paper: float | None, ours: float | None, tolerance: float, note: str, *, reading: str = GPU_ONLY
) -> Claim:
    return claim(name, paper, ours, tolerance, source=SOURCE, reading=reading, note=note)


def _by_load(lab: Lab) -> Iterator[Claim]:
    """Steady loads, all knobs against the single pool."""
    paper = {"low": 0.51, "medium": 0.40, "high": 0.234}
    ours = {name: lab.steady_saved_frac(level) for name, level in LEVELS.items()}
    falls = float(ours["low"] > ours["medium"] > ours["high"])
    yield _claim("savings fall as the load rises (1: yes)", 1.0, falls, 0.0, "low > medium > high, against SinglePool")
    for name, level in LEVELS.items():
        note = f"a steady load of {100 * level:.0f} % of what SinglePool was bought for"
        yield _claim(f"energy saved at {name} load, share", paper[name], ours[name], POINTS, note)


def _single_knobs(lab: Lab) -> Iterator[Claim]:
    """One knob that follows the load, the others as in the pools of each class."""
    ours = {name: lab.saved_frac(name, "MultiPool") for name, _, _ in KNOBS}
    note = "conversation, each against MultiPool, from which it differs in one knob"
    ordered = float(ours["ScaleFreq"] > ours["ScaleShard"] > ours["ScaleInst"])
    yield _claim("one knob alone: clock > TP > instances (1: yes)", 1.0, ordered, 0.0, note)
    above = float(ours["ScaleFreq"] > ours["ScaleShard"])
    yield _claim("one knob alone: clock > TP (1: yes)", 1.0, above, 0.0, note)
    for name, words, paper in KNOBS:
        yield _claim(f"energy saved by {words} alone, share", paper, ours[name], 0.05, note)


def _busy_knobs(lab: Lab) -> Iterator[Claim]:
    """The same three in the hours that the fleet was bought for, and only of what GPUs draw above idle."""
    hours = np.argsort(-total_req_per_s(lab.classes), kind="stable")[:BUSY_HOURS].tolist()

    def above_j(found: Schedule) -> float:
        idle_j = lab.gpus_idle_w * found.epoch_s
        mine = [found.epochs[hour] for hour in hours]
        return float(sum(each.energy_j - idle_j * sum(each.machines.values()) for each in mine))

    base_j = above_j(lab.planned("MultiPool"))
    ours = {name: 1 - above_j(lab.planned(name)) / base_j for name, _, _ in KNOBS}
    note = f"the {BUSY_HOURS} hours with most requests, energy above what idle GPUs draw, against MultiPool"
    ordered = float(ours["ScaleFreq"] > ours["ScaleShard"] > ours["ScaleInst"])
    yield _claim("one knob alone: clock > TP > instances (1: yes)", 1.0, ordered, 0.0, note, reading=BUSY)
    for name, words, paper in KNOBS:
        yield _claim(f"energy saved by {words} alone, share", paper, ours[name], 0.05, note, reading=BUSY)


def _of_the_week(lab: Lab, service: str, paper: float) -> Iterator[Claim]:
    """What all knobs save of a service, beside what the core says of its hours."""
    name, note = f"energy saved in a week of {service}, share", f"against SinglePool; {_evidence(lab)}"
    yield _claim(name, paper, lab.saved_frac("DynamoLLM"), POINTS, note)
    yield _claim(name, None, lab.saved_at_the_wall_frac(), 0.0, note, reading=WALL)


def _evidence(lab: Lab) -> str:
    """Hours in which every objective is met, of all knobs and of the single pool; and metered over planned watts."""
    hours = lab.found.served
    base = lab.served("SinglePool", int(np.argmax(total_req_per_s(lab.classes))))
    watts = [each.watts_ratio for each in (*hours, base) if each.watts_ratio is not None]
    answer = "yes" if base.valid else "no"
    good = sum(len(each.epochs) for each in hours if each.valid)
    return (
        f"every objective met in {good} of {lab.classes.load.epochs} hours, by SinglePool in the busiest: {answer}; "
        f"metered over planned watts {min(watts):.2f} to {max(watts):.2f}"
    )


def _of_the_fleet(lab: Lab) -> Iterator[Claim]:
    """Servers, carbon and power of conversation."""
    ours, base = lab.planned("DynamoLLM"), lab.planned("SinglePool")
    note = f"conversation; SinglePool has {PEAK_SERVERS}"
    yield _claim("servers of DynamoLLM, mean of the week", 24.6, ours.powered_machines, 2.5, note)
    fewer = 1 - ours.powered_machines / base.powered_machines
    yield _claim("fewer servers, share (the cost saving)", 0.385, fewer, POINTS, "machine-hours; prices cancel")
    hourly = np.array([CARBON_G_PER_KWH[hour % 24] for hour in day_hours("conversation")])
    grams = {name: float(_power_w(found) @ hourly) for name, found in (("o", ours), ("b", base))}
    carbon = 1 - grams["o"] / grams["b"]
    yield _claim("carbon saved, share", 0.38, carbon, POINTS, "conversation; the hours' intensity is assumed")
    for percentile, paper, within in ((50.0, 0.43, POINTS), (99.0, 0.09, 0.05)):
        less = 1 - float(np.percentile(_power_w(ours), percentile)) / float(np.percentile(_power_w(base), percentile))
        yield _claim(f"less power at P{percentile:g}, share", paper, less, within, "all GPUs, means of hours")


def _power_w(found: Schedule) -> Floats:
    """(epochs,) mean draw of all GPUs."""
    return np.array([epoch.energy_j for epoch in found.epochs]) / found.epoch_s
