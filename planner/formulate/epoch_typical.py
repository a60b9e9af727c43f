"""Some epochs that stand for all: what is decided once for all of them is found in a small program."""

from dataclasses import replace

import numpy as np

from planner.formulate.epoch_question import EpochQuestion
from planner.scenario.objectives import Transitions
from workloads.load import Floats, Load


def typical(question: EpochQuestion, epochs: int) -> EpochQuestion:
    """The question in so many epochs, each as long as those together that it is the mean of: alike in what they ask.

    Epochs are sorted by the rate of all classes; what changes between them cost is left out.
    """
    load, tariff = question.load, question.tariff
    total = np.sum(np.array(list(load.peak_req_per_s.values())), axis=0)
    groups = np.array_split(np.argsort(total, kind="stable"), min(epochs, load.epochs))

    def means(values: Floats) -> Floats:
        return np.array([values[group].mean() for group in groups])

    return replace(
        question,
        load=Load(
            epoch_s=load.duration_s / len(groups),
            mean_req_per_s={name: means(rates) for name, rates in load.mean_req_per_s.items()},
            peak_req_per_s={name: means(rates) for name, rates in load.peak_req_per_s.items()},
        ),
        tariff=replace(tariff, carbon_g_per_kwh=tuple(means(np.array(tariff.carbon_g_per_kwh)).tolist())),
        transitions=Transitions(start_s=0.0, cyclic=False), least_spares={},
    )  # fmt: skip
