"""What measured runs say of the numbers behind a plan."""

from hw_catalog.bands import INSIDE_FRAC, load_bands
from planner.resolve.case import Case
from planner.results.plan import CandidatePlan

_WORDS = (("ttft_mean_s", "to the first token"), ("tpot_mean_s", "per token"))


def measured_against(case: Case, candidate: CandidatePlan) -> tuple[str, ...]:
    """A line for every set of kernel tables and GPU of a plan: how far measured runs were off what they predict."""
    bands = load_bands()
    lines = []
    used = {(p.profile_set, p.gpu) for p in (case.profiles[pool.spec.name] for pool in candidate.pools)}
    for profile_set, gpu in sorted(used):
        found = [(words, b) for metric, words in _WORDS if (b := bands.get((profile_set, gpu, metric)))]
        if not found:
            lines.append(f"measured runs: none or too few to compare {profile_set} on {gpu} with")
            continue
        told = ", ".join(f"{b.low_ratio:.2f} to {b.high_ratio:.2f} times as long {words}" for words, b in found)
        runs, models = max(b.n for _, b in found), max(b.models for _, b in found)
        lines.append(
            f"measured runs: {runs} of {models} models with {profile_set} on {gpu} took {told} as predicted "
            f"({INSIDE_FRAC:.0%} of them; docs/accuracy.md)"
        )
    return tuple(lines)
