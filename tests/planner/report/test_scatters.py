"""The page of ``accuracy``: every value is a point beside what was measured, and a band holds most of them."""

import numpy as np
import pytest

from planner.accuracy.table import Accuracy, ComparedValue, ErrorTotal
from planner.report.errors import told_apart
from planner.report.html.render import render
from planner.report.page import Chart, Page
from planner.report.scatters import ALL, METRICS, accuracy_page


def found(ratios: list[float], metric: str = "tpot_mean_s") -> Accuracy:
    """Runs that were predicted so many times too long, of two engines."""
    values = tuple(
        ComparedValue(
            row=f"runs.csv:{n}", engine=("vllm", "sglang")[n % 2], gpu="h100-sxm", model="m", dtype="fp8", layout="tp8",
            draft_tokens=0, clients=8, metric=metric, measured_value=0.01 * (n + 1),
            predicted_value=0.01 * (n + 1) * ratio,
        )
        for n, ratio in enumerate(ratios)
    )  # fmt: skip
    return Accuracy(totals=(), groups=(), values=values, excluded=(), published=())


def charts(page: Page) -> dict[str, Chart]:
    """Those of a page, by name."""
    return {block.name: block for section in page.sections for block in section.blocks if isinstance(block, Chart)}


@pytest.mark.parametrize("metric", METRICS)
def test_every_value_is_a_point(metric: str) -> None:
    """Each engine's runs stand at (measured, predicted), on logarithmic axes; metrics without values have no chart."""
    page = accuracy_page(found([1.0, 1.1, 0.9, 1.2], metric))
    assert page.headline == f"4 measured runs replayed; median errors: {METRICS[metric][0]} 10 %"
    drawn = charts(page)
    assert list(drawn) == [f"scatter-{metric}"]
    (chart,) = drawn.values()
    points = [each for each in chart.spec["series"] if each.get("points")]
    assert [each["label"] for each in points] == ["sglang", "vllm"]
    assert points[1]["x"] == [0.01, 0.03]
    assert points[1]["values"] == pytest.approx([0.01, 0.027])
    assert chart.spec["xLog"]
    assert chart.spec["yLog"]


def test_the_band_holds_four_of_five_values() -> None:
    """Of a hundred ratios the dashed lines leave a tenth on either side; the whole line is where both agree."""
    ratios = np.linspace(0.5, 1.5, 101).tolist()
    (chart,) = charts(accuracy_page(found(ratios))).values()
    same, low, high = chart.spec["series"][-3:]
    assert same["values"] == same["x"]
    assert low["values"][0] / low["x"][0] == pytest.approx(0.6)
    assert high["values"][0] / high["x"][0] == pytest.approx(1.4)


def test_nothing_compared_is_a_page_too() -> None:
    """Without a value the page says so and draws nothing."""
    page = accuracy_page(found([]))
    assert not page.good
    assert not charts(page)
    assert "0 measured</span> runs replayed" in render(page)


def total(of: str, n: int, metric: str = "tpot_mean_s", dataset: str = "runs") -> ErrorTotal:
    """Errors over so many rows."""
    return ErrorTotal(
        dataset=dataset, of=of, metric=metric, n=n, median_ape=0.1, p90_ape=0.2, median_ratio=1.0,
        within_band_frac=None,
    )  # fmt: skip


def test_a_part_that_is_the_whole_is_not_told_again() -> None:
    """The only engine of a data set has its figures; an engine with fewer rows, or of another set, has its own."""
    whole, some = [total(ALL, 4), total(ALL, 4, "ttft_mean_s")], [total("engine sglang", 3)]
    same = [total("engine vllm", 4), total("engine vllm", 4, "ttft_mean_s")]
    other = [total(ALL, 9, dataset="b"), total("engine vllm", 4, dataset="b")]
    assert told_apart([*whole, *same, *some, *other]) == [*whole, *some, *other]
