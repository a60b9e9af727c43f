"""Rules of the picture of a cluster."""

import re
from collections.abc import Iterator
from dataclasses import replace
from xml.etree.ElementTree import Element, fromstring

from hypothesis import given
from hypothesis import strategies as st

from planner.perf.layout import Layout, Role
from planner.report.html.cluster import cluster
from planner.results.plan import CandidatePlan, Pool
from tests.planner import plans
from tests.planner.pictures import picture

LETTER_PX, ABOVE_PX, BELOW_PX = 7.8, 10.9, 4.0
"""Of the widest words of a picture: how far a letter reaches to the right, above its line and below it."""


def pool(role: Role, number: int, machines: int) -> Pool:
    base = plans.candidate().pools[0]
    spec = replace(plans.DECODE, role=role, layout=Layout(tp=2**number))
    return replace(base, spec=spec, machines=machines, instances=machines, rate_req_per_s={"all": 1234.5})


def points(path: str) -> Iterator[tuple[float, float]]:
    """Places along a line: ``M x y C ...`` or ``M x y H x``."""
    numbers = [float(each) for each in re.findall(r"-?[\d.]+", path)]
    if "H" in path:
        numbers += [numbers[1]]
        ends = (tuple(numbers[:2]), tuple(numbers[:2]), tuple(numbers[2:]), tuple(numbers[2:]))
    else:
        ends = tuple(tuple(numbers[at : at + 2]) for at in range(0, 8, 2))
    for step in range(201):
        t = step / 200
        weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3)
        x, y = (sum(w * end[axis] for w, end in zip(weights, ends, strict=True)) for axis in (0, 1))
        yield x, y


def box(text: Element) -> tuple[float, float, float, float]:
    """Left, top, right and lower edge of words."""
    x, y, long = float(text.attrib["x"]), float(text.attrib["y"]), LETTER_PX * len(text.text or "")
    left = x - {"end": 1.0, "middle": 0.5}.get(text.attrib.get("text-anchor", ""), 0.0) * long
    return left, y - ABOVE_PX, left + long, y + BELOW_PX


@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=4), st.lists(st.integers(1, 30), max_size=4),
    st.sampled_from(["splitwise-sim", "colocated"]), st.booleans(),
)  # fmt: skip
def test_no_arrow_crosses_words(firsts: list[int], thens: list[int], policy: str, seen: bool) -> None:
    """However many pools there are, no line of the picture lies on words beside it, and no words lie on others."""
    roles = (Role.PREFILL if thens else Role.MIXED, Role.DECODE)
    pools = [
        pool(role, n, m) for role, counts in zip(roles, (firsts, thens), strict=True) for n, m in enumerate(counts)
    ]
    candidate: CandidatePlan = replace(plans.candidate(), pools=tuple(pools), policy=policy)
    seen_as = picture()
    bought = tuple(replace(seen_as.bought[0], pool=each.spec.name, link="infiniband-8x200") for each in pools)
    drawing = fromstring(str(cluster(candidate, replace(seen_as, bought=bought) if seen else None)))
    words = [each for each in drawing.iter("text") if each.attrib.get("class") in ("small", "strong", "quiet", None)]
    outside = [each for each in words if "requests" in (each.text or "") or each.attrib.get("class") == "small"]
    outside += [each for each in words if each.text in (policy, f"{sum(firsts and [1234.5] * len(firsts)):,.0f} req/s")]
    places = [at for path in drawing.iter("path") if path.attrib["class"] == "flow" for at in points(path.attrib["d"])]
    for left, top, right, low in map(box, outside):
        assert not [at for at in places if left < at[0] < right and top < at[1] < low]
    boxes = [box(each) for each in outside]
    assert not [
        (a, b) for n, a in enumerate(boxes) for b in boxes[n + 1 :]
        if a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
    ]  # fmt: skip
