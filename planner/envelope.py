"""Envelopes: what one instance can carry, claimed without a clock."""

from collections.abc import Mapping
from dataclasses import dataclass

from hw_catalog.machines import Machine
from planner.plan import InstanceSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What one request of a class costs one instance, at the instance's working point.

    Attributes:
        prefill_s: busy seconds of prefill work per request (0 in the decode role).
        decode_s: busy seconds of decode work per request, shared with the batch it runs in (0 in the prefill role).
        kv_tokens_s: KV tokens × seconds held per request.
        link_bytes: KV bytes that cross the machine's inter link per request (0 in the mixed role).
        ttft_s: mean time to first token on an idle instance.
        tbt_s: step time at the working batch (0 in the prefill role).
        batch: decoding requests at the working point (0 in the prefill role).
    """

    prefill_s: float
    decode_s: float
    kv_tokens_s: float
    link_bytes: float
    ttft_s: float
    tbt_s: float
    batch: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A kind of instance the optimiser may buy.

    Attributes:
        spec: what it is.
        machine: the machine it stands on.
        price_usd_per_h: of the whole machine, through the scenario's channel.
        instances_per_machine: replicas one machine holds.
        kv_tokens: KV capacity of one instance.
        envelopes: class name -> envelope; a class that is missing cannot be served here.
    """

    spec: InstanceSpec
    machine: Machine
    price_usd_per_h: float
    instances_per_machine: int
    kv_tokens: float
    envelopes: Mapping[str, Envelope]
