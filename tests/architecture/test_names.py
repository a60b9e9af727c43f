"""Units end names: a bare number whose name says no unit is refused, unless it counts or compares."""

import collections.abc
import dataclasses
import typing

import numpy as np
import pytest
from pydantic import BaseModel

from tests.architecture.sources import modules
from workloads.slo import Slo, Unit

UNITS = (
    "s", "us", "tokens", "tokens_per_s", "req_per_s", "bytes", "bytes_per_s", "bytes_per_token", "flops", "w", "j",
    "mhz", "usd_per_h", "frac", "ratio", "g_per_kwh", "g", "usd_per_kwh", "usd", "g_per_h",
    "px", "h", "per_h", "gib", "s_per_token",
)  # fmt: skip
"""``_us`` occurs in profile files only, which store microseconds to stay short."""

COUNTS = {
    "bands", "beyond", "by_chance", "inside", "left_out", "left_out_inside",
    "domain_gpus", "dp", "verified", "turns", "blocks", "copies", "cells", "fleet_cells",
    "gpus_per_machine", "kv_layers", "least_ways", "ranks", "ways",
    "block_columns", "block_rows", "dense_inner", "dense_layers", "expert_inner", "hidden_multiple", "index_dim",
    "latent_dim", "k_dim", "v_dim", "kv_elements", "shared", "windowed_layers",
    "dim", "inner", "samples", "sizes", "times", "vocab", "vocab_whole", "worlds",
    "after", "before", "buy", "during", "rent", "retire",
    "held", "hurt", "points", "unused",
    "concurrency", "count", "lanes", "machines_per_instance", "owed_blocks",
    "failing", "least_spares", "spare_instances",
    "clients", "distinct_prompts", "observations", "models", "lag_steps", "wait_steps", "workers", "cores",
    "ahead_steps", "dps", "hold_steps", "waited_steps", "promised_requests",
    "chunks", "full_chunks",
    "judged", "search_evaluations",
    "brakes", "commands", "lost_commands", "machines_per_rack", "provisioned_machines", "rows", "rows_per_ups",
    "needed_rows", "plan_machines",
    "uncapped_machines", "weeks",
    "active_params", "add", "arrived", "attention_batch", "available", "batch", "batch_mean", "decode_steps",
    "borrowed", "disturbed", "ep", "eps", "finished", "gaps", "gpus", "head_dim", "heads", "hidden", "instances",
    "instances_per_machine", "kv_blocks", "free_blocks", "kv_free_blocks", "kv_heads", "kv_latent_dim",
    "kv_peak_blocks",
    "kv_total_blocks", "kvp", "layers", "node_gpus", "nodes", "replicas",
    "machine_gpus", "machine_types", "machines", "max_batch_size",
    "max_preemptions", "max_rounds", "n", "params", "pp", "preemptions", "prompt_machines",
    "published_active_params", "published_params", "rack_units", "refused", "requests", "restarted", "running",
    "seeds", "skipped_rows", "slices", "token_machines", "tp", "tps", "transfers", "unfinished", "waiting",
    "base_machines", "churn_machines", "min_up_epochs", "ramp_machines", "started", "stopped",
    "experts", "experts_used", "routed_params", "row_machines",
    "most_base_machines", "most_top_machines", "served_epochs", "top_machines",
    "epochs", "validated_epochs",
    "domains", "down_machines", "placed", "more_spares", "rack_machines", "racks", "span", "spares",
    "epochs_served", "mean_machines", "most_machines", "most_machines_at_once",
    "counts", "spare_machines", "changed", "instances_by_spec", "unchanged",
}  # fmt: skip
"""How many of something, the thing being the name."""

DIMENSIONLESS = {
    "units",
    "output_scale", "price_scale", "prompt_scale", "tornado", "worth",
    "after_ape", "before_ape", "left_out_ape",
    "median_ape", "p90_ape",
    "correlation", "cv", "gap_cv", "percentile", "priorities", "priority", "rate_scale", "sigma", "speed",
}  # fmt: skip
"""Pure numbers: statistics, ranks and factors whose usual name is better known than any with ``_ratio``."""

POSITIONS = {
    "hash_ids", "chunks", "places",
    "kind_of", "level", "seed",
    "class_index", "classes", "columns", "config", "first", "first_block", "first_line", "first_seed", "last",
    "machine", "instance", "pool", "rent_moves",
    "seen", "told", "epoch", "lender", "unserved",
    "index", "kind", "rule", "place", "work", "pid", "pipe",
}  # fmt: skip
"""Indices, seeds, versions, and structures whose parts are named elsewhere."""

