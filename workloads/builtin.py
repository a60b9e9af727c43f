"""Built-in workloads: fitted statistics of public traces, shipped as JSON."""

from difflib import get_close_matches
from importlib.resources import files
from importlib.resources.abc import Traversable

from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveFloat, PositiveInt

from workloads.arrivals import ArrivalProfile
from workloads.errors import WorkloadError
from workloads.lengths import JointQuantiles
from workloads.synthesis import WorkloadModel


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Profile(_Part):
    interval_s: PositiveFloat
    requests: tuple[NonNegativeInt, ...]
    cv: PositiveFloat


class _Lengths(_Part):
    knots_frac: tuple[float, ...]
    prompt_tokens: tuple[PositiveInt, ...]
    output_tokens: tuple[tuple[PositiveInt, ...], ...]


class WorkloadFile(_Part):
    """The JSON form of a fitted workload; the keys mean what they mean in ``WorkloadModel``."""

    name: str
    source: str
    rate_req_per_s: PositiveFloat
    gap_cv: PositiveFloat
    lengths: _Lengths
    profile: _Profile


def builtin_names() -> tuple[str, ...]:
    """Ids of the workloads that ship with phasewise."""
    return tuple(sorted(file.name.removesuffix(".json") for file in _directory().iterdir()))


def load_builtin(name: str) -> WorkloadModel:
    """A workload that ships with phasewise.

    Raises:
        WorkloadError: there is none of that name.
    """
    known = builtin_names()
    if name not in known:
        near = get_close_matches(name, known, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise WorkloadError(f"workload '{name}' is unknown, expected one of {', '.join(known)}{hint}")
    return workload_from_json(_directory().joinpath(f"{name}.json").read_text(encoding="utf-8"))


def workload_from_json(text: str) -> WorkloadModel:
    """A fitted workload from its JSON form.

    Raises:
        pydantic.ValidationError: a key is missing, unknown or out of range.
    """
    file = WorkloadFile.model_validate_json(text)
    return WorkloadModel(
        name=file.name,
        source=file.source,
        rate_req_per_s=file.rate_req_per_s,
        gap_cv=file.gap_cv,
        lengths=JointQuantiles(**file.lengths.model_dump()),
        profile=ArrivalProfile(**file.profile.model_dump()),
    )


def _directory() -> Traversable:
    return files("workloads").joinpath("data", "workloads")
