"""The sections of a scenario file: every key, its unit, its default."""

from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    PlainValidator,
    Strict,
    ValidationInfo,
    field_validator,
    model_validator,
)

from hw_catalog.machines import Channel
from planner.perf.layout import Role
from planner.scenario.choices import AS_IT_IS, AUTO_WAYS, only_listed, several_knobs, several_ways
from planner.scenario.class_presets import list_or_preset
from planner.scenario.numbers import (
    LEAST,
    MOST,
    Budget,
    Confidence,
    Count,
    Limit,
    Number,
    Positive,
    Switch,
    Whole,
    Word,
)
from planner.scenario.objectives import Headroom
from planner.scenario.section import Section
from planner.scenario.trace_columns import TraceColumns
from workloads.formats import DTYPE_BYTES
from workloads.requests import RequestClass
from workloads.slo import Metric, Slo, Unit

_HEADROOM = Headroom()

MOST_SEEDS = 10_000
"""Each is a trace that is drawn and served."""
LEAST_PERCENTILE = 50.0
"""A limit that the slower half may miss is none."""


def _known_dtype(dtype: str) -> str:
    if dtype not in DTYPE_BYTES:
        raise ValueError(f"one of {', '.join(DTYPE_BYTES)}")
    return dtype


def _known_slo(key: str) -> str:
    slo_of(key, 1.0)
    return key


def _in_order(objectives: dict[str, float]) -> dict[str, float]:
    """By metric and percentile, whatever the order in the file: a scenario read back from sorted JSON is the same."""
    metrics = list(Metric)
    slos = {key: slo_of(key, limit) for key, limit in objectives.items()}
    for key, slo in slos.items():
        other = replace(slo, unit=Unit.SLOWDOWN).name
        if slo.unit is Unit.SECONDS and other in slos:
            raise ValueError(f"one of {key} and {other}, not both")

    def place(key: str) -> tuple[int, float]:
        return metrics.index(slos[key].metric), slos[key].percentile

    return {key: objectives[key] for key in sorted(objectives, key=place)}


POWER = "power"
"""In place of a price: the machine is paid, and costs what its power costs."""


def _own_price(value: object) -> object:
    """Dollars an hour, or the word for what the power costs; one message for both."""
    if value == POWER:
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not LEAST <= value <= MOST:
        raise ValueError(f"dollars an hour for a whole machine, above 0, or {POWER}: what its rated watts cost")
    return float(value)


def by_name(named: dict[str, Any]) -> dict[str, Any]:
    """In alphabetical order, for the same reason."""
    return dict(sorted(named.items()))


Dtype = Annotated[Word, AfterValidator(_known_dtype)]
Knobs = Annotated[Any, PlainValidator(several_knobs)]
Ways = Annotated[str | tuple[int, ...], AS_IT_IS, PlainValidator(several_ways)]
OwnPrice = Annotated[float | str, PlainValidator(_own_price)]
Objectives = Annotated[dict[Annotated[Word, AfterValidator(_known_slo)], Positive], AfterValidator(_in_order)]


def slo_of(key: str, limit: float, request_class: str | None = None) -> Slo:
    """The objective that ``key`` names.

    Args:
        key: metric, percentile, unit: for example ``ttft_p99_s``, ``tbt_p99.9_s`` or ``e2e_p50_slowdown``.
        limit: the bound, in the unit of the key.
        request_class: the class it speaks of, or None.

    Returns:
        The objective.

    Raises:
        ValueError: no such key; the text says what was expected.
    """
    metrics = ", ".join(metric.value for metric in Metric)
    metric, mark, _ = key.partition("_p")
    try:
        slo = Slo.named(key.replace(":", "_"), limit)  # a key names no class: its section does
    except ValueError:
        raise ValueError(f"<metric>_p<percentile>_s with a metric of {metrics}, for example ttft_p99_s") from None
    if not mark or not 0 < slo.percentile < 100:
        raise ValueError(f"a percentile above 0 and below 100, for example {metric}_p99_s") from None
    if slo.percentile < LEAST_PERCENTILE:
        raise ValueError(f"a percentile from {LEAST_PERCENTILE:g} on; did you mean {metric}_p90_s or {metric}_p99_s?")
    if f"{slo.percentile:g}" == "100":
        raise ValueError(f"a percentile of at most six digits, for example {metric}_p99.99_s")
    if key != slo.name:
        seconds, slowdown = (replace(slo, unit=each).name for each in (Unit.SECONDS, Unit.SLOWDOWN))
        raise ValueError(f"a limit in seconds under the key {seconds}, or a ratio under {slowdown}")
    return replace(slo, request_class=request_class)


