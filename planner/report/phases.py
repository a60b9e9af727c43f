"""How machines, money, power and tokens are shared between prefill and decode."""

from collections.abc import Iterator, Mapping

from planner.perf.layout import Role
from planner.report.html.cluster import colour
from planner.report.html.drawings import stacked
from planner.report.money import NONE
from planner.report.page import Block, Drawing, Lines, Section, Table, columns, section
from planner.results.billed import billed_frac
from planner.results.choice import per_million
from planner.results.evidence import Judgement
from planner.results.picture import Bought, Picture
from planner.results.plan import CandidatePlan, Pool
from planner.results.use import PoolUse
from workloads.counts import number, percent


def phases(candidate: CandidatePlan, judgement: Judgement, picture: Picture | None) -> Iterator[Section]:
    """The shares of the phases; nothing where no picture tells what machines cost."""
    if picture:
        yield from section("balance", "Prefill and decode", *_balance(candidate, judgement, picture))


def _balance(candidate: CandidatePlan, judgement: Judgement, picture: Picture) -> list[Block]:
    """How machines, money and power are shared between the phases, and what the tokens cost."""
    parts = {b.pool: b for b in picture.bought}
    weights: Mapping[str, Mapping[str, float]] = {
        "machines": {p.spec.name: float(p.machines) for p in candidate.pools},
        "GPUs": {p.spec.name: float(p.machines * parts[p.spec.name].machine_gpus) for p in candidate.pools},
        "cost": {p.spec.name: p.machines * parts[p.spec.name].price_usd_per_h for p in candidate.pools},
        "rated power": {p.spec.name: p.machines * parts[p.spec.name].rated_w for p in candidate.pools},
    }
    tones = {p.spec.name: colour(p.spec.role) for p in candidate.pools}
    roles = {p.spec.name: str(p.spec.role) for p in candidate.pools}
    drawn_rows = []
    for name, row in weights.items():
        whole = sum(row.values()) or 1.0
        drawn_rows.append((name, [(roles[pool], value / whole, tones[pool]) for pool, value in row.items()]))
    uses = {use.pool: use for use in judgement.pools}
    made: list[Block] = []
    if len(candidate.pools) > 1:
        shares = [(name, *(percent(share) for _, share, _ in parts)) for name, parts in drawn_rows]
        table = Table(columns=columns("share", *(f"#{pool.spec.name}" for pool in candidate.pools)), rows=shares)
        made.append(Drawing(svg=stacked(drawn_rows, "shares of the pools"), instead=table))
    per_token = [
        _per_token(pool, parts[pool.spec.name], uses.get(pool.spec.name), judgement, picture)
        for pool in candidate.pools
    ]
    headings = columns("pool", "#tokens/s", "#per million", "#energy per token", "#busy")
    caption = "what a token of each phase takes: money, and wall energy (≤: at rated power)"
    made.append(Table(columns=headings, rows=per_token, caption=caption))
    prefills, decodes = (_machines(candidate, role) for role in (Role.PREFILL, Role.DECODE))
    if prefills and decodes:
        words = f"P:D is {prefills}:{decodes}: {number(prefills / decodes, 3)} prefill to 1 decode machine."
        made.append(Lines(lines=(words,)))
    return made


def _per_token(
    pool: Pool, what: Bought, use: PoolUse | None, judgement: Judgement, picture: Picture
) -> tuple[str, ...]:
    """What a token costs in a pool: money of those that count, joules of all that it works through."""
    tokens = _tokens_per_s(pool.spec.role, judgement, picture)
    billed = _tokens_per_s(pool.spec.role, judgement, picture, billed_frac(judgement))
    cost = per_million(what.price_usd_per_h * pool.machines, billed)
    power = use.power if use else None
    drawn_w = power.mean_w if power else what.rated_w * pool.machines
    return (
        pool.spec.name, number(round(tokens)), NONE if cost is None else f"${cost:,.3f}",
        f"{'' if power else '≤ '}{number(drawn_w / tokens, 3)} J" if tokens else NONE,
        percent(use.busy_frac if use else 0.0),
    )  # fmt: skip


def _tokens_per_s(
    role: Role, judgement: Judgement, picture: Picture, counted_frac: tuple[float, float] = (1.0, 1.0)
) -> float:
    """What a phase works through: prompts, outputs, or both; or the shares of each that count."""
    prompt, output = judgement.prompt_tokens_per_s, judgement.output_tokens_per_s * counted_frac[1]
    if prompt is None:  # of a file that does not say
        prompt = sum(picture.prompt_tokens_per_s) / max(1, len(picture.prompt_tokens_per_s))
    prompt *= counted_frac[0]
    return {Role.PREFILL: prompt, Role.DECODE: output}.get(role, prompt + output)


def _machines(candidate: CandidatePlan, role: Role) -> int:
    return sum(p.machines for p in candidate.pools if p.spec.role is role)
