"""Splitwise (Patel et al., ISCA'24): its comparisons, repeated with our simulator."""

from collections.abc import Callable, Sequence

from planner.reproduce import splitwise_claims as paper
from planner.reproduce.claims import Claim, Figure, Reproduction
from planner.reproduce.lab import Lab
from planner.reproduce.readings import AS_MEASURED, AS_PUBLISHED, CURRENT, reading
from planner.reproduce.splitwise_figures import figures
from planner.reproduce.today import today
from planner.scenario.designs import A100, H100, H100_CAPPED

PUBLISHED = (AS_PUBLISHED, AS_MEASURED)
READINGS = (*PUBLISHED, CURRENT)
MODEL, OTHER_MODEL = "bloom-176b", "llama-2-70b"

Progress = Callable[[str, float], None]

CHAPTERS = (
    paper.coding, paper.throughputs, paper.headlines, paper.iso_throughput, paper.setback, paper.batch_jobs,
    paper.occupied, paper.transfers,
)  # fmt: skip


def splitwise(readings: Sequence[str], *, progress: Progress, drawn: bool = False) -> Reproduction:
    """Every claim under every reading asked for, counts and prices first.

    Args:
        readings: of ``READINGS``.
        progress: takes what is being measured, and the share that is done.
        drawn: whether the published figures are drawn, too.
    """
    claims: list[Claim] = list(paper.arithmetic())
    shown: list[Figure] = []
    for i, name in enumerate(readings):
        begin, span = i / len(readings), 1 / len(readings)
        if name == CURRENT:
            claims += today(lambda message, frac, b=begin, s=span: progress(message, b + s * frac))  # type: ignore[misc]
            continue
        done = begin
        lab, other = (
            Lab(reading(name, model, (A100, H100, H100_CAPPED)), lambda message: progress(message, done))  # noqa: B023
            for model in (MODEL, OTHER_MODEL)
        )
        for k, chapter in enumerate(CHAPTERS):
            done = begin + span * k / len(CHAPTERS)
            claims += chapter(lab)
        shown += figures(lab, other) if drawn else ()
    return Reproduction(claims=tuple(claims), figures=tuple(shown))
