"""What measured runs say of the numbers behind a plan."""

from collections.abc import Mapping, Sequence

from hw_catalog.bands import INSIDE_FRAC, ONE, SPLIT, WIDEST_RATIO, ErrorBand, Key, band_of, load_bands
from planner.perf.layout import Role
from planner.resolve.case import Case
from planner.results.plan import CandidatePlan, Pool
from workloads.counts import percent, plural

_WORDS = (("ttft_mean_s", "TTFT"), ("tpot_mean_s", "TPOT"))


def measured_against(case: Case, candidate: CandidatePlan) -> tuple[str, ...]:
    """A line for every set of kernel tables, GPU and model of a plan: measured latencies in multiples of ours."""
    bands = load_bands()
    lines = []
    used = {_tables(case, pool) for pool in candidate.pools}
    for tables, gpu, model in sorted(used, key=lambda each: (not _found(each, bands), each)):
        found = _found((tables, gpu, model), bands)
        if not found:
            lines.append(f"{gpu}: none or too few measured runs to compare {_plain(tables)} with")
            continue
        runs, models = max(b.n for _, b in found), max(b.models for _, b in found)
        of = model if found[0][1].model else plural(models, "other model")
        lines.append(f"{plural(runs, 'measured run')} ({of}, {gpu}): {_told(found)}")
    return tuple(lines)


def _told(found: Sequence[tuple[str, ErrorBand]]) -> str:
    """Bands in words; of those that say nothing that they do not."""
    told = [f"{name} {b.low_ratio:.2f} to {b.high_ratio:.2f}x" for name, b in found if b.informative]
    if told:
        told[0] += " the prediction"
        told[-1] += f" ({percent(INSIDE_FRAC)} of runs)"
    empty = [name for name, b in found if not b.informative]
    if empty:
        told.append(f"no informative band: {' and '.join(empty)} may be off {WIDEST_RATIO:g}x and more")
    return ", ".join(told)


def _tables(case: Case, pool: Pool) -> tuple[str, str, str]:
    """Tables, GPU and model of a pool, as bands name them: layouts timed as measured clusters were have their own."""
    profile = case.profiles[pool.spec.name]
    behind = ONE if pool.spec.role is Role.MIXED else SPLIT
    timed = f"{profile.profile_set}/{profile.gpu}" in case.laid_out
    return f"{profile.profile_set}{behind if timed else ''}", profile.gpu, profile.model


def _plain(profile_set: str) -> str:
    """A set of kernel tables in words."""
    return profile_set.replace(SPLIT, ", phases apart,").replace(ONE, ", on one instance,")


def _found(used: tuple[str, str, str], bands: Mapping[Key, ErrorBand]) -> list[tuple[str, ErrorBand]]:
    """The bands of a model under a set of kernel tables on a GPU, by metric."""
    return [(name, b) for metric, name in _WORDS if (b := band_of(bands, (*used, metric)))]
