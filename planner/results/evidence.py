"""The nouns of evidence: what was observed of a plan, and why it is one, or none."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from math import inf
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema
from pydantic_core.core_schema import no_info_before_validator_function, plain_serializer_function_ser_schema

from planner.results.availability import Availability
from planner.results.cells import Divided, Pooled
from planner.results.choice import Choice
from planner.results.plan import CandidatePlan
from planner.results.precision import Served
from planner.results.row import RowStudy
from planner.results.use import PoolUse, PowerUse
from workloads.slo import Slo, Unit


class Verdict(StrEnum):
    """What observation says of one claim."""

    MET = "met"
    """The whole confidence interval is within the limit."""
    MISSED = "missed"
    """The whole confidence interval is beyond the limit."""
    UNDECIDED = "undecided"
    """The interval straddles the limit; a plan with such a claim is not validated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the simulator observed of one objective.

    Attributes:
        slo: the objective. Files have its name under ``slo``, with ``unit`` and ``limit`` beside it.
        measured: the percentile over all seeds; inf where too many requests never finished.
        low: lower end of the confidence interval.
        high: upper end.
        verdict: met, missed or undecided.
        n: requests (for TBT in seconds: gaps) behind the percentile.
    """

    slo: Slo
    measured: float
    low: float
    high: float
    verdict: Verdict
    n: int

    @property
    def key(self) -> str:
        """The objective as users write it, for example ``ttft_p99_s``."""
        return self.slo.name

    @property
    def unit(self) -> Unit:
        """Of limit and measured values: seconds, or slowdown against a request alone on the reference."""
        return self.slo.unit

    @property
    def limit(self) -> float:
        """The bound."""
        return self.slo.limit

    @property
    def used_ratio(self) -> float:
        """Upper end of the interval over the limit."""
        return self.high / self.limit

    def flat(self) -> dict[str, object]:
        """As files have it."""
        rest = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "slo"}
        return {"slo": self.key, "unit": self.unit, "limit": self.limit, **rest}

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401
        """How files are read and written: the objective is its name, its unit and its limit."""
        written = plain_serializer_function_ser_schema(cls.flat)
        return no_info_before_validator_function(_whole, handler(source), serialization=written)

    @property
    def few(self) -> bool:
        """Whether all that keeps it from being met is that too little was observed to bound it from above."""
        return self.verdict is Verdict.UNDECIDED and self.high == inf and self.measured <= self.limit

    @property
    def words(self) -> str:
        """The verdict as people read it; what is undecided for want of observations alone is not close to its limit."""
        if self.verdict is not Verdict.UNDECIDED:
            return str(self.verdict)
        return "too few requests" if self.few else "too close to call"


def _whole(found: Any) -> Any:  # noqa: ANN401  what a file says may be anything
    """The fields of an evidence with its objective in one piece; what is no mapping stays as it is."""
    if not isinstance(found, Mapping):
        return found
    name, rest = found.get("slo"), {key: value for key, value in found.items() if key not in ("slo", "unit", "limit")}
    slo = _objective(name)
    if slo is None:
        raise ValueError(f"slo {name!r}; expected a name such as ttft_p99_s, with a percentile above 0 and below 100")
    if found.get("unit") != slo.unit:
        raise ValueError(f"unit {found.get('unit')!r}; expected {slo.unit.value!r}, as {name} ends")
    limit = found.get("limit")
    if isinstance(limit, int | float) and not limit > 0:
        raise ValueError(f"limit {limit!r}; expected a number above 0")
    return {"slo": asdict(slo) | {"limit": limit}, **rest}


def _objective(name: object) -> Slo | None:
    """The objective of a name, whatever its limit; None where it is none, or not spelled as it is written."""
    try:
        slo = Slo.named(name, 1.0) if isinstance(name, str) else None
    except ValueError:
        return None
    return slo if slo and slo.name == name and 0 < slo.percentile < 100 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What the simulator says of a candidate on a workload.

    Attributes:
        evidence: one per objective, in the scenario's order.
        workload: what it was validated on, in words (replay of a file, or synthetic arrivals by process).
        seeds: the seeds simulated.
        horizon_s: length of the arrival window of one seed.
        warmup_s: arrivals before this time are not measured.
        cooldown_s: arrivals in this last stretch are not measured.
        arrived: requests over all seeds.
        finished: of them.
        refused: of them, too long for any KV memory.
        unfinished: of them, still running or waiting when the simulation was cut off.
        goodput_req_per_s: measured requests that met all objectives jointly, per second.
        attainment_frac: the same as a share of measured requests.
        output_tokens_per_s: generated in the measured window.
        steady: no growing backlog: neither the second half of the window nor, where one was simulated, a longer run
            misses an objective.
        pools: how busy each pool was.
        link_wait_mean_s: mean wait of a KV transfer for the link (0 without transfers).
        transfer_mean_s: mean time from end of prefill to KV landed (0 without transfers).
        latency_s: P50, P90 and P99 of every metric over all requests, promised or not, for example ``ttft_p99_s``.
        restarted: how often a failed machine took a request with it that then had to be served again.
        engine: what simulated it: the core, compiled or not, or the reference.
        longer_s: arrival window of the longer run that looked for a slowly growing backlog; 0 where none was made.
        longer_missed: objectives whose measured percentile is beyond its limit there.
        power: what all pools drew at once; None where nothing is known of the watts of one.
        good_output_tokens_per_s: of the output tokens, those of requests that met all objectives jointly; None in files
            of versions that did not count them.
        good_prompt_tokens_per_s: prompt tokens of the same requests.
        prompt_tokens_per_s: of the requests whose output tokens are counted; None in files of versions that did not.
        over: limits of the question that the machines exceed (budgets, their row), a sentence each.
        pooled: what dividing the machines into cells costs; None where they are not divided.
    """

    evidence: tuple[Evidence, ...]
    workload: str
    seeds: tuple[int, ...]
    horizon_s: float
    warmup_s: float
    cooldown_s: float
    arrived: int
    finished: int
    refused: int
    unfinished: int
    goodput_req_per_s: float
    attainment_frac: float
    output_tokens_per_s: float
    steady: bool
    pools: tuple[PoolUse, ...]
    link_wait_mean_s: float
    transfer_mean_s: float
    latency_s: Mapping[str, float]
    restarted: int = 0
    engine: str = ""
    longer_s: float = 0.0
    longer_missed: tuple[str, ...] = ()
    power: PowerUse | None = None
    good_output_tokens_per_s: float | None = None
    good_prompt_tokens_per_s: float | None = None
    prompt_tokens_per_s: float | None = None
    over: tuple[str, ...] = ()
    pooled: Pooled | None = None

    @property
    def mean_w(self) -> float | None:
        """Watts at the wall that all pools drew on average; None where they are not known."""
        return self.power.mean_w if self.power else None

    @property
    def growth(self) -> str:
        """Where a growing backlog showed, in words; empty where none did."""
        if self.steady:
            return ""
        if not self.longer_s:
            return "the second half of the window misses an objective"
        lost = f"misses {', '.join(self.longer_missed)}" if self.longer_missed else "leaves requests behind"
        return f"a run of {self.longer_s:.0f} s {lost}"

    @property
    def missed(self) -> bool:
        """An objective is missed, or will be: the backlog grows."""
        return not self.steady or any(e.verdict is Verdict.MISSED for e in self.evidence)

    @property
    def valid(self) -> bool:
        """Every objective and limit is met, in steady state, and nothing was refused or left unfinished."""
        met = all(e.verdict is Verdict.MET for e in self.evidence)
        return met and self.steady and self.refused == 0 and self.unfinished == 0 and not self.over


