"""Rules of what people see."""

import re
from dataclasses import replace
from io import StringIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from planner.perf.layout import InstanceSpec, Layout, Role
from planner.report import words
from planner.report.evidence import failures, served
from planner.report.page import Page
from planner.report.plans import no_plan_page, plan_page, simulation_page
from planner.report.rich import ALL, drawn
from planner.report.screen import LINES, facts
from planner.results.evidence import Margin, Neighbour, PeakShare, ValidatedPlan, Verdict
from tests.planner import plans
from tests.planner.goldens import GOLDEN, same_as_golden

WIDTH = 100
BUDGETED = replace(
    plans.plan(),
    objective="throughput",
    objective_value=20.0,
    warnings=(),
    certificate=replace(plans.plan().certificate, neighbours=(), bound=None),
)
VIEWS: dict[str, tuple[Page, tuple[str, ...]]] = {
    "plan": (plan_page(plans.plan(), plans.scenario()), (ALL,)),
    "screen": (plan_page(plans.plan(), plans.scenario()), ()),
    "no-plan": (no_plan_page(plans.no_plan(), plans.scenario()), ()),
    "simulation": (simulation_page(plans.overloaded(), plans.candidate(1), plans.scenario()), (ALL,)),
    "simulation-screen": (simulation_page(plans.overloaded(), plans.candidate(1), plans.scenario()), ()),
    "budgets": (
        plan_page(
            BUDGETED, plans.scenario().changed(["budgets={power_w: 60000, machines: 4}", "objective=throughput"])
        ),
        (ALL,),
    ),
}


def rendered(page: Page, *sections: str, width: int = WIDTH) -> str:
    console = Console(width=width, file=StringIO(), highlight=False)
    console.print(drawn(page, sections), crop=False)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def view(name: str, width: int = WIDTH) -> str:
    page, sections = VIEWS[name]
    return rendered(page, *sections, width=width)


@pytest.mark.parametrize("name", sorted(VIEWS))
def test_view_is_golden(name: str) -> None:
    """What people see changes only when someone means it to."""
    same_as_golden(view(name), GOLDEN / f"{name}.txt")


@pytest.mark.parametrize("name", sorted(VIEWS))
def test_view_fits_80_columns(name: str) -> None:
    """No line is wider than 80 columns and no name is cut."""
    text = view(name, 80)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text


@pytest.mark.parametrize(
    ("name", "verdict"), [("plan", "VALIDATED: "), ("no-plan", "NO PLAN (infeasible): "), ("simulation", "NOT MET: ")]
)
def test_verdict_comes_first(name: str, verdict: str) -> None:
    """The first words are the verdict."""
    assert view(name).startswith(verdict)


@pytest.mark.parametrize("name", ["plan", "screen"])
def test_plan_shows_every_pool_and_objective(name: str) -> None:
    """Machines and objectives of a plan stand in its text, on the first screen too."""
    text = view(name, width=200)
    plan = plans.plan()
    for pool in plan.candidate.pools:
        assert pool.spec.machine in text
    for evidence in plan.judgement.evidence:
        assert re.search(rf"{evidence.key} .* {evidence.words} ", text)
    for line in (*(plan.sources if name == "plan" else ()), *plan.warnings):
        assert line in text


_NAMES = st.text("abcdefghij-0123456789", min_size=3, max_size=24)
_SENTENCES = st.lists(_NAMES, min_size=1, max_size=60).map(" ".join)


@st.composite
def _plans(draw: st.DrawFn) -> ValidatedPlan:
    """Plans of many pools and objectives, about which there is much to say."""
    base = plans.plan()
    specs = [
        InstanceSpec(role=draw(st.sampled_from(Role)), machine=name, layout=Layout(tp=8))
        for name in draw(st.lists(_NAMES, min_size=1, max_size=12, unique=True))
    ]
    pools = tuple(replace(base.candidate.pools[0], spec=spec, machines=n + 1) for n, spec in enumerate(specs))
    keys = draw(st.lists(_NAMES, min_size=1, max_size=20, unique=True))
    evidence = tuple(
        replace(
            base.judgement.evidence[0],
            slo=replace(base.judgement.evidence[0].slo, request_class=key),
            verdict=draw(st.sampled_from(Verdict)),
        )
        for key in keys
    )
    judged = replace(base.judgement, evidence=evidence, workload=draw(_SENTENCES))
    peaks = [PeakShare(pool=s.name, gpus=8, prompt_tokens_per_s=1e4, output_tokens_per_s=1e3, flops_frac=0.5,
                       hbm_frac=0.5) for s in specs]  # fmt: skip
    fails = tuple(draw(st.lists(_SENTENCES, min_size=1, max_size=4)))
    near = Neighbour(pool=specs[0].name, machines=3, judgement=None, fails=fails)
    return replace(
        base, candidate=replace(base.candidate, pools=pools), judgement=judged, peaks=tuple(peaks),
        margin=Margin(holds_ratio=1.1, misses_ratio=1.2, fails=fails), alternatives=fails, warnings=fails,
        accuracy=fails, certificate=replace(base.certificate, neighbours=(near,)),
    )  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(_plans(), st.integers(60, 200), st.booleans())