class ReferenceSection(Section):
    """What slowdowns are measured against: the same request alone on an instance; unused where no objective is one."""

    machine: Word = Field("dgx-a100", description="machine type the instance stands on, for sale or not")
    tp: Count = Field(8, description="tensor-parallel ways, GPUs")
    dtype: Dtype | None = Field(None, description="number format of the weights; null: the model's own")


class Arrivals(Section):
    """When requests come."""

    process: Literal["poisson", "gamma", "diurnal", "profile", "replay"] | None = Field(
        None, description="null replays a trace file (profile does, too) and draws Poisson arrivals for a built-in"
    )
    cv: Positive | None = Field(
        None, description="coefficient of variation of the gaps (gamma only); null: the trace's own"
    )
    peak_to_mean_ratio: Annotated[Number, Field(ge=1, le=2)] | None = Field(
        None, description="highest over mean rate (diurnal only)"
    )
    period_s: Positive | None = Field(None, description="seconds from peak to peak (diurnal only)")

    @model_validator(mode="after")
    def _parameters_belong(self) -> Self:
        for key, process in (("cv", "gamma"), ("peak_to_mean_ratio", "diurnal"), ("period_s", "diurnal")):
            if getattr(self, key) is not None and self.process != process:
                raise ValueError(f"{key} only where process is {process}, not {self.process or 'null'}")
        if self.process == "diurnal" and None in (self.peak_to_mean_ratio, self.period_s):
            raise ValueError("peak_to_mean_ratio and period_s, since process is diurnal")
        return self


class Distribution(Section):
    """Lengths of one kind, in tokens; the same median and 95th percentile make every request equally long."""

    distribution: Literal["lognormal"] = Field("lognormal", description="shape of the distribution")
    median_tokens: Positive = Field(description="median, tokens")
    p95_tokens: Positive = Field(description="95th percentile, tokens")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.p95_tokens < self.median_tokens:
            raise ValueError("p95_tokens not below median_tokens")
        return self


class LongLengths(Section):
    """A second population of requests."""

    share_frac: Annotated[Number, Field(gt=0, lt=1)] = Field(description="share of all requests")
    prompt: Distribution = Field(description="prompt tokens")
    output: Distribution = Field(description="output tokens")


class Lengths(Section):
    """Request lengths without a trace."""

    prompt: Distribution = Field(description="prompt tokens")
    output: Distribution = Field(description="output tokens")
    long: LongLengths | None = Field(None, description="a second population, for example of long contexts")


class RequestClassSection(Section):
    """A kind of request: by lengths and label (the first that holds it), or a share of all; or `dynamollm-nine`."""

    name: Word = Field(description="name of the class")
    prompt_min_tokens: Whole = Field(0, description="fewest prompt tokens, inclusive")
    prompt_max_tokens: Whole | None = Field(None, description="most prompt tokens, inclusive")
    output_min_tokens: Whole = Field(0, description="fewest output tokens, inclusive")
    output_max_tokens: Whole | None = Field(None, description="most output tokens, inclusive")
    label: Word | None = Field(None, description="of its requests in workload.label_column; null holds any")
    share_frac: Annotated[Number, Field(gt=0, lt=1)] | None = Field(
        None, description="share of all requests, drawn by chance, without ranges and labels; null: the rest"
    )
    priority: Annotated[int, Strict(), Field(ge=-1000, le=1000)] = Field(
        0, description="at an instance the larger is computed first, and loses its memory last"
    )

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        for kind in ("prompt", "output"):
            low, high = getattr(self, f"{kind}_min_tokens"), getattr(self, f"{kind}_max_tokens")
            if high is not None and high < low:
                raise ValueError(f"{kind}_max_tokens not below {kind}_min_tokens")
        return self

    @property
    def request_class(self) -> RequestClass:
        """The same as a noun of the workload."""
        return RequestClass(**self.model_dump())


