"""KV memory of one instance, in blocks, with the growth of a decoding batch in closed form."""

from planner.perf.kv import blocks


class KvMemory:
    """Blocks of one instance.

    Every decoding request writes one token per step, so it needs a new block every ``block_tokens`` steps. Requests
    are counted by the residue of the step number at which they do; growth over any number of steps then follows from
    the counts alone.

    Attributes:
        total: blocks in all.
        free: blocks not allocated, as of the start of the current step or run.
    """

    __slots__ = ("_batch", "_residues", "block_tokens", "free", "total")

    def __init__(self, total: int, block_tokens: int) -> None:
        """Everything free."""
        self.total = total
        self.free = total
        self.block_tokens = block_tokens
        self._residues = [0] * block_tokens
        self._batch = 0

    def blocks(self, tokens: int) -> int:
        """Blocks that hold ``tokens``."""
        return blocks(tokens, self.block_tokens)

    def join(self, held_tokens: int, step: int) -> None:
        """A request that holds ``held_tokens`` starts to decode after step number ``step``."""
        self._residues[(held_tokens - 1 - step) % self.block_tokens] += 1
        self._batch += 1

    def leave(self, held_tokens: int, step: int) -> None:
        """A request that joined with these same arguments stops decoding."""
        self._residues[(held_tokens - 1 - step) % self.block_tokens] -= 1
        self._batch -= 1

    def growth(self, step: int, steps: int) -> int:
        """New blocks the batch needs in the ``steps`` steps after step number ``step``."""
        size = self.block_tokens
        cycles, rest = divmod(steps, size)
        residues = self._residues
        return cycles * self._batch + sum(residues[-s % size] for s in range(step + 1, step + rest + 1))

    def steps_that_fit(self, step: int) -> int:
        """Most steps after step number ``step`` whose growth fits the free blocks; needs a non-empty batch."""
        size, residues = self.block_tokens, self._residues
        cycles, left = divmod(self.free, self._batch)
        s = step + cycles * size
        while residues[-(s + 1) % size] <= left:
            s += 1
            left -= residues[-s % size]
        return s - step
