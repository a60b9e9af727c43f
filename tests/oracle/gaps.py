"""The longest step since any earlier one: what a request's longest token gap is read from when it leaves a batch."""

from bisect import bisect_right


class LongestGaps:
    """Steps that no later step outlasted, oldest and longest first."""

    __slots__ = ("_longest_s", "_steps")

    def __init__(self) -> None:
        """No step yet."""
        self._steps: list[int] = []
        self._longest_s: list[float] = []

    def add(self, step: int, longest_s: float) -> None:
        """Note a run of steps that ended with step number ``step``, the longest of which took ``longest_s``."""
        while self._longest_s and self._longest_s[-1] <= longest_s:
            self._longest_s.pop()
            self._steps.pop()
        self._longest_s.append(longest_s)
        self._steps.append(step)

    def since(self, step: int) -> float:
        """Seconds of the longest step after step number ``step``, of which there is at least one."""
        return self._longest_s[bisect_right(self._steps, step)]
