"""Where the numbers of a plan come from, how far off they were, and which options were not offered."""

from collections.abc import Iterator, Mapping, Sequence

from planner.report.html.drawings import stacked
from planner.report.page import Drawing, Lines, Section, section
from planner.results.evidence import Excuse, ValidatedPlan
from workloads.counts import percent, plural

_HUES = {"measured": "c2", "derived": "c0", "transferred": "c4", "vendor": "c5", "assumed": "c1", "calibrated": "c3"}


def sources(*plans: ValidatedPlan, names: Sequence[str] = ()) -> Iterator[Section]:
    """Where the numbers come from, and how far off they were.

    Args:
        plans: of one model, or of several: a source of more than one is told once.
        names: of several models.
    """
    named = dict(zip([f"{name}: " for name in names] or [""], plans, strict=True))
    shares = {name or "input numbers": _shares(plan.provenance) for name, plan in named.items()}
    rows = [(f"{name.removesuffix(': ')}", [(kind, share, _HUES.get(kind, "c6")) for kind, share in parts])
            for name, parts in shares.items()]  # fmt: skip
    words = {name: ", ".join(f"{percent(share)} {kind}" for kind, share in _shares(plan.provenance))
             for name, plan in named.items()}  # fmt: skip
    told = (f"{name}Accuracy: {line} (docs/accuracy.md)." for name, plan in named.items() for line in plan.accuracy)
    lines = (*told, *(f"{name}Input numbers: {each}." for name, each in words.items()))
    drawing = Drawing(svg=stacked(rows, f"input numbers: {'; '.join(words.values())}"))
    yield from section(
        "sources", "Sources and accuracy", drawing, Lines(lines=lines),
        Lines(lines=_once(plan.sources for plan in plans), bullets=True),
        *(refused(plan.excuses, name) for name, plan in named.items()),
    )  # fmt: skip


def _shares(provenance: Mapping[str, float]) -> list[tuple[str, float]]:
    """Kinds of sources, the largest share first."""
    return sorted(provenance.items(), key=lambda item: (-item[1], item[0]))


def _once(lists: Iterator[Sequence[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(line for each in lists for line in each))


def refused(excuses: Sequence[Excuse], name: str = "") -> Lines:
    """The options that were not offered, folded away."""
    kinds = sorted({excuse.bottleneck for excuse in excuses})
    counts = ", ".join(f"{kind} {sum(excuse.bottleneck == kind for excuse in excuses)}" for kind in kinds)
    named = f": {counts}; `check` names each" if excuses else ""
    return Lines(
        lines=tuple(f"{e.option} ({e.bottleneck}): {e.reason}" for e in excuses), bullets=True,
        folded=f"{name}{plural(len(excuses), 'option')} never offered" + named,
    )  # fmt: skip
