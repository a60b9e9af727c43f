"""The public traces, against the numbers known of them."""

import pytest

from workloads.stats import LengthStats, stats
from workloads.traces import Trace


def known(p1: float, p10: float, p50: float, p90: float, p99: float, mean: float) -> LengthStats:
    return LengthStats(p1_tokens=p1, p10_tokens=p10, p50_tokens=p50, p90_tokens=p90, p99_tokens=p99, mean_tokens=mean)


def assert_lengths(found: LengthStats, expected: LengthStats) -> None:
    """Within 0.3 %, what rounding and the choice of quantile interpolation can make."""
    for field in LengthStats.__dataclass_fields__:
        assert getattr(found, field) == pytest.approx(getattr(expected, field), rel=3e-3), field


def test_azure_code_2023(azure_code: Trace) -> None:
    """The code trace: 8,819 long prompts with short answers, in bursts thirteen times as uneven as Poisson."""
    found = stats(azure_code)
    assert (found.requests, found.skipped_rows) == (8819, 0)
    assert found.duration_s == pytest.approx(3436, abs=1)
    assert found.rate_req_per_s == pytest.approx(2.57, abs=0.005)
    assert_lengths(found.prompt, known(17, 147, 1469, 5194, 7436, 2048))
    assert_lengths(found.output, known(6, 7, 13, 55, 252, 27.9))
    assert found.correlation == pytest.approx(0.00, abs=0.005)
    assert found.gap_cv == pytest.approx(13.2, abs=0.05)
    assert found.peak_minute_ratio == pytest.approx(4.2, abs=0.05)


def test_azure_conversation_2023(azure_conv: Trace) -> None:
    """The conversation trace: 19,366 requests, close to Poisson from second to second."""
    found = stats(azure_conv)
    assert (found.requests, found.skipped_rows) == (19366, 0)
    assert found.duration_s == pytest.approx(3502, abs=1)
    assert found.rate_req_per_s == pytest.approx(5.53, abs=0.005)
    assert_lengths(found.prompt, known(29, 207, 1020, 2735, 4142, 1155))
    assert_lengths(found.output, known(16, 54, 129, 424, 601, 211))
    assert found.correlation == pytest.approx(-0.11, abs=0.005)
    assert found.gap_cv == pytest.approx(1.09, abs=0.005)
    assert found.peak_minute_ratio == pytest.approx(1.5, abs=0.05)


def test_mooncake_conversation(mooncake: Trace) -> None:
    """The Mooncake trace: 12,031 requests over 59 minutes, timestamps in milliseconds."""
    found = stats(mooncake)
    assert found.requests == 12031
    assert found.duration_s == pytest.approx(3537, abs=1)
