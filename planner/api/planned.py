"""One plan, from Python: data frames of everything in it, and how notebooks show it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from hw_catalog.bands import ErrorBand, band_of, load_bands
from hw_catalog.load import load_catalog
from planner.api.frames import RULE, Row, Shown, evidence_rows, frame_of
from planner.errors import BadInput
from planner.files.plan_file import write_plan
from planner.planning import plan as planning
from planner.report.headlines import headline_of
from planner.report.markdown import OF_PLANS, as_markdown
from planner.report.page import Page
from planner.report.plans import no_plan_page, plan_page, reasons
from planner.report.screen import facts
from planner.results.evidence import NoPlan, ValidatedPlan
from planner.results.row import RowTrial
from planner.scenario import Scenario

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Planned(Shown):
    """What ``plan`` came to.

    Attributes:
        scenario: the question.
        answer: a validated plan, or why there is none.
        digests: of what was read for it; empty where that is not known.
    """

    scenario: Scenario
    answer: ValidatedPlan | NoPlan
    digests: Mapping[str, str] = field(default_factory=dict)

    @property
    def valid(self) -> bool:
        """Whether there is a plan."""
        return isinstance(self.answer, ValidatedPlan)

    @property
    def plan(self) -> ValidatedPlan:
        """The plan.

        Raises:
            BadInput: there is none; the message is the reason.
        """
        if isinstance(self.answer, NoPlan):
            first, *rest = self.answer.explanation
            told = (words for _, words in reasons(rest, "answer.explanation"))
            raise BadInput(f"there is no plan ({self.answer.reason}): {first}", *told)
        return self.answer

    def page(self) -> Page:
        """Everything that ``phasewise plan --verbose`` shows."""
        if isinstance(self.answer, NoPlan):
            return no_plan_page(self.answer, self.scenario)
        return plan_page(self.answer, self.scenario)

    @property
    def verdict(self) -> str:
        """The answer in a sentence."""
        if isinstance(self.answer, NoPlan):
            return f"NO PLAN ({self.answer.reason}): {self.answer.explanation[0]}"
        return f"VALIDATED: {headline_of(self.answer.candidate, self.scenario)}"

    def frame(self) -> "pd.DataFrame":
        """One row for each pool; none where there is no plan."""
        pools = self.answer.candidate.pools if isinstance(self.answer, ValidatedPlan) else ()
        return frame_of([
            {
                "role": p.spec.role, "machine": p.spec.machine, "layout": p.spec.layout.name, "instances": p.instances,
                "machines": p.machines, "rate_req_per_s": sum(p.rate_req_per_s.values()), "load_frac": p.load_frac,
                "kv_load_frac": p.kv_load_frac,
            }
            for p in pools
        ])  # fmt: skip

    def evidence(self) -> "pd.DataFrame":
        """One row for each objective."""
        return frame_of(evidence_rows(self.plan.judgement.evidence))

    def alternatives(self) -> "pd.DataFrame":
        """One row for each precision, engine and policy that was looked at, the best first."""
        rows: list[Row] = [
            {"dtype": c.variant.dtype, "kv_dtype": c.variant.kv_dtype, **_flat(c)} for c in self.plan.choices
        ]
        return frame_of(rows)

    def smaller(self) -> "pd.DataFrame":
        """One row for each smaller or cheaper plan that was tried, with what it misses."""
        return frame_of([
            {"pool": n.pool, "machines": n.machines, "fails": "; ".join(n.fails)}
            for n in self.plan.certificate.neighbours
        ], ("pool", "machines", "fails"))  # fmt: skip

    def rounds(self) -> "pd.DataFrame":
        """One row for each planning round: what was proposed, and whether the simulator confirmed it."""
        return frame_of([
            {
                "step": r.step, "machines": r.candidate.totals.machines,
                "cost_usd_per_h": r.candidate.totals.cost_usd_per_h, "valid": r.judgement.valid, "note": r.note,
            }
            for r in self.plan.rounds
        ])  # fmt: skip

    def bands(self) -> "pd.DataFrame":
        """One row for each metric measured with the plan's kernel tables, of its model or else of others."""
        own = self.scenario.catalog.directory
        catalog = load_catalog(Path(own) if own else None)
        gpus = {catalog.machines[p.spec.machine].gpu.profile_gpu for p in self.plan.candidate.pools}
        variant = self.plan.candidate.variant
        tables = variant.profile_set if variant else ""
        known = load_bands()
        own_key = {key: (*key[:2], self.scenario.model.name, key[3]) for key in known}
        rows: list[Row] = [
            asdict(band)
            for key, band in known.items()
            if band.gpu in gpus
            and band.profile_set.partition("@")[0] == tables
            and band_of(known, own_key[key]) is band
        ]
        return frame_of(rows, [each.name for each in fields(ErrorBand)])

    def rows(self) -> "pd.DataFrame":
        """One row for each number of machines that was tried behind a breaker; empty where no row was asked for."""
        study = self.plan.power
        rows = [{**asdict(trial), "fails": "; ".join(trial.fails)} for trial in study.trials] if study else []
        return frame_of(rows, [each.name for each in fields(RowTrial)])

    def save(self, path: Path | str) -> None:
        """Write a ``plan.json``.

        Raises:
            BadInput: there is no plan, or the file cannot be written.
        """
        write_plan(Path(path), self.scenario, self.plan, self.digests or planning.digests(self.scenario))

    def _repr_html_(self) -> str:
        lines = [f"<p style='{RULE}'><strong>{escape(self.verdict)}</strong></p>"]
        if isinstance(self.answer, NoPlan):
            return "".join((*lines, *(f"<p style='{RULE}'>{escape(line)}</p>" for line in self.answer.explanation[1:])))
        tables = (self.frame(), self.evidence())
        lines += [str(table.to_html(index=False, float_format="{:.4g}".format)) for table in tables]
        told = "".join(f"<dt>{escape(name)}</dt><dd>{escape(words)}</dd>" for name, words in facts(self.answer))
        return "".join((*lines, f"<dl>{told}</dl>"))

    def _repr_markdown_(self) -> str:
        if isinstance(self.answer, NoPlan):
            return f"**{self.verdict}**\n"
        return as_markdown(plan_page(self.answer, self.scenario), self.scenario.name, OF_PLANS)


def _flat(choice: object) -> Row:
    """The figures of a choice that are numbers or words."""
    names = (
        "engine", "engine_version", "policy", "allowed", "standing", "objective_value", "bound", "cost_usd_per_h",
        "power_w", "machines", "gpus", "gpu_tokens_per_s", "user_tokens_per_s", "usd_per_million_prompt_tokens",
        "usd_per_million_output_tokens", "concurrency",
    )  # fmt: skip
    return {name: getattr(choice, name) for name in names}
