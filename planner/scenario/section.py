"""What every section of a scenario file is: frozen, closed to unknown keys, with null for what is left out."""

from collections.abc import Mapping
from typing import get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator, model_validator

SERIES = ("load", "carbon_g_per_kwh", "uncertainty")
"""Lists whose places mean something, hours and ends; those of ``hourly_`` too."""


class Section(BaseModel):
    """A part of a scenario."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _each_once(cls, value: object, of: ValidationInfo) -> object:
        """Of a list to choose from, each is there once: one that is there twice was meant to be another."""
        series = of.field_name in SERIES or str(of.field_name).startswith("hourly_")
        named = isinstance(value, Mapping) and _mapped(cls.model_fields[str(of.field_name)].annotation)
        for listed in () if series else value.values() if named else (value,):  # type: ignore[attr-defined]
            if isinstance(listed, list) and all(type(each) in (str, int, float) for each in listed):
                twice = [each for each in listed if listed.count(each) > 1]
                if twice:
                    raise ValueError(f"each of them once, and {twice[0]!r} is there {listed.count(twice[0])} times")
        return value

    @model_validator(mode="before")
    @classmethod
    def _null_is_absence(cls, data: object) -> object:
        """Null for a key that may be left out is the key left out, and so it is of the names in a mapping of limits."""
        if not isinstance(data, Mapping):
            return data
        optional, mappings = _optional(cls), _mappings(cls)
        return {
            key: _filled(value) if key in mappings else value
            for key, value in data.items() if value is not None or key not in optional
        }  # fmt: skip


def _filled(value: object) -> object:
    """A mapping without the names that hold nothing."""
    if not isinstance(value, Mapping):
        return value
    return {name: _filled(each) for name, each in value.items() if each is not None}


def _optional(section: type[Section]) -> frozenset[str]:
    """Keys that may be left out."""
    return frozenset(name for name, field in section.model_fields.items() if not field.is_required())


def _mappings(section: type[Section]) -> frozenset[str]:
    """Keys that hold names and what each stands for."""
    return frozenset(name for name, field in section.model_fields.items() if _mapped(field.annotation))


def _mapped(annotation: object) -> bool:
    return get_origin(annotation) is dict or any(map(_mapped, get_args(annotation)))
