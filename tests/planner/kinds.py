"""Two kinds of requests that meet in the steps of one instance."""

import numpy as np

from workloads.demand import ClassDemand, Demand
from workloads.requests import RequestClass


def two_kinds(seed: int, long: int, talk: int, requests: int) -> Demand:
    """Long prompts with short answers, and short prompts with long answers, as many of each."""
    draw, half = np.random.default_rng(seed), requests // 2
    lengths = {"reads": ((long // 2, long), (2, 4)), "talks": ((1, 40), (talk // 2, talk))}
    return Demand(classes=tuple(
        ClassDemand(
            request_class=RequestClass(name=name), rate_req_per_s=1.0, prompt_tokens=draw.integers(*prompts, half),
            output_tokens=draw.integers(*outputs, half),
        )
        for name, (prompts, outputs) in lengths.items()
    ))  # fmt: skip