class Workload(Section):
    """What is asked."""

    trace: Word | None = Field(None, description="built-in workload id, or a trace file (relative to this file)")
    format: Literal["auto", "azure", "mooncake", "burstgpt", "vidur", "plain"] = Field(
        "auto", description="of a trace file"
    )
    time_unit: Literal["auto", "s", "ms", "us", "ns"] = Field(
        "auto", description="of numeric arrivals in a trace file; auto: as the column's name or the format says"
    )
    columns: TraceColumns = Field(TraceColumns(), description="columns of a trace file under names of its own")
    bytes_per_token: Positive | None = Field(
        None, description="of conversations without token counts, in UTF-8; null: 4, an assumption"
    )
    answer_s_per_token: Positive | None = Field(
        None, description="of sessions, what an answer takes before the next turn's delay, s; null: 0.02, an assumption"
    )
    label_column: Word = Field("auto", description="column of a trace file with classes[].label; auto: label or tier")
    skip_bad_rows: Switch = Field(
        False, description="leave out rows of a trace file that are bad or dated far from all others"
    )
    rate_req_per_s: Positive | None = Field(None, description="mean arrival rate, requests/s; null: the trace's own")
    rate_scale: Positive = Field(1.0, description="factor on top of the rate")
    growth: Literal["shared", "independent"] = Field(
        "shared", description="of a trace at another rate: its busy minutes grow too, or what is added has its own"
    )
    prompt_scale: Positive = Field(1.0, description="factor on every prompt's length")
    output_scale: Positive = Field(1.0, description="factor on every output's length")
    arrivals: Arrivals = Field(Arrivals(), description="when requests come")
    duration_s: Positive | None = Field(
        None, description="arrival window of one synthetic seed, s; null: 120, or 1000 requests; not used in a replay"
    )
    lengths: Lengths | None = Field(None, description="request lengths by distribution, instead of a trace")
    classes: tuple[RequestClassSection, ...] = Field(
        (), description="kinds of request, or `dynamollm-nine`; empty: all are one kind",
        json_schema_extra=list_or_preset,
    )  # fmt: skip

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.trace is None) == (self.lengths is None):
            found = "neither" if self.trace is None else "both"
            raise ValueError(f"either trace (a file or azure-conv-2023) or lengths with rate_req_per_s, not {found}")
        if self.lengths is not None and self.rate_req_per_s is None:
            raise ValueError("rate_req_per_s, since lengths say nothing of a rate")
        if self.lengths is not None and self.arrivals.process in ("replay", "profile"):
            raise ValueError(f"a trace, since arrivals.process is {self.arrivals.process}")
        if self.lengths is not None and self.arrivals.process == "gamma" and self.arrivals.cv is None:
            raise ValueError("arrivals.cv, since lengths say nothing of gaps")
        names = [c.name for c in self.classes]
        if len(set(names)) < len(names):
            raise ValueError(f"every class name once, not {', '.join(names)}")
        return self


def _machines_or_design(schema: dict[str, Any]) -> None:
    """In a file a design may stand in the place of machines."""
    schema["anyOf"] = [{"required": [*schema.pop("required")]}, {"required": ["design"]}]


class Catalog(Section):
    """What can be bought."""

    model_config = ConfigDict(json_schema_extra=_machines_or_design)

    machines: tuple[Word, ...] = Field(
        min_length=1, description="machine types to choose from; `phasewise machines` lists them"
    )
    channel: Channel = Field("reserved", description="how they are paid for, or by name the price set of a publication")
    directory: Word | None = Field(None, description="your own catalog files (relative to this file); null: built-in")
    tp: tuple[Count, ...] = Field((1, 2, 4, 8), min_length=1, description="tensor-parallel ways to try, GPUs")
    pp: tuple[Count, ...] = Field((1,), min_length=1, description="pipeline stages to try, each of tp GPUs")
    dp: Ways = Field(AUTO_WAYS, description="attention ranks to try, each of tp GPUs; auto: as measured")
    ep: Ways = Field(AUTO_WAYS, description="expert-parallel ways to try, a divisor of tp times dp; auto: as measured")
    kvp: tuple[Count, ...] = Field((1,), min_length=1, description="KV groups to try, for classes of long contexts")
    available: Annotated[dict[Word, Whole], AfterValidator(by_name)] = Field(
        {}, description="machine type -> how many can be had; unnamed: the catalog's"
    )
    roles: Annotated[dict[Word, Annotated[tuple[Role, ...], Field(min_length=1)]], AfterValidator(by_name)] = Field(
        {}, description="machine type -> phases it may work on (prefill, decode, mixed), one or more; unnamed: any"
    )
    design: Word | None = Field(
        None,
        exclude=True,
        description="in place of machines and roles: a published design, for example splitwise-ha, or "
        "splitwise:<prefill machine>+<decode machine>",
    )

    price_usd_per_h: Annotated[dict[Word, OwnPrice], AfterValidator(by_name)] = Field(
        {},
        description="machine type -> your price of a whole machine, dollars an hour, or power: the machine is paid and "
        "costs what its rated watts do; unnamed: the catalog's",
    )
    price_scale: Annotated[dict[Word, Positive], AfterValidator(by_name)] = Field(
        {}, description="machine type -> factor on its price"
    )

    clocks_mhz: Annotated[dict[Word, Knobs], AfterValidator(by_name)] = Field(
        {}, description="machine type -> SM clocks to try beside its own, MHz, or auto; two where joules count"
    )
    caps_w: Annotated[dict[Word, Knobs], AfterValidator(by_name)] = Field(
        {}, description="machine type -> power limits to try beside none, W per GPU, or auto"
    )

    @field_validator("available", "roles", "price_usd_per_h", "price_scale", "clocks_mhz", "caps_w")
    @classmethod
    def _is_offered(cls, value: dict[str, object], info: ValidationInfo) -> dict[str, object]:
        return only_listed(value, info.data.get("machines", tuple(value)))


