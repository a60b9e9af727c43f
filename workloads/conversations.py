"""Conversations without token counts: ShareGPT, LMSYS-Chat, and whatever else lists messages with their roles.

Each answer is a request; its prompt is all that was said before, as a chat service is asked. Lengths are those of the
text in UTF-8 over ``bytes_per_token``. There are no arrival times.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from workloads.errors import WorkloadError
from workloads.traces import Trace, plain_trace

BYTES_PER_TOKEN = 4.0
"""Of text in UTF-8. Assumed: OpenAI's rule of thumb, four characters of English text a token; bytes instead of
characters, since languages of other scripts have fewer characters and more bytes a token."""

_LISTS = ("conversations", "conversation", "messages")
"""Keys that hold the messages: ShareGPT's; LMSYS-Chat-1M's and WildChat's; OpenAI's."""
_ANSWERS = ("gpt", "assistant", "model", "bot", "chatgpt", "bing", "bard")
_ROLES, _TEXTS = ("from", "role"), ("value", "content", "text")
_SHOWN = 10

Item = Mapping[str, Any]


def is_conversation(item: Item) -> bool:
    """Whether an item lists messages and no lengths."""
    return bool(_messages(item)) and "output_length" not in item


def _messages(item: Item) -> list[Item]:
    """The messages of an item; none where it has no such list."""
    for key in _LISTS:
        found = item.get(key)
        if isinstance(found, list) and found and all(isinstance(each, Mapping) for each in found):
            return found
    return []


def _turns(item: Item, bytes_per_token: float) -> list[tuple[int, int]]:
    """Prompt and output tokens of each answer that follows something."""
    said, made = 0, []
    for message in _messages(item):
        role = next((str(message[key]).lower() for key in _ROLES if key in message), "")
        size = len(_text(message).encode("utf-8", "surrogatepass"))
        if role in _ANSWERS and said and size:
            made.append((ceil(said / bytes_per_token), ceil(size / bytes_per_token)))
        said += size
    return made


def _text(message: Item) -> str:
    """What a message says; the texts of its parts where it has several."""
    found = next((message[key] for key in _TEXTS if key in message), "")
    parts = found if isinstance(found, list) else [found]
    texts = (part.get("text", "") if isinstance(part, Mapping) else part for part in parts)
    return "".join(text for text in texts if isinstance(text, str))


def conversation_trace(
    items: Sequence[Item], path: Path, bytes_per_token: float | None, *, skip_bad_rows: bool
) -> Trace:
    """The requests of conversations, in order and all at 0 s: there are no arrival times (``Trace.timed``).

    Args:
        items: conversations.
        path: their file.
        bytes_per_token: of text in UTF-8; None: ``BYTES_PER_TOKEN``, which the notes then call assumed.
        skip_bad_rows: leave out items that list no messages, and count them.

    Raises:
        WorkloadError: items list no messages, or no message is an answer.
    """
    ratio = BYTES_PER_TOKEN if bytes_per_token is None else bytes_per_token
    bad = [at for at, item in enumerate(items) if not _messages(item)]
    if bad and not skip_bad_rows:
        places = ", ".join(str(at) for at in bad[:_SHOWN]) + (", ..." if len(bad) > _SHOWN else "")
        raise WorkloadError(
            f"{path}: {len(bad)} of {len(items)} items list no messages (item {places}); expected conversations; "
            "workload.skip_bad_rows leaves them out"
        )
    turns = [_turns(item, ratio) for item in items]
    pairs = [pair for each in turns for pair in each]
    if not pairs:
        raise WorkloadError(
            f"{path}: found {len(items):,} conversations without an answer; expected messages with the role "
            f"{' or '.join(_ANSWERS[:3])} after those of a user"
        )
    prompt, output = (np.array(column, np.int64) for column in zip(*pairs, strict=True))
    trace = plain_trace(path.name, np.zeros(len(pairs)), prompt, output, duration_s=1.0, skipped_rows=len(bad))
    how = "assumed" if bytes_per_token is None else "stated"
    empty = sum(not each for each in turns) - len(bad)
    again = sum(each[at - 1][0] for each in turns for at in range(1, len(each))) / float(prompt.sum())
    notes = (
        f"{path.name}: {len(pairs):,} answers in {len(items) - len(bad):,} conversations, whose text has no token "
        f"counts: a token is taken for {ratio:g} bytes of it ({how}: workload.bytes_per_token)",
        f"{path.name} has no arrival times: requests come one by one at workload.rate_req_per_s, each with all that "
        f"was said before as its prompt; {100 * again:.0f} % of the prompt tokens repeat the prompt before, which "
        "prefix_cache.hit_frac can state as found",
        *((f"{path.name}: {empty:,} conversations have no answer, and no request",) if empty else ()),
    )
    return replace(trace, timed=False, notes=notes)
