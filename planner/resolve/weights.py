"""The weights that a plan is served with: named in the scenario, or known to phasewise."""

import re
from collections.abc import Collection, Iterator

from planner.errors import BadInput
from planner.perf.deploying import known_weights
from workloads.checkpoints import checkpoints_named
from workloads.models import ModelSpec, alike


def weights_doubt(model: ModelSpec, dtype: str, named: str | None) -> Iterator[str]:
    """That no checkpoint is known, or that one was named which is not known."""
    if known_weights(model, dtype, named) is not None:
        return
    if named:
        yield f"weights: {named}, as model.checkpoint says; what it holds is not known to phasewise"
    else:
        yield f"weights: no public checkpoint of {model.name} in {dtype} is known; its sizes are assumed"


def check_named(named: str | None, model: str, dtypes: Collection[str]) -> None:
    """Refuse weights that are known to be of another model or precision, and names that no hub has.

    Args:
        named: what ``model.checkpoint`` says.
        model: id of the model that is planned for.
        dtypes: that may be planned in.

    Raises:
        BadInput: naming the key.
    """
    if named is None:
        return
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", named):
        raise BadInput(f"model.checkpoint: found '{named}'; expected a repository as engines take it, owner/name")
    formats = sorted(set(dtypes))
    if len(formats) > 1:
        raise BadInput(
            f"model.checkpoint: found {named}, which holds weights in one format; expected model.dtype to name it, not "
            f"to leave {', '.join(formats)} open"
        )
    for owner, known in checkpoints_named(named):
        if owner != model or not alike(known.dtype, formats[0]):
            raise BadInput(
                f"model.checkpoint: found {named}, which is {owner} in {known.dtype}; expected a checkpoint of {model} "
                f"in {formats[0]}, as is planned for"
            )
