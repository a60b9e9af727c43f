"""What a question over time makes of the solver and of the simulator, as text."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hw_catalog.errors import CatalogError
from planner.errors import BadInput
from planner.executor.here import Here
from planner.scenario import Scenario
from planner.schedules import groups, judged, planning, programs
from planner.schedules.question import opened, policies_of, question_of
from planner.simulator.pools import Events
from planner.simulator.traffic import Traffic
from solvers.lp_format import lp_text
from workloads.errors import WorkloadError
from workloads.traces import Trace


class Recorder:
    """What is solved and what is served, as text."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Listen at the doors of the solver and the simulator."""
        self.said: list[str] = []
        for name in ("solve", "solve_decomposed"):
            monkeypatch.setattr(programs, name, self._solver(name, getattr(programs, name)))
        monkeypatch.setattr(judged, "judge", self._judge)
        monkeypatch.setattr(groups, "Threads", Here)  # one after the other: which thread is first is no answer

    def _solver(self, name: str, real: Any) -> Any:
        def solved(problem: Any, *args: Any, **kwargs: Any) -> Any:
            told = {key: value for key, value in kwargs.items() if key != "start"}
            self.said.append(f"{name} {lp_text(problem)} {told}")
            return real(problem, *args, **kwargs)

        return solved

    def _judge(
        self, pools: Any, policy: Any, traffic: Traffic, slos: Any, judging: Any, *, reference: Any, events: Events
    ) -> Any:
        shifts = [(s.at_s, s.instance, s.opens) for s in events.shifts]
        traces = [_digest(traffic.draw(seed)) for seed in traffic.seeds[:1]]
        how = (tuple(traffic.seeds), traffic.exact, traffic.aligned, tuple(events.failures), judging)
        bodies = [(p.name, p.instances, p.speed, p.physics.kv_blocks, p.physics.step.decode_s(4, 900.0)) for p in pools]
        alone = reference and reference.step.prefill_s([(1000, 0)])
        self.said.append(f"{bodies} {policy!r} {slos} {shifts} {traces} {alone} {how}")
        raise _Enough


class _Enough(Exception):  # noqa: N818
    """No need to serve it."""


def _digest(trace: Trace) -> str:
    return f"{len(trace)} {np.sum(trace.arrival_s):.6f} {trace.prompt_tokens.sum()} {trace.output_tokens.sum()}"


def fingerprint(day: Path, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> str:
    """What a question over time makes of the solver and of the simulator, or how it is refused."""
    seen = Recorder(monkeypatch)
    try:
        scenario = Scenario.load(day, words)
        asked = opened(scenario, policies_of(scenario)[0])
        seen.said.append(
            f"{scenario.validation.max_rounds} {asked.section.validated_epochs} {scenario.solver.search_evaluations}"
        )
        seen.said.append(lp_text(programs.epoch_problem(question_of(asked))))
        planning.timetable(scenario, progress=lambda *_: None)
    except _Enough:
        pass
    except (BadInput, CatalogError, WorkloadError) as wrong:
        seen.said.append(f"refused: {wrong}")
    return "\n".join(seen.said)
