"""Rules of the first screen: what a buyer must read at once, on a terminal of any width and on the page."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.report.checks import check_page
from planner.report.figures import figure_lines, figure_tiles, figures_of, together
from planner.report.fleets import not_less
from planner.report.folding import folded
from planner.report.headlines import about_of, headline_of, machine_words
from planner.report.page import Page, Pairs
from planner.report.plans import plan_page, pools_table, simulation_page
from planner.report.schedule_words import against_one_knob, saved_words, tenths
from planner.report.screen import LINES, Screen, facts, ratios_first
from planner.report.words import plan_gap
from planner.results.bill import MONTH_H
from planner.results.check import CheckReport
from planner.results.choice import Choice, Standing
from planner.results.evidence import Certificate, Excuse, Judgement, Margin, Neighbour, ValidatedPlan, Verdict
from planner.results.fleet import FleetPlan, ModelPlan
from planner.results.precision import Variant
from planner.results.schedule import OneKnob, Spent
from tests.planner import plans
from tests.planner.compare.test_bill import use
from tests.planner.goldens import GOLDEN, same_as_golden
from tests.planner.report.test_report import rendered
from workloads.counts import percent

ACCURACY = (
    "162 measured runs (11 models, h100-sxm): TTFT 0.81 to 1.47x the prediction, TPOT 0.88 to 1.09x (80 % of runs)"
)
OWN = Variant(profile_set="set", dtype="bf16", kv_dtype="bf16")


def row(policy: str, standing: Standing, value: float, dtype: str = "bf16") -> Choice:
    """A row of the table of alternatives."""
    return Choice(
        variant=replace(OWN, dtype=dtype), engine="vllm", engine_version="0.24.0", policy=policy, allowed=False,
        standing=standing, objective_value=value, bound=value - 20, cost_usd_per_h=value, power_w=1.0, machines=3,
        gpus=24, gpu_tokens_per_s=1.0, user_tokens_per_s=27.75, usd_per_million_prompt_tokens=0.25,
        usd_per_million_output_tokens=0.71, concurrency=98.65,
    )  # fmt: skip


def bought() -> ValidatedPlan:
    """A plan with everything that a first screen tells."""
    base = plans.plan()
    others = (
        row("splitwise", Standing.VALIDATED, 71.0, "fp8"), row("sarathi", Standing.BOUND, 118.0),
        row("splitwise", Standing.BOUND, 60.0, "fp4"), row("colocated", Standing.REFUSED, 130.0),
    )  # fmt: skip
    judged = replace(base.judgement, power=use(9000.0))
    return replace(
        base, judgement=judged, margin=Margin(holds_ratio=1.1, misses_ratio=1.2, fails=("ttft_p99_s missed",)),
        candidate=replace(base.candidate, variant=OWN), accuracy=(ACCURACY,),
        choices=(row("splitwise", Standing.CHOSEN, base.objective_value), *others),
    )  # fmt: skip


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("warnings", [0, 2, 9])
def test_a_check_is_one_screen(width: int, warnings: int) -> None:
    """Whatever there is to tell, a check fits a screen: what is wrong comes first, then demand, options, refusals."""
    told = tuple(
        f"warning {at} of a scenario, with words that need more than a line of a terminal" for at in range(warnings)
    )
    excuses = tuple(
        Excuse(
            option=f"mixed/dgx-h100/tp{at}", bottleneck="memory" if at % 2 else "latency", reason="too " + "long " * 30
        )
        for at in range(40)
    )
    report = CheckReport(
        workload="poisson arrivals at 40 req/s", rate_req_per_s={"all": 40.0}, excuses=excuses, reference="",
        options=tuple(f"decode/dgx-h100/tp{at}" for at in range(60)), warnings=told, precision="bf16",
        unserved=("no option can serve hi",),
    )  # fmt: skip
    text = rendered(check_page(report), width=width)
    lines = text.splitlines()
    assert len(lines) <= LINES
    assert max(map(len, lines)) <= width
    assert lines[0] == "INFEASIBLE: 60 options to choose from, 40 refused"
    assert lines[2].split()[:3] == ["Why", "no", "option"]
    assert warnings == 0 or text.index(f"Warnings ({warnings})") < text.index("Demand")
    assert all(words in text for words in ("60 decode; on dgx-h100", "latency (20): mixed/dgx-h100/tp0"))
    assert all(each.option in rendered(check_page(report), "refused", width=width) for each in excuses)


def page() -> Page:
    return plan_page(bought(), plans.scenario())


@pytest.mark.parametrize("width", [60, 80, 120, 100_000])
def test_first_screen_of_any_width_is_golden(width: int) -> None:
    """At 60, 80 and 120 columns and piped, the first screen has at most 25 lines, none wider than the terminal."""
    text = rendered(page(), width=width)
    same_as_golden(text, GOLDEN / f"screen-{'piped' if width > 1000 else width}.txt")
    assert len(text.splitlines()) <= LINES
    assert max(map(len, text.splitlines())) <= width


@pytest.mark.parametrize("width", [60, 80, 120])
def test_what_a_buyer_must_know_is_on_every_screen(width: int) -> None:
    """Money per month and per token, tokens per GPU, watts rated, expected and P99, margin, the reason why not less,
    accuracy and an alternative have a line each, whatever the width.
    """
    text = rendered(page(), width=width)
    told = (
        "$77,380/month", "$0.25/M tokens in, $0.71 out", "176 tokens/s/GPU", "23.2 kW rated", "kW P99",
        "1.1 times the load", "e2e_p90_s never, limit 20 s", "TTFT 0.81 to 1.47x", "$71.00/h (-33 %) with fp8 weights",
    )  # fmt: skip
    for words in told:
        assert words in text, words


def test_a_narrow_screen_has_the_accuracy_and_three_alternatives() -> None:
    """At 60 columns the ratios of measured runs stand on one line, and each of the best alternatives has one of its own
    with its price and what it is, however many objectives and pools there are to tell.
    """
    lines = rendered(page(), width=60).splitlines()
    assert len(lines) <= LINES
    (accuracy,) = (line for line in lines if "Accuracy" in line)
    assert "TTFT 0.81 to 1.47x, TPOT 0.88 to 1.09x" in accuracy
    at = next(at for at, line in enumerate(lines) if "Alternatives" in line)
    assert "$71.00/h (-33 %) with fp8 weights" in lines[at]
    assert "at best $40.00/h with fp4 weights" in "".join(lines[at + 1 : at + 3])
    assert sum("/h" in line for line in lines[at : at + 3]) == 3


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("29 measured runs (m, g): TTFT 0.80 to 1.09x the prediction, TPOT 1.00 to 1.12x (80 % of runs)",
         "TTFT 0.80 to 1.09x, TPOT 1.00 to 1.12x the prediction (80 % of runs): 29 measured runs (m, g)"),
        ("2 measured runs (m, g): TTFT 0.80 to 1.09x the prediction (80 % of runs), no informative band: TPOT",
         "TTFT 0.80 to 1.09x the prediction (80 % of runs), no informative band: TPOT: 2 measured runs (m, g)"),
        ("g: none or too few measured runs to compare t with", "g: none or too few measured runs to compare t with"),
    ],
)  # fmt: skip
def test_accuracy_begins_with_the_ratios(line: str, said: str) -> None:
    """What a cut leaves out is of how many runs; a line without ratios stays as it is."""
    assert ratios_first(line) == said


def test_text_and_page_tell_the_same_figures() -> None:
    """Every figure of the first screen is on a tile of the page, digit by digit."""
    found = bought()
    figures = figures_of(found.candidate, found.judgement, found.choices[0])
    tiles = " ".join(f"{tile.value} {tile.note}" for tile in figure_tiles(figures, found.margin))
    for number in ("77,380", "0.25", "0.71", "176", "27.8", "4,217", "23.2 kW", "kW P99"):
        assert number in tiles
        assert number in " ".join(words for _, words in figure_lines(figures))
    assert figures.usd_per_month == pytest.approx(found.candidate.totals.cost_usd_per_h * MONTH_H)


def test_a_headline_names_machines_by_type_and_phase_and_counts_spares() -> None:
    """Pools of one type and phase are added up; machines that may be down are told."""
    base = plans.candidate()
    spared = replace(base, pools=(replace(base.pools[0], spares=1), *base.pools[1:]))
    said = headline_of(spared, plans.scenario())
    assert said.startswith("3 machines (1 of them spare), $106.00/h, ")
    assert said.endswith(": 1 dgx-h100 (prefill), 2 dgx-a100 (decode)")
    doubled = (*base.pools, base.pools[0])
    assert machine_words(doubled) == "1 dgx-h100 (prefill), 4 dgx-a100 (decode)"


FACT = st.tuples(st.sampled_from(["", "Cost", "Not less"]), st.text("a b, c; d: ", min_size=1, max_size=150))


@given(st.lists(FACT, min_size=1, max_size=14), st.integers(50, 120))
def test_first_sentences_stand_whole_before_further_facts(told: list[tuple[str, str]], width: int) -> None:
    """A screen is never too long; while a further fact is shown, no first sentence before it lost a line for it.

    What is cut is the beginning of what there was to say, in whole words.
    """
    told = [("First", "one"), *((name, " ".join(words.split()) or "a") for name, words in told), ("Warnings", "last")]
    screen = Screen(head=("VALIDATED",), parts=(), told=tuple(told), more="More")
    (pairs,) = (block for block in screen.blocks(width) if isinstance(block, Pairs))
    beside = width - 4 - max(len(name) for name, _ in pairs.rows)
    assert 2 + pairs.apart + sum(len(folded(words, beside)) for _, words in pairs.rows) <= LINES
    assert (pairs.rows[0], pairs.rows[-1][0]) == (("First", "one"), "Warnings")
    shown = [(name, words.removesuffix(" ...")) for name, words in pairs.rows]
    places = [next(at for at, (n, full) in enumerate(told) if n == name and full.startswith(w)) for name, w in shown]
    assert len(places) == len(shown)
    further = any(not name for name, _ in shown)
    for (name, words), kept in zip(pairs.rows[:-1], shown, strict=False):
        if further and name and words.endswith(" ..."):
            full = next(full for n, full in told if n == name and full.startswith(kept[1]))
            assert len(folded(full.partition("; ")[0], beside)) > 2 or kept[1].startswith(full.partition("; ")[0])


def test_narrow_screens_keep_whole_sentences_of_what_a_buyer_must_know() -> None:
    """At 80 columns no line from the load margin on ends within a phrase, and the best alternatives stand whole."""
    text = rendered(page(), width=80)
    below = text[text.index("Load margin") :].splitlines()
    cut = [line for line in below if line.endswith(" ...")]
    whole = rendered(page(), width=100_000)
    for line in cut:
        end = line.removesuffix(" ...")
        assert end[-1] in ",;:" or f"{end.strip()} (" in whole
    assert "$71.00/h (-33 %) with fp8 weights (validated, not allowed)\n" in text


@pytest.mark.parametrize(
    ("asked", "policy", "words"),
    [
        ("splitwise", "splitwise", "(split, as asked; not split at best $98.00/h, not simulated)"),
        ("auto", "splitwise", "(split; not split at best $98.00/h, not simulated)"),
        ("auto", "sarathi", "(not split; split $71.00/h, validated)"),
    ],
)
def test_a_verdict_says_whether_phases_are_split_and_why(asked: str, policy: str, words: str) -> None:
    """Split or not, asked for or found, and what the other would cost, with what speaks for that."""
    found = bought()
    rows = (
        replace(found.choices[0], policy=policy), row("splitwise", Standing.VALIDATED, 71.0),
        row("sarathi", Standing.BOUND, 118.0),
    )  # fmt: skip
    found = replace(found, candidate=replace(found.candidate, policy=policy), choices=rows)
    assert words in about_of(found, plans.scenario().changed([f"policy.name={asked}"]))


def test_several_models_have_sums_and_no_price_of_a_token() -> None:
    """Machines, spares, money, tokens and watts add up; a sum of P99 watts is a bound; tokens of two models have no
    price in common.
    """
    found = bought()
    one = figures_of(found.candidate, found.judgement, found.choices[0])
    both = together([one, replace(one, spares=2)])
    assert (both.machines, both.spares, both.usd_per_h) == (6, 2, 2 * one.usd_per_h)
    said = dict(figure_lines(both))
    assert "/M" not in said["Cost"]
    assert "at most" in said["Power"]


def test_a_simulation_tells_the_same_figures_of_its_own_load() -> None:
    """What machines come to under another workload stands on its first screen and its page."""
    seen = simulation_page(plans.overloaded(), plans.candidate(), plans.scenario(), money=bought().choices[0])
    assert "$0.25/M tokens in, $0.71 out, of requests that met every objective" in " ".join(rendered(seen).split())
    assert any(tile.label == "Per million tokens" for tile in seen.tiles)


def test_a_load_margin_tells_which_machines_are_down() -> None:
    """Of a plan with spare machines the margin is that without them, and every place that tells it says so."""
    found = bought()
    pools = (replace(found.candidate.pools[0], spares=1), *found.candidate.pools[1:])
    spared = replace(found, candidate=replace(found.candidate, pools=pools))
    text = rendered(plan_page(spared, plans.scenario()), width=100_000)
    assert "Load margin   with 1 spare machine down: 1.1 times the load; at 1.2 " in text
    assert "with" not in dict(facts(found))["Load margin"]
    figures = figures_of(spared.candidate, spared.judgement, spared.choices[0])
    assert any("with 1 spare machine down: the load holds" in tile.note for tile in figure_tiles(figures, found.margin))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (100.04, "takes the same money"), (99.96, "takes the same money"), (99.9, "saves 0.1 % of the money"),
        (100.1, "takes 0.1 % more money"),
    ],
)  # fmt: skip
def test_a_saving_of_nothing_is_no_saving(value: float, words: str) -> None:
    """What rounds to nothing is neither saved nor taken."""
    assert saved_words(value, 100.0, "money") == words


@given(st.floats(0, 1e6) | st.integers(0, 4000).map(lambda half: half / 2 + 0.49))
def test_energy_is_rounded_once(value: float) -> None:
    """What is told of kWh and kg is the nearest tenth, or whole number of a thousand on: 2,117.49 is never 2,118."""
    off = abs(float(tenths(value).replace(",", "")) - value)
    assert off <= (0.5 if value >= 999.5 else 0.05) + 1e-9


@pytest.mark.parametrize(("holds", "tile"), [(1.0, "none"), (1.05, "1.05 times")])
def test_no_margin_is_none_everywhere(holds: float, tile: str) -> None:
    """A plan that carries no more than its load has no margin: its tile says so as the terminal does."""
    answer = replace(bought(), margin=Margin(holds_ratio=holds, misses_ratio=1.2, fails=("ttft_p99_s missed",)))
    told, shown = dict(facts(answer))["Load margin"], plan_page(answer, plans.scenario()).tiles
    assert [each.value for each in shown if each.label == "Load margin"] == [tile]
    assert told.startswith(tile)


def test_savings_of_a_kind_share_a_verb() -> None:
    """What a schedule saves of money, energy and CO2 is one sentence: the verb is said again where it changes."""
    planned = Spent(cost_usd=75.0, energy_j=68.0 * 3.6e6, carbon_g=110e3)
    alone = OneKnob(knob="clock", spent=Spent(cost_usd=100.0, energy_j=100.0 * 3.6e6, carbon_g=100e3))
    said = against_one_knob(planned, (alone,)).partition("the schedule ")[2]
    assert said == "saves 25.0 % of the money, 32.0 % of the energy, takes 10.0 % more CO2"


def test_a_load_beyond_capacity_is_told_as_an_estimate() -> None:
    """A pool that the simulator shows to carry more than was estimated has no load of 112 %: that is the estimate's."""
    pools = plans.candidate().pools
    over = replace(plans.candidate(), pools=(replace(pools[0], load_frac=1.12), *pools[1:]))
    said = [row[-2] for row in pools_table(over, None).rows]
    assert said[0] == "est. 112 %"
    assert not any(str(words).startswith("est.") for words in said[1:])