KEYED = {
    "measured_value", "predicted_value", "apart", "together", "objectives", "sums",
    "uncertainty",
    "value", "x", "y",
    "bounded", "goal", "start", "admits", "given", "least",
    "built_in", "calibrated", "prior_sd", "sd",
    "figures", "odd",
    "asked_worth", "base_worth", "change_worth", "gpu_worth", "on_worth", "served_worth", "top_worth", "watt_worth",
    "bounds",
    "free_clock",
    "anchors", "bound", "expected_bound", "extra", "gain_per_unit", "high_change", "knots", "limit", "loss_per_unit",
    "low_change",
    "lower", "most", "needed", "objective", "objective_value", "ours", "paper", "provenance", "raises", "rates",
    "regret", "slo", "slo_by_class", "slopes", "step", "terms", "tolerance", "upper", "values", "weights", "duals",
    "reduced", "load",
}  # fmt: skip
"""Numbers whose unit depends on what stands beside them: the solver knows none, budgets bring their own."""


UNIT_BESIDE = {"high", "low", "measured"}
"""Numbers whose unit stands in the field ``unit`` of the same class."""


def is_number(annotation: object) -> bool:
    """Whether a field of this type holds int or float, directly, in a container or in an array."""
    if annotation in (int, float, np.float64, np.int64):
        return True
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Literal, collections.abc.Callable):
        return False
    if origin in (dict, collections.abc.Mapping):
        return is_number(arguments[1])
    if origin is typing.Annotated:
        return is_number(arguments[0])
    return any(is_number(argument) for argument in arguments)


def numbers_of(kind: type) -> list[str]:
    """The fields of a data class or pydantic model that hold numbers."""
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return [f.name for f in dataclasses.fields(kind) if is_number(hints[f.name])]
    if issubclass(kind, BaseModel):
        return [name for name, field in kind.model_fields.items() if is_number(field.annotation)]
    return []


def all_numbers() -> dict[str, list[str]]:
    """Field name -> the classes that have a number of that name."""
    found: dict[str, list[str]] = {}
    for module in modules():
        for kind in vars(module).values():
            if isinstance(kind, type) and kind.__module__ == module.__name__:
                for field in numbers_of(kind):
                    found.setdefault(field, []).append(f"{module.__name__}.{kind.__name__}")
    return found


def says_unit(name: str) -> bool:
    """Whether a name is a unit or ends in one."""
    return any(name == unit or name.endswith(f"_{unit}") for unit in UNITS)


def test_every_number_says_its_unit() -> None:
    """A field that holds a number ends in its unit, or is listed here as a count, a ratio, a position or keyed."""
    listed = COUNTS | DIMENSIONLESS | POSITIONS | KEYED
    strangers = {
        name: where for name, where in all_numbers().items() if not says_unit(name) and name not in listed | UNIT_BESIDE
    }  # fmt: skip
    lines = [f"  {name} in {', '.join(where)}" for name, where in sorted(strangers.items())]
    endings = ", ".join(f"_{unit}" for unit in UNITS)
    assert not strangers, (
        "numbers whose name says no unit:\n" + "\n".join(lines) + f"\nEnd the name in one of {endings}; if it has no "
        "unit, add it to COUNTS, DIMENSIONLESS, POSITIONS or KEYED in this file, whichever is true of it."
    )


def test_a_unit_stands_beside_what_needs_one() -> None:
    """Where a class leaves the unit of a number to its field ``unit``, it has one, or an objective that has; and so has
    a bound on a latency.
    """
    kinds = {k for module in modules() for k in vars(module).values() if isinstance(k, type)}
    leaving = [k for k in kinds if UNIT_BESIDE & set(numbers_of(k)) or k is Slo]
    assert leaving
    hints = {k.__name__: typing.get_type_hints(k) for k in leaving}
    assert [name for name, of in hints.items() if of.get("unit") is not Unit and of.get("slo") is not Slo] == []


def test_no_listed_name_is_gone() -> None:
    """The lists of names without a unit hold no name that no longer occurs, nor one that needs no listing."""
    found = set(all_numbers())
    listed = COUNTS | DIMENSIONLESS | POSITIONS | KEYED | UNIT_BESIDE
    assert not {name for name in listed if name not in found or says_unit(name)}


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (float, True),
        (int | None, True),
        (tuple[float, ...], True),
        (collections.abc.Mapping[str, float], True),
        (collections.abc.Mapping[int, str], False),
        (np.typing.NDArray[np.float64], True),
        (np.typing.NDArray[np.bool_], False),
        (typing.Annotated[float, "any"], True),
        (typing.Literal[1], False),
        (collections.abc.Callable[[int], float], False),
        (bool, False),
        (str, False),
    ],
)
def test_numbers_are_recognised(annotation: object, expected: bool) -> None:
    """What counts as a number: int and float, in containers and arrays too; bools, texts and functions do not."""
    assert is_number(annotation) is expected