@dataclass(frozen=True, slots=True, kw_only=True)
class Excuse:
    """Why an option was not offered to the optimiser.

    Attributes:
        option: spec name.
        reason: a full sentence.
        bottleneck: one word: ``memory``, ``profile``, ``latency``, ``link``, ``price``, ``catalog``, ``roles``,
            ``policy``, ``engine`` or ``dominated``.
        over_ratio: how many times its limit an objective is at the least; None where no limit is missed.
    """

    option: str
    reason: str
    bottleneck: str
    over_ratio: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """A plan next to this one that would be better if it held: one machine fewer, or a pool on another option.

    Attributes:
        pool: spec name of the smaller pool, or ``one option instead of another``.
        machines: how many machines that pool has then.
        judgement: what the simulator says; None where the pool cannot do without (its last machine).
        fails: why it is no plan: the objectives it misses or cannot decide, or what else breaks.
    """

    pool: str
    machines: int
    judgement: Judgement | None
    fails: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One planning round: what was proposed, what was observed, what was done."""

    step: str
    candidate: CandidatePlan
    judgement: Judgement
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """Why this plan and no smaller one.

    Attributes:
        bound: proven: no plan has a better objective, whatever its latencies, for its requests take more work than it
            could do.
        gap_frac: |objective of the validated plan - bound| / objective, watts as simulated. What is not proven; most
            of it is what percentiles and whole machines need.
        solver_gap_frac: gap of the last solve alone.
        neighbours: every plan one machine smaller, and every pool on another option at less cost, with what it misses.
        among: precisions and engines that the bound holds for, each with its policies in brackets; empty where there
            was one of each to plan with.
        expected_bound: proven of the mean watts, or CO2, of endless traffic where the simulated sample drew less, so
            that ``bound`` is None; else None.
    """

    bound: float | None
    gap_frac: float | None
    solver_gap_frac: float | None
    neighbours: tuple[Neighbour, ...]
    among: tuple[str, ...] = ()
    expected_bound: float | None = None

    @property
    def known_bound(self) -> float | None:
        """What is proven, of expected watts where the sample drew less; None where nothing is."""
        return self.expected_bound if self.bound is None else self.bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """How much more than the planned load the same machines carry.

    Attributes:
        holds_ratio: the highest tried load, over the planned one, at which every objective is met; 1 where none is.
        misses_ratio: the next higher one that was tried; None where the highest tried load is carried.
        fails: what goes wrong there.
    """

    holds_ratio: float
    misses_ratio: float | None
    fails: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PeakShare:
    """How hard a pool works each of its GPUs at the planned rates.

    Attributes:
        pool: spec name.
        gpus: that its instances use.
        prompt_tokens_per_s: computed by each GPU.
        output_tokens_per_s: generated by each GPU.
        flops_frac: least arithmetic that takes, of the board's dense peak in the format of the weights.
        hbm_frac: least memory traffic of decoding, of the board's peak bandwidth.
    """

    pool: str
    gpus: int
    prompt_tokens_per_s: float
    output_tokens_per_s: float
    flops_frac: float
    hbm_frac: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidatedPlan:
    """A candidate that served the workload in the simulator within every objective and budget.

    Attributes:
        candidate: what to buy.
        objective: the scenario's objective, for example ``cost``.
        objective_value: its value for this plan (USD/h, W, machines, or req/s); mean watts and their CO2 as simulated.
        judgement: the evidence.
        certificate: why no smaller one.
        rounds: planning rounds, first to last.
        excuses: options that were never offered.
        provenance: kind -> share of the plan's input numbers, sums to 1.
        sources: one line per distinct source that the plan rests on.
        warnings: extrapolations and other doubts, full sentences.
        alternatives: what another growth or goal would buy, one sentence each.
        power: how many such machines a row holds; None where the scenario has no row limit.
        margin: how much more load it carries; None where that was not asked, or would be interpreted.
        served: what each pool serves the model in.
        choices: the same question in every precision, on every engine and under every policy that was looked at, the
            best first; empty where not asked.
        peaks: how hard each pool works its GPUs, against their data sheets.
        accuracy: how far measured runs were off what the same tables predict, a line per GPU type.
        availability: how often it meets every objective, and what more nines cost; None where not asked.
        divided: what dividing it into cells costs in its objective; None of one pool, and where nothing is known.
    """

    candidate: CandidatePlan
    objective: str
    objective_value: float
    judgement: Judgement
    certificate: Certificate
    rounds: tuple[Round, ...]
    excuses: tuple[Excuse, ...]
    provenance: Mapping[str, float]
    sources: tuple[str, ...]
    warnings: tuple[str, ...]
    alternatives: tuple[str, ...] = ()
    power: RowStudy | None = None
    margin: Margin | None = None
    served: tuple[Served, ...] = ()
    choices: tuple[Choice, ...] = ()
    peaks: tuple[PeakShare, ...] = ()
    accuracy: tuple[str, ...] = ()
    availability: Availability | None = None
    divided: Divided | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NoPlan:
    """The honest other answer: there is no plan to validate.

    Attributes:
        reason: ``infeasible`` (proven), ``not validated`` (no candidate survived) or ``no plan in time``.
        explanation: full sentences, the first one the verdict.
        raises: budget -> (limit, what would be needed), the smallest set to raise, for infeasible problems.
        rounds: what was tried.
        excuses: options that were never offered.
        judgement: of the best candidate that failed, where there was one.
    """

    reason: str
    explanation: tuple[str, ...]
    raises: Mapping[str, tuple[float, float]]
    rounds: tuple[Round, ...]
    excuses: tuple[Excuse, ...]
    judgement: Judgement | None
