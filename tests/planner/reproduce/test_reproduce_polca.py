"""POLCA beside what our simulator says of it."""

from dataclasses import replace

import pytest

from planner.reproduce.claims import Claim, ClaimVerdict
from planner.reproduce.polca import CLOCKS_MHZ, LADDER, LOADS, SERVERS, WEEK, polca
from planner.reproduce.polca_row import (
    MACHINE,
    BloomPower,
    bloom_response,
    polca_floor,
    saturation_req_per_s,
)


@pytest.fixture(scope="module")
def claims() -> tuple[Claim, ...]:
    """Every claim, of two hours instead of six weeks."""
    return tuple(polca(progress=lambda _words, _frac: None, weeks=1, week_s=7200.0).claims)


def test_every_load_has_every_claim(claims: tuple[Claim, ...]) -> None:
    """Both loads say something of every published number, and what publications alone imply stands apart."""
    readings = {name: [c.name for c in claims if c.reading == f"{name} load"] for name in LOADS}
    light, busy = readings.values()
    assert light == busy
    assert len(light) > 12 + len(LADDER)
    assert {c.reading for c in claims} == {"arithmetic", *(f"{name} load" for name in LOADS)}


def test_only_what_was_published_is_judged(claims: tuple[Claim, ...]) -> None:
    """A finding of our own has no published number beside it, so it is neither reproduced nor refuted."""
    for claim in claims:
        if claim.source == "our finding":
            assert claim.paper is None
            assert claim.verdict is ClaimVerdict.NOT_DERIVABLE
        else:
            assert claim.paper is not None
            assert claim.ours is not None


def test_headroom_and_rise_are_arithmetic(claims: tuple[Claim, ...]) -> None:
    """26.6 % follow from a peak of 79 %, and 89 % and 11.8 % are more than the limit: both are said to differ."""
    headroom, rise = (c for c in claims if c.reading == "arithmetic")
    assert headroom.ours == pytest.approx(0.266, abs=1e-3)
    assert rise.ours == pytest.approx(1.008)
    assert {headroom.verdict, rise.verdict} == {ClaimVerdict.DIFFERS}


def test_watts_stand_in_from_the_published_table() -> None:
    """At full clock a server draws what Splitwise's table says of its GPUs, plus its own share."""
    power, response = BloomPower(), bloom_response(CLOCKS_MHZ)
    assert power.prefill_w(2048, 1410.0) == pytest.approx(1360 + 1.21 * 8 * 1.02 * 400)
    assert power.decode_w(16, 1410.0) == pytest.approx(1360 + 1.21 * 8 * 0.656 * 400)
    assert response.decode_w[0, 0] == pytest.approx(power.idle_w(1410.0))
    assert response.decode_w[0, 0] < response.decode_w[0, 1]


def test_lower_clocks_draw_less_and_take_longer() -> None:
    """Watts fall and times rise with every step down of the clock; idle watts stay."""
    response = bloom_response(CLOCKS_MHZ)
    for k in range(len(CLOCKS_MHZ) - 1):
        assert (response.prefill_w[k] > response.prefill_w[k + 1]).all()
        assert (response.decode_w[k, 1:] > response.decode_w[k + 1, 1:]).all()
        assert (response.decode_slowdown_ratio[k, 1:] < response.decode_slowdown_ratio[k + 1, 1:]).all()
        assert response.prefill_slowdown_ratio[k] < response.prefill_slowdown_ratio[k + 1]
    assert len(set(response.decode_w[:, 0].tolist())) == 1


def test_half_the_row_is_low_priority() -> None:
    """A quarter each of the published row summarises, searches, and chats at low and at high priority."""
    floor = polca_floor(CLOCKS_MHZ, SERVERS, WEEK, 0.1)
    low = [floor.kinds[k].low_priority for k in floor.kind_of]
    assert [floor.kind_of.count(k) for k in range(4)] == [10, 10, 10, 10]
    assert sum(low) == 20
    assert replace(WEEK, noise_frac=0.0).noise_frac == 0
    assert MACHINE == "dgx-a100"


def test_saturation_falls_with_length() -> None:
    """A server keeps up with fewer requests the longer they are."""
    response = bloom_response(CLOCKS_MHZ)
    short, longer = saturation_req_per_s(response, 1000, 500), saturation_req_per_s(response, 4000, 500)
    assert short > longer > saturation_req_per_s(response, 4000, 1500) > 0
