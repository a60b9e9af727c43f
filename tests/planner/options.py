"""Options made of simple numbers, for tests of the formulation."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from hypothesis import strategies as st

from hw_catalog.gpus import Gpu
from hw_catalog.links import Link
from hw_catalog.machines import Machine
from hw_catalog.provenance import Kind, Provenance
from planner.capacity.envelope import Envelope, Option
from planner.capacity.redundancy import Reliability, Rule
from planner.perf.layout import InstanceSpec, Layout, Role
from planner.scenario.objectives import Objective

TOY = Provenance(kind=Kind.ASSUMED, source="toy", date="2026-01-01")


def machine(name: str, *, rated_w: float = 1000.0, rack_units: float = 4.0, link_bytes_per_s: float = 1e9) -> Machine:
    """A machine of eight GPUs."""
    gpu = Gpu(
        name="toy", hbm_bytes=2.0**36, hbm_bytes_per_s=1e12, bf16_flops=1e15, fp8_flops=0.0, tdp_w=500.0, idle_w=50.0,
        clock_min_mhz=200.0, clock_max_mhz=2000.0, profile_gpu="toy", prefill_slowdown_ratio=1.0,
        decode_slowdown_ratio=1.0, provenance={},
    )  # fmt: skip
    link = Link(name="toy", bandwidth_bytes_per_s=link_bytes_per_s, latency_s=0.0, sync_s=0.0, provenance=TOY)
    return Machine(
        name=name, gpu=gpu, gpus=8, rated_w=rated_w, idle_w=100.0, rack_units=rack_units, intra_link=link,
        inter_link=link, prices=(), available=None, provenance={},
    )  # fmt: skip


def envelope(
    *, prefill_s: float = 0.0, decode_s: float = 0.0, kv_tokens_s: float = 0.0, link_bytes: float = 0.0
) -> Envelope:
    """What one request takes; latencies do not matter to the formulation."""
    return Envelope(
        prefill_s=prefill_s, decode_s=decode_s, kv_tokens_s=kv_tokens_s, link_bytes=link_bytes, ttft_s=0.1, tbt_s=0.02,
        batch=8.0, prefill_j=3000.0 * prefill_s, decode_j=1000.0 * decode_s,
    )  # fmt: skip


def option(
    role: Role, on: Machine, envelopes: Mapping[str, Envelope], *, price: float = 10.0, per_machine: int = 1,
    kv_tokens: float = 1e5,
) -> Option:  # fmt: skip
    """An option with one replica per ``8 / per_machine`` GPUs."""
    spec = InstanceSpec(role=role, machine=on.name, layout=Layout(tp=8 // per_machine))
    return Option(
        spec=spec, machine=on, price_usd_per_h=price, instances_per_machine=per_machine, kv_tokens=kv_tokens,
        envelopes=envelopes, floor_w=on.rated_w / 4, wall_ratio=1.2, carbon_g_per_j=1e-4,
    )  # fmt: skip


def showcase() -> tuple[Option, ...]:
    """Two machine types, every role, two classes, of which the mixed option serves one."""
    fast = machine("fast-8", rated_w=10_000.0, rack_units=8.0, link_bytes_per_s=5e10)
    slow = machine("slow-8", rated_w=6000.0, rack_units=4.0, link_bytes_per_s=2.5e10)
    short_kv, long_kv = {"kv_tokens_s": 4000.0, "link_bytes": 2e8}, {"kv_tokens_s": 32_000.0, "link_bytes": 1.5e9}
    return (
        option(
            Role.PREFILL, fast, price=98.0,
            envelopes={"short": envelope(prefill_s=0.05, kv_tokens_s=100.0, link_bytes=2e8),
                       "long": envelope(prefill_s=0.5, kv_tokens_s=4000.0, link_bytes=1.5e9)},
        ),
        option(
            Role.DECODE, fast, price=98.0, kv_tokens=5e5,
            envelopes={"short": envelope(decode_s=0.1, **short_kv), "long": envelope(decode_s=0.4, **long_kv)},
        ),
        option(
            Role.DECODE, slow, price=40.0, kv_tokens=2e5, per_machine=2,
            envelopes={"short": envelope(decode_s=0.25, **short_kv), "long": envelope(decode_s=1.0, **long_kv)},
        ),
        option(
            Role.MIXED, slow, price=40.0, kv_tokens=2e5, per_machine=2,
            envelopes={"short": envelope(prefill_s=0.125, decode_s=0.25, kv_tokens_s=5000.0)},
        ),
    )  # fmt: skip


def failing(found: Iterable[Option], target_frac: float = 0.9999) -> tuple[Option, ...]:
    """Options whose machines are down for a hundredth of the time, in two domains of which one may be lost."""
    rule = Rule(
        target_frac=target_frac, spares={}, objective=Objective.COST, rack_machines=4, rack_down_frac=1e-4,
        rack_failures_per_h=1e-4, domains=2, domain_down_frac=1e-3, domain_failures_per_h=1e-4,
    )  # fmt: skip
    each = Reliability(down_frac=0.01, failures_per_h=1e-3, maintained_frac=0.0, rule=rule)
    return tuple(replace(one, reliability=each) for one in found)


@st.composite
def options(draw: st.DrawFn, classes: tuple[str, ...] = ("all",)) -> tuple[Option, ...]:
    """A prefill, a decode and a mixed option on one to three machine types, each class served by each."""

    def some(low: int, high: int, unit: float) -> float:
        return draw(st.integers(low, high)) * unit

    names = draw(st.lists(st.sampled_from(["a", "b", "c"]), min_size=3, max_size=3))
    stands_on = {
        name: machine(name, rated_w=some(1, 9, 1000.0), rack_units=some(0, 4, 2.0), link_bytes_per_s=some(1, 9, 1e9))
        for name in sorted(set(names))
    }
    found = []
    for role, name in zip(Role, names, strict=True):
        split = role is not Role.MIXED
        envelopes = {
            each: envelope(
                prefill_s=0.0 if role is Role.DECODE else some(1, 20, 0.05),
                decode_s=0.0 if role is Role.PREFILL else some(1, 20, 0.05),
                kv_tokens_s=some(0, 20, 5000.0),
                link_bytes=some(0, 9, 2e8) if split else 0.0,
            )
            for each in classes
        }
        per_machine = draw(st.sampled_from([1, 2]))
        found.append(option(role, stands_on[name], envelopes, price=some(1, 30, 1.0), per_machine=per_machine))
    return tuple(found)
