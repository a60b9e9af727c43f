"""Stretches of consecutive steps whose durations form an arithmetic sequence."""

Segment = tuple[float, float, int]
"""A stretch of consecutive steps: duration of the first, increment per step, number of steps."""


def stretch_s(a: float, d: float, n: int) -> float:
    """Seconds of n steps of which the first takes a and each further one d more.

    Σ_{j<n} (a + d·j) = n·a + d·n·(n-1)/2
    """
    return n * a + d * (n * (n - 1) / 2)


def run_s(segments: list[Segment]) -> float:
    """Seconds that the steps of ``segments`` take together."""
    total = 0.0
    for a, d, n in segments:  # one by one: sum() of newer Pythons compensates rounding, and so would differ
        total += stretch_s(a, d, n)
    return total


def steps_in_stretch(a: float, d: float, n: int, elapsed_s: float) -> int:
    """Smallest k in 1..n with k·a + d·k·(k-1)/2 >= elapsed (the root of a quadratic, then made exact)."""
    if d == 0.0:
        guess = elapsed_s / a
    else:
        b = a - d / 2
        guess = 2 * elapsed_s / (b + max(0.0, b * b + 2 * d * elapsed_s) ** 0.5)
    k = min(max(int(guess), 1), n)
    while k > 1 and stretch_s(a, d, k - 1) >= elapsed_s:
        k -= 1
    while k < n and stretch_s(a, d, k) < elapsed_s:
        k += 1
    return k
