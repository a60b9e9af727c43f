"""Prompts on attention ranks while all of them decode: a prompt takes the place of a request that ended by chance.

Functions of numbers, called by the simulator's engine and by its reference.
"""


def enough_prompts(ranks: int) -> int:
    """Waiting prompts from which on every rank has one, on average: the coupon collector's number."""
    total = 0.0
    for missing in range(1, ranks + 1):
        total += ranks / missing
    return int(total + 0.5)


def prompts_at_once(waiting: int, ranks: int, rounds: int) -> int:
    """Waiting prompts that one step computes: of each rank at most ``rounds``, on average, and one at least.

    A rank has a binomial number of them, X; the mean of the smaller of X and ``rounds`` sums the chances of X > k.
    """
    share = 1.0 / ranks
    chance, more, mean = (1.0 - share) ** waiting, 1.0, 0.0
    for held in range(min(rounds, waiting)):
        more -= chance
        mean += more
        chance *= (waiting - held) / (held + 1) * share / (1.0 - share)
    return max(1, int(ranks * mean + 0.5))
