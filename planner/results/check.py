"""What a scenario resolves to before anything is solved."""

from collections.abc import Mapping
from dataclasses import dataclass

from planner.results.evidence import Excuse


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """What a scenario resolves to before anything is solved.

    Attributes:
        workload: in words.
        rate_req_per_s: class -> mean rate.
        options: spec names the optimiser may buy.
        excuses: those it may not, and why.
        reference: what slowdowns are measured against, in words; empty where no objective is one.
        warnings: what to know before trusting a plan for it, full sentences.
        precision: what the model is served in.
        unserved: what no policy that may be chosen has an option for, and shared limits that several models are proven
            not to keep together, full sentences: `plan` is infeasible.
    """

    workload: str
    rate_req_per_s: Mapping[str, float]
    options: tuple[str, ...]
    excuses: tuple[Excuse, ...]
    reference: str
    warnings: tuple[str, ...]
    precision: str
    unserved: tuple[str, ...]
