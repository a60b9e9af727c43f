"""What a prompt adds to the attention of a step that computes several, from kernels that were timed one at a time."""

import numpy as np

from hw_catalog.profiles import Floats, Ints


def with_least_added(
    prefill_s: Floats, new_tokens: Ints, past_tokens: Ints, decode_s: Floats, batch: Ints, context_tokens: Ints
) -> Floats:
    """Prefill attention beside its launch, at least what new tokens on a past add where other prompts share the launch.

    A short chunk on a long past ends within the time that its launch takes anyway: alone it seems to cost nothing, and
    a step of many such chunks would. It adds no less than either of

        whole(past + new) - whole(past),   whole(n) = prefill attention of a prompt of n tokens without a past
        min over batches of decode(batch, past + new) / batch:   the past has to be read

    The first makes a prompt computed in chunks cost no less than one computed at once. Prompts without a past stay as
    they were measured.

    Args:
        prefill_s: (new, past), the launch taken off.
        new_tokens: (new,) rising.
        past_tokens: (past,) rising, 0 first.
        decode_s: (batch, context) decode attention.
        batch: (batch,) requests.
        context_tokens: (context,) rising.

    Returns:
        (new, past), non-decreasing in the past.
    """
    if past_tokens[0] != 0:
        return prefill_s
    end, alone_s = np.add.outer(new_tokens, past_tokens), prefill_s[:, 0]
    computed = _whole_s(end, new_tokens, alone_s) - _whole_s(past_tokens, new_tokens, alone_s)
    read = np.interp(end, context_tokens, (decode_s / batch[:, None]).min(axis=0))
    least = np.maximum(computed, read)  # reading takes no less than no time
    least[:, 0] = 0.0
    return np.maximum.accumulate(np.maximum(prefill_s, least), axis=1)


def _whole_s(tokens: Ints, knots: Ints, prefill_s: Floats) -> Floats:
    """Prefill attention of whole prompts: seconds per square of their tokens are read between the knots."""
    at = tokens.astype(float)
    return np.asarray(at**2 * np.interp(at, knots, prefill_s / knots.astype(float) ** 2))
