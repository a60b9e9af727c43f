"""What a question was planned as: a precision, an engine and a policy, and what that comes to."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from planner.results.precision import Variant

_H_S = 3600.0
_MILLION = 1e6


class Standing(StrEnum):
    """What speaks for the figures of a row."""

    CHOSEN = "this plan"
    """The answer, validated."""
    VALIDATED = "validated"
    """A plan that the simulator confirms; it was not searched around as the answer was."""
    BEYOND = "beyond rows or failures"
    """A plan that the simulator confirms alone, which the rows of the question do not hold, or which does not survive
    the failures that its availability asks for; no other was looked for."""
    BOUND = "bound only"
    """The program's optimum; the simulator has not seen it."""
    REFUSED = "not validated"
    """No plan that was tried passed the simulation; the figures are the program's optimum."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A row of the table of alternatives.

    Attributes:
        variant: precision and family of kernel profiles.
        engine: whose kernels were measured.
        engine_version: of that engine.
        policy: how requests are served.
        allowed: whether the question allows it.
        standing: what speaks for the figures.
        objective_value: of the plan, or of the program's optimum at the load limits of the scenario; mean watts of a
            plan are those simulated.
        bound: proven: no plan in it is better, whatever its latencies; None where no bound was proven.
        cost_usd_per_h: of the machines.
        power_w: rated.
        machines: bought.
        gpus: in them.
        gpu_tokens_per_s: tokens generated, over all GPUs.
        user_tokens_per_s: of the median request while it decodes; of the optimum, at its working batch.
        usd_per_million_prompt_tokens: share of the cost that computes prompts, by instance time, over their tokens.
        usd_per_million_output_tokens: the same of generated tokens: of all, so that both prices times their tokens are
            the cost; None where no request met its objectives.
        concurrency: requests that decode at once on a machine, mean over those that decode; None where none was
            simulated, and in files of versions that did not say.
        cached: False where every prompt is computed in full although the question has a prefix cache.
    """

    variant: Variant
    engine: str
    engine_version: str
    policy: str
    allowed: bool
    standing: Standing
    objective_value: float
    bound: float | None
    cost_usd_per_h: float
    power_w: float
    machines: int
    gpus: int
    gpu_tokens_per_s: float
    user_tokens_per_s: float | None
    usd_per_million_prompt_tokens: float | None
    usd_per_million_output_tokens: float | None
    cached: bool = True
    concurrency: float | None = None

    @property
    def simulated(self) -> bool:
        """Whether the figures are of a plan that the simulator confirms, and that the question could have."""
        return self.standing in (Standing.CHOSEN, Standing.VALIDATED)


def priced(choices: Iterable[Choice]) -> Choice | None:
    """The row of the plan itself; None where there is none."""
    return next((row for row in choices if row.standing is Standing.CHOSEN), None)


def per_million(cost_usd_per_h: float, tokens_per_s: float) -> float | None:
    """Dollars of a million tokens; None where there are none."""
    return cost_usd_per_h / (tokens_per_s * _H_S / _MILLION) if tokens_per_s > 0 else None