def test_the_first_screen_fits_a_terminal(plan: ValidatedPlan, width: int, simulated: bool) -> None:
    """However much there is to say of a plan or a simulation, the first screen has at most 25 lines on a terminal of 60
    columns or more.
    """
    page = plan_page(plan, plans.scenario())
    if simulated:
        page = simulation_page(plan.judgement, plan.candidate, plans.scenario())
    text = rendered(page, width=width)
    assert len(text.splitlines()) <= LINES
    assert text.startswith(f"{page.verdict}: ")


@settings(max_examples=40, deadline=None)
@given(st.lists(_SENTENCES, min_size=1, max_size=30), st.integers(60, 200))
def test_no_plan_fits_a_terminal(why: list[str], width: int) -> None:
    """Why there is no plan takes at most 25 lines at first, however long the explanation is; the first reason and the
    budgets to raise are among them.
    """
    answer = replace(plans.no_plan(), explanation=("No plan fits.", *why))
    text = rendered(no_plan_page(answer, plans.scenario()), width=width)
    assert len(text.splitlines()) <= LINES
    assert "No plan fits" in text
    assert all(key in text for key in answer.raises)


def test_wide_terminals_show_whole_sentences() -> None:
    """Where there is room nothing is cut: a piped first screen holds every fact as it is."""
    plan = plans.plan()
    text = rendered(plan_page(plan, plans.scenario()), width=100_000)
    assert all(words in text for _, words in facts(plan))


@settings(max_examples=20, deadline=None)
@given(_plans(), st.integers(20, 120))
def test_names_are_never_folded(plan: ValidatedPlan, width: int) -> None:
    """However narrow the terminal is, every pool and objective of a table stands in one line, whole."""
    text = rendered(plan_page(plan, plans.scenario()), "buy", "evidence", width=width)
    for pool in plan.candidate.pools:
        assert re.search(rf"{re.escape(pool.spec.machine)} ", text)
    for evidence in plan.judgement.evidence:
        assert f"{evidence.key} " in text


def test_a_section_is_shown_by_its_name() -> None:
    """Sections that are named are shown below the verdict, and no others."""
    text = rendered(VIEWS["plan"][0], "rounds")
    assert "Planning rounds" in text
    assert "What to buy" not in text
    assert "objective: cost" in rendered(VIEWS["plan"][0], "scenario")


def test_an_order_that_is_not_the_policys_own_is_told() -> None:
    """The verdict says in which order prompts wait where that was chosen, and nothing of the policy's own order."""
    own, chosen = (plans.scenario().changed([f"policy.order={order}"]) for order in ("fifo", "lars"))
    about = f"policy {plans.plan().candidate.policy}"
    for page in (plan_page(plans.plan(), own), simulation_page(plans.overloaded(), plans.candidate(1), own)):
        assert about in page.about
        assert "order" not in page.about
    for page in (plan_page(plans.plan(), chosen), simulation_page(plans.overloaded(), plans.candidate(1), chosen)):
        assert f"{about}, order lars" in page.about
        assert "order lars" in rendered(page, width=200)


def test_failures_and_validity_agree() -> None:
    """A judgement has failures to show exactly when it is not valid."""
    for judgement in (
        plans.judgement(),
        plans.overloaded(),
        replace(plans.judgement(), steady=False),
        replace(plans.judgement(), refused=1),
        plans.judgement(0.1, Verdict.UNDECIDED),
    ):
        assert bool(failures(judgement)) is not judgement.valid


@given(st.floats(1e-6, 1e9))
def test_amounts_are_short_and_plain(value: float) -> None:
    """Amounts are never written with a large exponent and never take more than 20 characters."""
    for shown in (
        words.seconds(value),
        words.watts(value),
        words.rate(value),
        words.dollars(value),
        words.number(value),
    ):
        assert len(shown) <= 20
        assert "e+" not in shown


@given(st.floats(1e-3, 1e9))
def test_amounts_are_near(value: float) -> None:
    """What is shown is within 0.1 % of what is meant."""
    assert float(words.number(value).replace(",", "")) == pytest.approx(value, rel=1e-3)
    number, unit = words.watts(value).split()
    assert float(number.replace(",", "")) * {"W": 1, "kW": 1e3}[unit] == pytest.approx(value, rel=1e-3)


def test_a_limit_of_one_machine_type_is_named_whole() -> None:
    """A limit whose name holds brackets, such as the availability of a machine type, is shown as it is."""
    scarce = replace(plans.no_plan(), raises={"availability[dgx-h100]": (0.0, 3.0)})
    assert "catalog.available.dgx-h100" in rendered(no_plan_page(scarce, plans.scenario()))


def test_pools_that_were_not_metered_have_no_table() -> None:
    """The reference tells times of requests and meters no pool: no table of their use is shown, nor an empty one."""
    metered = served(plans.candidate(), plans.judgement(), None)
    assert "pools" in [part.name for part in metered]
    bare = replace(plans.judgement(), pools=(), power=None)
    assert [part.name for part in served(plans.candidate(), bare, None)] == ["evidence", "latency"]
