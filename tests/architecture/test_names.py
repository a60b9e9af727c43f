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
    "mhz", "usd_per_h", "frac", "ratio", "g_per_kwh", "g", "usd_per_kwh", "usd", "px",
)  # fmt: skip
"""``_us`` occurs in profile files only, which store microseconds to stay short."""

COUNTS = {
    "full_chunks",
    "brakes", "commands", "lost_commands", "machines_per_rack", "provisioned_machines", "rows", "rows_per_ups",
    "uncapped_machines", "weeks",
    "active_params", "add", "arrived", "attention_batch", "available", "batch", "batch_mean", "decode_steps",
    "disturbed", "ep", "eps", "finished", "gaps", "gpus", "head_dim", "heads", "hidden", "instances",
    "instances_per_machine", "kv_blocks", "free_blocks", "kv_free_blocks", "kv_heads", "kv_latent_dim",
    "kv_peak_blocks",
    "kv_total_blocks", "kvp", "layers", "lent", "machine_gpus", "machine_types", "machines", "max_batch_size",
    "max_preemptions", "max_rounds", "max_run_steps", "n", "params", "pp", "preemptions", "prompt_machines",
    "published_active_params", "published_params", "rack_units", "refused", "requests", "restarted", "running",