class BudgetSection(Section):
    """Hard limits on the whole plan; null is unlimited."""

    cost_usd_per_h: Budget | None = Field(None, description="dollars per hour")
    power_w: Budget | None = Field(
        None, description="rated power of all machines, W: nameplates, less what enforced caps take off"
    )
    expected_power_w: Budget | None = Field(None, description="mean wall power, as planned and in simulation, W")
    rack_units: Budget | None = Field(None, description="space, rack units")
    machines: Whole | None = Field(None, description="machines")
    machine_types: Whole | None = Field(None, description="distinct machine types")


class HeadroomSection(Section):
    """The largest average loads to plan with at first; validation tightens them where the simulator objects."""

    prefill_frac: Limit = Field(_HEADROOM.prefill_frac, description="busy share of prefill instances")
    decode_frac: Limit = Field(_HEADROOM.decode_frac, description="busy share of decode instances")
    mixed_frac: Limit = Field(_HEADROOM.mixed_frac, description="busy share of mixed instances")
    kv_frac: Limit = Field(_HEADROOM.kv_frac, description="share of KV memory held on average")
    link_frac: Limit = Field(_HEADROOM.link_frac, description="busy share of the links that carry KV")


class SolverSection(Section):
    """The optimiser."""

    backend: Literal["highs", "cbc", "mathopt"] = Field("highs", description="which solver")
    time_limit_s: Positive = Field(30.0, description="seconds one solve may take, counted as work")
    gap_frac: Annotated[Number, Field(ge=0, lt=1)] = Field(1e-6, description="relative gap taken as optimal")
    search_evaluations: Whole | None = Field(
        None,
        description="plans around the found one to try in simulation; 0: none; null: as many as a few seconds allow",
    )


class FailureSection(Section):
    """A machine that fails while the plan is validated, with all that is on it."""

    pool: Literal["prefill", "decode", "mixed"] | Whole = Field(description="role, or position of the pool in the plan")
    machine: Whole = Field(0, description="which machine of the role or pool, from 0")
    at_s: Budget = Field(description="when, s from the start of the simulation")
    repair_s: Positive | None = Field(None, description="seconds until it is back, empty; null: never")


class ValidationSection(Section):
    """How hard the simulator looks before a plan may call itself validated."""

    seeds: Annotated[Count, Field(le=MOST_SEEDS)] | None = Field(
        None, description="independent simulations; null: 1 for a replay, else 3"
    )
    first_seed: Whole = Field(1, description="seed of the first; the others follow")
    warmup_frac: Annotated[Number, Field(ge=0, lt=1)] = Field(
        0.1, description="share of arrivals not yet measured; replays of whole traces: 0"
    )
    cooldown_frac: Annotated[Number, Field(ge=0, lt=1)] = Field(
        0.05, description="share at the end no longer measured; likewise"
    )
    confidence_frac: Confidence = Field(0.95, description="of each percentile's interval, from 0.5")
    max_rounds: Count = Field(12, description="most planning rounds of optimiser and simulator")
    requests: Count | None = Field(None, description="most requests of one seed")
    failures: tuple[FailureSection, ...] = Field((), description="machines that fail in every seed")

    @model_validator(mode="after")
    def _something_is_measured(self) -> Self:
        if self.warmup_frac + self.cooldown_frac >= 1:
            raise ValueError("warmup_frac + cooldown_frac below 1, else nothing is measured")
        return self
