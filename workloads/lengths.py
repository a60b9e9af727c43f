"""Lengths: how many prompt and output tokens a request has."""

from dataclasses import dataclass
from math import inf, log, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from workloads.errors import WorkloadError
from workloads.traces import MOST_TOKENS, Trace

Ints = NDArray[np.int64]

_Z95 = NormalDist().inv_cdf(0.95)
_KNOTS = (0.0, 0.005, 0.01, 0.025, *(k / 20 for k in range(1, 20)), 0.975, 0.99, 0.995, 0.998, 0.999, 0.9995, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    """Every request has ``tokens``, >= 1."""

    tokens: int

    def __post_init__(self) -> None:
        _check_range(self.tokens, self.tokens)

    def sample(self, requests: int, rng: np.random.Generator) -> Ints:  # noqa: ARG002 - one shape for all
        """Tokens of that many requests, (n,)."""
        return np.full(requests, self.tokens, dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Uniform:
    """Every length from ``min_tokens`` to ``max_tokens``, both inclusive, is as likely."""

    min_tokens: int
    max_tokens: int

    def __post_init__(self) -> None:
        _check_range(self.min_tokens, self.max_tokens)

    def sample(self, requests: int, rng: np.random.Generator) -> Ints:
        """Tokens of that many requests, (n,)."""
        return rng.integers(self.min_tokens, self.max_tokens, requests, endpoint=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogNormal:
    """Lengths whose logarithm is normal; draws outside the limits are moved onto them.

    Attributes:
        median_tokens: half of the requests are shorter, > 0.
        sigma: standard deviation of the logarithm, >= 0.
        min_tokens: >= 1.
        max_tokens: None is unbounded.
    """

    median_tokens: float
    sigma: float
    min_tokens: int = 1
    max_tokens: int | None = None

    def __post_init__(self) -> None:
        _check_range(self.min_tokens, self.max_tokens)
        if not (0 < self.median_tokens < inf and 0 <= self.sigma < inf):
            raise WorkloadError(
                f"lognormal lengths: median_tokens is {self.median_tokens:g} and sigma {self.sigma:g}, "
                "expected finite numbers above 0 and not below 0"
            )

    def sample(self, requests: int, rng: np.random.Generator) -> Ints:
        """Tokens of that many requests, (n,)."""
        most = MOST_TOKENS if self.max_tokens is None else self.max_tokens
        powers = np.minimum(self.sigma * rng.standard_normal(requests), np.log(most))
        return np.rint(np.clip(self.median_tokens * np.exp(powers), self.min_tokens, most)).astype(np.int64)


def lognormal(
    *,
    median_tokens: float | None = None,
    mean_tokens: float | None = None,
    p95_tokens: float | None = None,
    sigma: float | None = None,
    min_tokens: int = 1,
    max_tokens: int | None = None,
) -> LogNormal:
    """The lognormal distribution with a given centre and spread, both before the limits cut it.

    ln p95 = ln median + z · sigma and ln mean = ln median + sigma² / 2, with z = 1.645.

    Args:
        median_tokens: the centre; this or ``mean_tokens``.
        mean_tokens: the centre; this or ``median_tokens``.
        p95_tokens: the spread; this or ``sigma``.
        sigma: the spread; this or ``p95_tokens``.
        min_tokens: shorter draws become this long.
        max_tokens: longer draws become this long.

    Raises:
        WorkloadError: not one centre and one spread, or no lognormal distribution has them.
    """
    if (median_tokens is None) == (mean_tokens is None) or (p95_tokens is None) == (sigma is None):
        raise WorkloadError(
            "lognormal lengths: expected one of median_tokens and mean_tokens, and one of p95_tokens and sigma"
        )
    centre = median_tokens if mean_tokens is None else mean_tokens
    assert centre is not None
    if sigma is None:
        assert p95_tokens is not None
        sigma = _sigma(centre, p95_tokens, centre_is_mean=median_tokens is None)
    median = centre if mean_tokens is None else centre * np.exp(-(sigma**2) / 2)
    return LogNormal(median_tokens=float(median), sigma=sigma, min_tokens=min_tokens, max_tokens=max_tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class Independent:
    """Prompt and output lengths that say nothing about each other."""

    prompt: Fixed | Uniform | LogNormal
    output: Fixed | Uniform | LogNormal

    def sample(self, requests: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
        """Prompt and output tokens of that many requests, each (n,)."""
        prompt_rng, output_rng = rng.spawn(2)
        return self.prompt.sample(requests, prompt_rng), self.output.sample(requests, output_rng)


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoPopulations:
    """Requests of two kinds, each request of the second with the same probability.

    Attributes:
        first: lengths of the usual ones.
        second: lengths of the others.
        second_frac: share of the others, 0..1.
    """

    first: Independent
    second: Independent
    second_frac: float

    def sample(self, requests: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
        """Prompt and output tokens of that many requests, each (n,)."""
        which_rng, first_rng, second_rng = rng.spawn(3)
        second = which_rng.random(requests) < self.second_frac
        pairs = zip(self.first.sample(requests, first_rng), self.second.sample(requests, second_rng), strict=True)
        prompt, output = (np.where(second, other, usual) for usual, other in pairs)
        return prompt, output


@dataclass(frozen=True, slots=True, kw_only=True)
class JointQuantiles:
    """Observed lengths, as quantiles of the prompt and quantiles of the output given how long the prompt is.

    A table per prompt rank follows any dependence, also one that rises and falls; a correlation (Gaussian copula)
    cannot follow the public conversation trace, where middling prompts have the longest answers.

    Attributes:
        knots_frac: (k,) shares of requests, rising from 0 to 1.
        prompt_tokens: (k,) lengths below which that share of the prompts lies.
        output_tokens: (b, k) the same for outputs; row i speaks of the i-th of b equal shares of the requests, shortest
            prompts first.
    """

    knots_frac: tuple[float, ...]
    prompt_tokens: tuple[int, ...]
    output_tokens: tuple[tuple[int, ...], ...]

    def sample(self, requests: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
        """Prompt and output tokens of that many requests, each (n,); between knots, lengths are interpolated."""
        rank, output_rank = np.ascontiguousarray(rng.random((requests, 2)).T)
        prompt = np.interp(rank, self.knots_frac, self.prompt_tokens)
        rows = len(self.output_tokens)
        row = (rank * rows).astype(np.min_scalar_type(rows))  # a small type is sorted in one pass
        order = np.argsort(row, kind="stable")
        output, inside = np.empty(requests), output_rank[order]
        parts = np.split(inside, np.cumsum(np.bincount(row, minlength=rows))[:-1])
        output[order] = np.concatenate(
            [np.interp(part, self.knots_frac, each) for part, each in zip(parts, self.output_tokens, strict=True)]
        )
        return np.rint(prompt).astype(np.int64), np.rint(output).astype(np.int64)


def fit_lengths(trace: Trace, *, rows: int = 20) -> JointQuantiles:
    """The joint lengths of a trace in a few hundred numbers.

    Args:
        trace: at least one request.
        rows: shares of requests, by prompt length, that get output quantiles of their own; fewer for short traces.
    """
    shares = np.array_split(np.argsort(trace.prompt_tokens, kind="stable"), max(1, min(rows, len(trace) // 50)))
    return JointQuantiles(
        knots_frac=_KNOTS,
        prompt_tokens=_quantiles(trace.prompt_tokens),
        output_tokens=tuple(_quantiles(trace.output_tokens[share]) for share in shares),
    )


def _quantiles(tokens: Ints) -> tuple[int, ...]:
    return tuple(np.rint(np.quantile(tokens, _KNOTS)).astype(int).tolist())


def _sigma(centre: float, p95_tokens: float, *, centre_is_mean: bool) -> float:
    """Spread of the lognormal distribution with that median or mean and that 95th percentile.

    With a mean there are two; this is the narrower: sigma = z - sqrt(z² - 2 · ln(p95 / mean)).
    """
    widest = inf if not centre_is_mean else float(np.exp(_Z95**2 / 2))
    if not (centre > 0 and 1 <= p95_tokens / centre <= widest):
        kind = "mean" if centre_is_mean else "median"
        raise WorkloadError(
            f"lognormal lengths: p95_tokens is {p95_tokens:g} with {kind}_tokens of {centre:g}, "
            f"expected 1 to {widest:.3g} times as much"
        )
    ratio = log(p95_tokens / centre)
    return _Z95 - sqrt(max(0.0, _Z95**2 - 2 * ratio)) if centre_is_mean else ratio / _Z95


def _check_range(min_tokens: int, max_tokens: int | None) -> None:
    """1 <= min <= max.

    Raises:
        WorkloadError: it is not so.
    """
    if min_tokens < 1 or (max_tokens is not None and max_tokens < min_tokens):
        most = "any" if max_tokens is None else f"{max_tokens:,}"
        raise WorkloadError(
            f"lengths: found the range of tokens {min_tokens:,} to {most}, expected 1 <= lowest <= highest"
        )
