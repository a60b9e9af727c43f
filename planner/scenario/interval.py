"""Intervals: how far a number may turn out other than it says."""

from typing import Annotated

from pydantic import AfterValidator

from planner.scenario.numbers import Number


def _rising(interval: tuple[float, float]) -> tuple[float, float]:
    if interval[1] < interval[0]:
        raise ValueError("[low, high] with high not below low")
    return interval


Interval = Annotated[tuple[Number, Number], AfterValidator(_rising)]
