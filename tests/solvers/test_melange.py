"""Published GPU-mix questions have the published answers.

Cases: GPU mixes in the form of Mélange (arXiv 2404.14527), their costs computed by its own code and by two solvers.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from solvers.allocation import Reason
from solvers.problem import Column, Problem, Row, Sense
from solvers.solve import solve

CASES = Path(__file__).parents[3] / "shared" / "data" / "cases" / "melange_cases.json"


def _cases() -> list[dict[str, Any]]:
    if not CASES.exists():
        pytest.skip(f"{CASES.name} is not beside this checkout: the published answers cannot be compared")
    found: list[dict[str, Any]] = json.loads(CASES.read_text(encoding="utf-8"))["cases"]
    assert found
    return found


def _program(case: dict[str, Any], *, slices: int | None) -> Problem:
    """Min sum of cost·gpus[g]; each bucket's rate is spread over types, in whole slices or (None) continuously.

    Identical slices of a bucket are counted, not told apart: share[b,g] of ``slices`` go to type g.
    """
    gpus = case["gpu_info"]
    buckets = {
        (i, j): weight * case["total_request_rate"]
        for i, row in enumerate(case["workload_distribution"])
        for j, weight in enumerate(row)
        if weight
    }
    whole = 1 if slices is None else slices
    shares = [(b, g) for b in buckets for g in gpus if gpus[g]["tputs"][b[0]][b[1]]]
    rows = []
    for b in buckets:
        terms = tuple((f"share{b}{g}", 1.0) for c, g in shares if c == b)
        rows.append(Row(name=f"all{b}", family="demand", terms=terms, lower=whole, upper=whole))
    for g in gpus:
        work = [(f"share{b}{g}", buckets[b] / whole / gpus[g]["tputs"][b[0]][b[1]]) for b, h in shares if h == g]
        rows.append(Row(name=f"load {g}", family="load", terms=(*work, (f"gpus {g}", -1.0)), upper=0.0))
    return Problem(
        name=case["name"],
        sense=Sense.MIN,
        columns=(
            *(Column(name=f"gpus {g}", integer=True, objective=gpus[g]["cost"]) for g in gpus),
            *(Column(name=f"share{b}{g}", upper=whole, integer=slices is not None) for b, g in shares),
        ),
        rows=tuple(rows),
    )


def test_sliced_cases_cost_what_was_published() -> None:
    """With whole slices, every case's optimum is the published one, and never above what Mélange's own code found."""
    for case in _cases():
        found = solve(_program(case, slices=case["slice_factor"]), time_limit_s=20.0).termination
        assert found.reason is Reason.OPTIMAL, case["name"]
        assert found.objective == pytest.approx(case["expected_optimum"]["cost"], rel=1e-5), case["name"]
        assert found.objective is not None
        if case["expected_melange"]:  # its own code divides by zero where a type cannot serve a bucket
            assert found.objective <= case["expected_melange"]["cost"] * (1 + 1e-6)


def test_continuous_routing_costs_what_was_published() -> None:
    """With continuous routing, every case's optimum is the published one, and never above the sliced one."""
    for case in _cases():
        found = solve(_program(case, slices=None), time_limit_s=20.0).termination
        assert found.reason is Reason.OPTIMAL, case["name"]
        assert found.objective == pytest.approx(case["expected_fractional_routing_optimum"]["cost"], rel=1e-5)
        assert found.objective is not None
        assert case["lower_bound"] * (1 - 1e-5) <= found.objective <= case["expected_optimum"]["cost"] * (1 + 1e-5)
