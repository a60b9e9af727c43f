"""Counts and watts in sentences, and counts read from words: the one place that knows a plural."""

from math import ceil, floor, log10


def plural(count: int, noun: str) -> str:
    """``1 machine``, ``2 machines``, ``1,200 machines``; only the last word takes the plural."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def number(value: float, digits: int = 4) -> str:
    """A plain number of at least so many digits; thousands are separated, and large ones have no exponent."""
    return f"{value:,.0f}" if abs(value) >= 999.5 else f"{value:.{digits}g}"


def watts(value_w: float, digits: int = 4) -> str:
    """Power, in kW from 1000 W on."""
    return f"{number(value_w / 1e3, digits)} kW" if abs(value_w) >= 1e3 else f"{number(value_w, digits)} W"


def percent(value_frac: float) -> str:
    """A share, for example ``71 %``; what rounding alone leaves is none, and what is not all is not ``100 %``.

    Below a tenth it has two digits, and within a hundredth of the whole as many as tell it from that.
    """
    near_frac = abs(abs(value_frac) - 1)
    if _PROVEN_FRAC <= abs(value_frac) < 0.1:
        return f"{value_frac * 100:.2g} %"
    digits = ceil(-log10(100 * near_frac)) if _PROVEN_FRAC <= near_frac < 0.01 else 0
    return f"{value_frac * 100:.{digits}f} %"


_PROVEN_FRAC = 1e-6
"""Shares below it are those that rounding leaves."""


def rounded_up(value: float, digits: int = 6) -> float:
    """The least number of so many digits that is not below a value."""
    step = 10.0 ** (floor(log10(value)) + 1 - digits) if value > 0 else 1.0
    return float(f"{ceil(value / step * (1 - 1e-12)) * step:.{digits}g}")


def from_to(limit: float, needed: float) -> tuple[str, str]:
    """A limit and what is needed of it in plain digits: as many as tell them apart, and what is needed is enough."""
    for digits in (6, 9):
        low, high = f"{float(f'{limit:.{digits}g}'):.15g}", f"{rounded_up(needed, digits):.15g}"
        if low != high:
            break
    return low, high


def whole_number(word: str) -> int | None:
    """What a word of digits says; None where it says something else, or more than any count has digits.

    ``int`` reads no more than some thousand digits and not all that ``str.isdigit`` holds for, superscripts not at all.
    """
    digits = word.strip()
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= _MOST_DIGITS else None


def json_whole(word: str) -> int | float:
    """A whole number of a JSON text; one beyond every float is endless, as a decimal number of its size is.

    Python reads whole numbers of thousands of digits, on which arithmetic with floats ends in an OverflowError.
    """
    return int(word) if len(word) <= _SAFE_DIGITS else float(word)


_MOST_DIGITS = 18
_SAFE_DIGITS = 300
"""Numbers of as many digits are floats too: the largest is 1.8e308."""