def test_a_gap_of_watts_says_what_it_is_of() -> None:
    """The gap of mean watts is of the simulated ones, of planned ones where no meter is known; of money it is plain."""
    watted = replace(plans.judgement(), power=use(1500.0))
    totals = replace(plans.candidate().totals, expected_power_w=1250.0)
    plan = replace(
        plans.plan(), objective="energy", objective_value=1500.0, judgement=watted,
        candidate=replace(plans.candidate(), totals=totals),
        certificate=Certificate(bound=1200.0, gap_frac=0.2, solver_gap_frac=0.0, neighbours=()),
    )  # fmt: skip
    assert plan_gap(plan) == "20 % of 1.5 kW simulated"
    assert plan_gap(replace(plan, judgement=replace(watted, power=None))) == "20 % of 1.5 kW planned"
    assert plan_gap(replace(plan, objective="cost")) == "20 %"
    found = FleetPlan(
        models=(ModelPlan(name="a", plan=plan),), objective="energy", objective_value=1250.0, bound=1000.0,
        gap_frac=0.2, shared=(),
    )  # fmt: skip
    assert dict(not_less(found)) == {"Not less": "proven: at least 1 kW (gap 20 % of 1.25 kW simulated)"}


def test_a_smaller_plan_is_refused_by_what_it_misses_before_what_is_in_doubt() -> None:
    """A tail too wide to judge says less than an objective that is missed, however far its interval reaches."""
    missed = plans.judgement(0.15, Verdict.MISSED)
    doubt = replace(missed.evidence[0], verdict=Verdict.UNDECIDED, measured=0.756, low=0.567, high=9.0)
    both = replace(missed, evidence=(doubt, *missed.evidence[1:]))
    only = replace(missed, evidence=(doubt, replace(missed.evidence[2], verdict=Verdict.MET)))

    def said(judged: Judgement) -> str:
        smaller = Neighbour(pool="decode", machines=1, judgement=judged, fails=("x",))
        plan = plans.plan()
        certified = replace(plan.certificate, neighbours=(smaller,))
        return dict(facts(replace(plan, certificate=certified)))["Not less"]

    assert said(both).startswith("tbt_p99_s 150 ms, limit 100 ms")
    assert said(only).startswith("ttft_p99_s 756 ms (567 ms to 9 s), limit 1 s")


@given(st.floats(0, 10))
def test_a_share_is_told_in_plain_digits(share: float) -> None:
    """No power of ten stands in a gap, and what rounding alone leaves is 0 %."""
    told = percent(share)
    assert "e" not in told
    assert abs(float(told.removesuffix(" %")) / 100 - share) <= max(1e-6, 0.05 * share, 0.005 * (share >= 0.1))
