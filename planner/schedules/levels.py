"""What epochs need, learned from a few of them alone, before all are planned together.

Between the busiest and the quietest epoch some are planned without the others, served, and provided for more, class by
class, until every objective is met, then for less as far as it still is. Epochs between them are provided for between.
It costs a small program and a short simulation each, where a round of all epochs costs hundreds.
"""

from collections.abc import Mapping

import numpy as np

from planner.results.evidence import Judgement
from planner.results.schedule import Run
from planner.schedules.groups import Progress
from planner.schedules.programs import solved
from planner.schedules.provision import Provided, growth, level
from planner.schedules.question import Opened, alone
from planner.schedules.serving import Serving
from workloads.load import Floats

LEVELS = 4
"""Epochs that are looked at alone, from the busiest down, at even distances of the rate."""

MOST_RAISES = 10
"""How often an epoch is provided for more before what it has is taken."""

HALVINGS = 2
"""How often an epoch is tried with less, half-way between what is too little and what is enough."""

FEWEST_EPOCHS = 5
"""Fewer epochs are served as often anyway."""


def learned(asked: Opened, serving: Serving, progress: Progress) -> dict[str, Floats]:
    """(epochs,) rate to provide for over the peak, by class; instances full everywhere where nothing is learned."""
    brim, peaks = asked.case.scenario.headroom.mixed_frac, asked.load.peak_req_per_s
    total = np.sum(list(peaks.values()), axis=0)
    if asked.section.load == "trace" or len(set(total.tolist())) < FEWEST_EPOCHS:
        return level(peaks, brim)
    looked, ratios = list[int](), list[dict[str, float]]()
    start = dict.fromkeys(peaks, brim)
    for done, epoch in enumerate(_levels(total)):
        progress(f"epoch {epoch} alone", done / LEVELS)
        start = _enough(asked, serving, epoch, start)
        looked.append(epoch)
        ratios.append(start)
    order = np.argsort(total[looked], kind="stable")
    known = total[looked][order]
    return {name: np.interp(total, known, np.array([ratios[at][name] for at in order])) for name in peaks}


def _levels(total: Floats) -> list[int]:
    """Epochs of the highest rate, of the lowest that is any, and between."""
    there = np.flatnonzero(total > 0)
    rates = np.linspace(float(total[there].max()), float(total[there].min()), LEVELS)
    return list(dict.fromkeys(int(there[np.argmin(np.abs(total[there] - rate))]) for rate in rates))


def _enough(asked: Opened, serving: Serving, epoch: int, start: Mapping[str, float]) -> dict[str, float]:
    """The least that was found to be enough for an epoch, by class."""
    brim = asked.case.scenario.headroom.mixed_frac
    much, little = dict(start), dict.fromkeys(start, brim)
    for _ in range(MOST_RAISES):
        said = _seen(asked, serving, epoch, much)
        if said is None or said.valid:
            break
        little, much = much, {name: much[name] * ratio for name, ratio in growth(said, much).items()}
    for _ in range(HALVINGS):
        middle = {name: (little[name] * much[name]) ** 0.5 for name in much}
        if max(much[name] / middle[name] for name in much) < 1.01:
            break
        said = _seen(asked, serving, epoch, middle)
        if said is not None and said.valid:
            much = middle
        else:
            little = middle
    return much


def _seen(asked: Opened, serving: Serving, epoch: int, ratios: Mapping[str, float]) -> Judgement | None:
    """What the simulator says of an epoch that is planned alone; None where no pools provide for so much."""
    runs = planned_alone(asked, epoch, {name: np.full(asked.load.epochs, ratio) for name, ratio in ratios.items()})
    return serving.alone(runs, epoch, brief=True) if runs else None


def planned_alone(asked: Opened, epoch: int, provided: Provided) -> tuple[Run, ...]:
    """The pools of an epoch that is planned alone; none where there are none."""
    question = alone(asked, epoch, provided)
    made = solved(asked, question).schedule()
    return made.epochs[0].runs if made else ()
