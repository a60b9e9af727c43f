"""Tiers of a workload: classes that requests are sorted into by label, share or length, and that go by priority."""

from planner.errors import nearest
from planner.scenario import Scenario
from workloads.demand import Demand
from workloads.requests import RequestClass
from workloads.traces import Trace


def wanted_labels(scenario: Scenario) -> str | None:
    """The column of labels that has to be read; None where no class has a label."""
    labelled = any(kind.label is not None for kind in scenario.classes())
    return scenario.workload.label_column if labelled else None


def label_problems(scenario: Scenario, trace: Trace | None) -> tuple[str, ...]:
    """Labels that no request can have or has, a sentence each.

    Args:
        scenario: the question.
        trace: the file as it was read, where requests are replayed; None where they are drawn.
    """
    workload, found = scenario.workload, list[str]()
    labels = {kind.name: kind.label for kind in scenario.classes() if kind.label is not None}
    if not labels and workload.label_column != "auto":
        found.append(
            f"workload.label_column: found {workload.label_column}, but no class has a label; expected "
            "workload.classes[].label"
        )
    if labels and trace is None:
        words = ", ".join(f"{name} ({label})" for name, label in labels.items())
        found.append(
            f"workload.classes: found labels of {words}, but requests are drawn; expected a trace file that is "
            "replayed, classes[].share_frac, or ranges of lengths"
        )
    known = [] if trace is None or trace.labels is None else sorted({str(each) for each in trace.labels})
    found += [
        f"workload.classes: {name}: no request has the label '{label}'; {nearest(label, known)}"
        for name, label in labels.items()
        if known and label not in known
    ]
    return tuple(found)


def empty_tiers(scenario: Scenario, asked: Demand) -> tuple[str, ...]:
    """Classes with objectives, a priority or a share of their own that no request is in, a sentence each."""
    there = {part.request_class.name: part for part in asked.classes}
    matters = {name for name, slos in scenario.slo_by_class.items() if slos}
    empty = [
        kind
        for kind in scenario.classes()
        if kind.name not in there and (kind.name in matters or kind.priority or kind.share_frac is not None)
    ]
    if not empty:
        return ()
    spans = "; ".join(
        f"{name} has prompts of {int(part.prompt_tokens.min()):,} to {int(part.prompt_tokens.max()):,} tokens"
        for name, part in there.items()
    )
    return tuple(
        f"workload.classes: {kind.name}: no request is in it ({_ranges(kind)}); expected at least one: {spans}"
        for kind in empty
    )


def _ranges(kind: RequestClass) -> str:
    """What holds the requests of a class, in words."""
    (low, high), (least, most) = kind.ranges
    parts = [] if kind.label is None else [f"label '{kind.label}'"]
    parts += [f"prompts of {low:,g} to {high:,g} tokens"] if (low, high) != (0, float("inf")) else []
    parts += [f"outputs of {least:,g} to {most:,g} tokens"] if (least, most) != (0, float("inf")) else []
    return ", ".join(parts) or "what the classes before it leave"


def tier_words(scenario: Scenario) -> str:
    """Who goes first, in words; empty where all classes have the same priority."""
    tiers: dict[int, list[str]] = {}
    for kind in scenario.classes():
        tiers.setdefault(kind.priority, []).append(kind.name)
    ordered = [" and ".join(names) for _, names in sorted(tiers.items(), reverse=True)]
    return f", {' before '.join(ordered)}" if len(ordered) > 1 else ""
