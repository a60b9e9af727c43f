"""Marginals: how often each length occurs in a public trace, and nothing of which prompt went with which output."""

import json
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from workloads.errors import WorkloadError
from workloads.traces import Trace

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Counted:
    """Lengths and how many requests have each.

    Attributes:
        tokens: (k,) lengths, ascending.
        requests: (k,) as many requests have each, >= 1.
    """

    tokens: Ints
    requests: Ints

    def sample(self, requests: int, rng: np.random.Generator) -> Ints:
        """Tokens of that many requests, (n,): each is the length of a request of the trace, drawn with replacement."""
        return np.repeat(self.tokens, self.requests)[rng.integers(self.requests.sum(), size=requests)]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Marginals:
    """Both lengths of a trace, apart from each other.

    Attributes:
        source: where the trace is.
        prompts: of the prompts.
        outputs: of the outputs.
    """

    source: str
    prompts: Counted
    outputs: Counted


def marginals_of(trace: Trace, source: str) -> Marginals:
    """The marginals of a trace."""
    prompts, outputs = (
        Counted(tokens=tokens, requests=requests)
        for tokens, requests in (
            np.unique(column, return_counts=True) for column in (trace.prompt_tokens, trace.output_tokens)
        )
    )
    return Marginals(source=source, prompts=prompts, outputs=outputs)


def marginals_json(found: Marginals) -> str:
    """The form in which they ship."""
    columns = {"prompts": found.prompts, "outputs": found.outputs}
    counts = {name: [c.tokens.tolist(), c.requests.tolist()] for name, c in columns.items()}
    return json.dumps({"source": found.source, **counts}, separators=(",", ":")) + "\n"


def load_marginals(name: str) -> Marginals:
    """The marginals of a built-in workload whose trace is public.

    Raises:
        WorkloadError: none ship under that name.
    """
    file = files("workloads").joinpath("data", "marginals", f"{name}.json")
    if not file.is_file():
        raise WorkloadError(f"workload '{name}' has no marginals of its own")
    data = json.loads(file.read_text(encoding="utf-8"))
    prompts, outputs = (
        Counted(tokens=np.array(data[key][0], np.int64), requests=np.array(data[key][1], np.int64))
        for key in ("prompts", "outputs")
    )
    return Marginals(source=data["source"], prompts=prompts, outputs=outputs)
