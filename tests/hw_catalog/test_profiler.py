"""Measuring a kernel profile: which operations, how they compose, and what an interrupted run keeps."""

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from hw_catalog.errors import CatalogError
from hw_catalog.profile_files import load_profiles
from hw_catalog.profiler import (
    Knots,
    Subject,
    composed,
    mean_watts_w,
    measure,
    operations,
    read,
    step_operations,
    step_s,
)
from hw_catalog.profiler_cpu import NumpyBench
from hw_catalog.profiler_files import add_profile, beside, header, keep, open_journal, profile_path, watts_table
from hw_catalog.profiler_ops import Device, Operation, Run, shard_of
from hw_catalog.provenance import Kind

LLAMA = {
    "model_type": "llama", "num_hidden_layers": 32, "hidden_size": 4096, "intermediate_size": 14336,
    "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256, "max_position_embeddings": 131072,
}  # fmt: skip
TINY = {
    "model_type": "llama", "num_hidden_layers": 3, "hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": 100, "max_position_embeddings": 64,
}  # fmt: skip
KNOTS = Knots(
    tokens=(1, 8, 16), batch=(1, 4), new_tokens=(1, 8, 32), past_tokens=(0, 16, 64), attention_batch=(1, 4),
    context_tokens=(1, 16, 128), point_s=0.0,
)  # fmt: skip
DEVICE = Device(name="NVIDIA Toy", gpus=2, memory_bytes=1e9, library="toy 1.2", driver="9")


def subject(tp: int = 1, config: Mapping[str, object] = TINY) -> Subject:
    return Subject(model="tiny", gpu="toy", dtype="bf16", shard=shard_of(config, name="tiny", tp=tp), knots=KNOTS)


class Counting:
    """A bench whose operations take as many microseconds as the product of their sizes, and 100 W."""

    def __init__(self, stop_after: int = 10**9) -> None:
        self.device, self.prepared, self.launched, self.joules = DEVICE, list[str](), 0, 0.0
        self._stop_after = stop_after

    def __getattr__(self, kind: str):
        def prepare(*sizes: int) -> Run:
            if len(self.prepared) >= self._stop_after:
                raise KeyboardInterrupt
            self.prepared.append(kind)
            self._took_s = float(np.prod([max(size, 1) for size in sizes])) * 1e-6
            return Run(launch=lambda _: None)

        return prepare

    def recorded(self, run: Run) -> Run:
        return run

    def timed(self, run: Run, *, at_least_s: float, fewest: int = 3) -> list[float]:  # noqa: ARG002
        run.launch(0)
        return [self._took_s, self._took_s, 2 * self._took_s]

    def energy_j(self) -> float | None:
        return None

    def state(self) -> Mapping[str, float]:
        return {"temperature_c": 40.0}


def test_a_short_operation_is_timed_until_the_clock_says_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operation of a microsecond fills its time in a number of launches that the clock bounds, each counted once."""
    ticks = iter(range(10**9))
    monkeypatch.setattr("hw_catalog.profiler_cpu.time.perf_counter", lambda: next(ticks) * 1e-6)
    samples = NumpyBench().timed(Run(launch=lambda _: None), at_least_s=0.5)
    assert len(samples) == pytest.approx(0.5 / 3e-6, rel=0.01)  # the clock is read three times a turn
    assert samples[0] == pytest.approx(1e-6)


def readings(bench: object, what: Subject, keep=lambda _: None, known=None):
    wanted = operations(what, bench.device)
    return measure(bench, wanted, point_s=0.0, known=known or {}, keep=keep, progress=lambda *_: None)


def test_a_layer_of_a_shard_holds_its_share_of_the_weights() -> None:
    """GEMM weights of all layers and GPUs, with both embeddings, are the parameters of the model within 0.1 %."""
    for tp in (1, 2, 4, 8):
        shard = shard_of(LLAMA, name="llama", tp=tp)
        layer = [op.sizes for op in shard.linear(1) if op.kind == "gemm"]
        weights = tp * shard.layers * sum(n * k for _, n, k in layer) + 2 * shard.vocab_whole * shard.hidden
        assert weights == pytest.approx(8.03e9, rel=1e-3)


def test_steps_are_layers_times_operations_and_the_head() -> None:
    """The time of a step is the sum over layers of its operations plus one head for the tokens it draws."""
    what, bench = subject(), Counting()
    found = readings(bench, what)
    for tokens, rows in ((8, 1), (4, 4)):
        layer = sum(found[op.key].median_s for op in what.shard.linear(tokens))
        head = sum(found[op.key].median_s for op in what.shard.head(rows))
        assert step_s(what, DEVICE, found, tokens, rows) == pytest.approx(3 * layer + head)


def test_surfaces_are_whole_model_and_launch_is_counted_once() -> None:
    """Prefill attention of all layers at a knot is the surface there plus the launch share in the linear surface."""
    what, bench = subject(), Counting()
    found = readings(bench, what)
    made = composed(what, DEVICE, found, date="2026-11-21", note="")
    measured = 3 * found[what.shard.prefill(32, 16).key].median_s
    launch = made.linear_prefill_s[1] - step_s(what, DEVICE, found, 8, 1)
    assert launch > 0
    assert made.prefill_attention_s[2, 1] + launch == pytest.approx(measured)
    assert made.decode_attention_s[1, 1] == pytest.approx(3 * found[what.shard.decode(4, 16).key].median_s)


def test_what_cannot_be_measured_is_flagged_and_never_cheaper() -> None:
    """Points beyond the model's context are extrapolated, flagged, and take at least the time of smaller ones."""
    what = subject()
    made = composed(what, DEVICE, readings(Counting(), what), date="2026-11-21", note="warm")
    assert made.prefill_extrapolated.tolist() == [[False, False, True]] * 3
    assert made.decode_extrapolated[:, 2].all()
    assert not made.decode_extrapolated[:, :2].any()
    assert (np.diff(made.decode_attention_s, axis=1) >= 0).all()
    assert "extrapolated" in made.provenance.note
    assert made.provenance.kind is Kind.MEASURED


def test_collectives_need_the_gpus() -> None:
    """A shard of more GPUs than there are has no all-reduce, says so, and is derived rather than measured."""
    with_two, alone = subject(tp=2), replace(DEVICE, gpus=1)
    kinds = {op.kind for op in operations(with_two, DEVICE)}
    assert "all_reduce" in kinds
    bench = Counting()
    bench.device = alone
    found = readings(bench, with_two)
    assert not any(key.startswith("all_reduce") for key in found)
    made = composed(with_two, alone, found, date="2026-11-21", note="")
    assert made.provenance.kind is Kind.DERIVED
    assert "all-reduce of 2 GPUs is not in it" in made.provenance.note


def test_too_little_memory_for_attention_is_no_failure() -> None:
    """Attention that runs out of memory is left out; any other operation that does stops the run."""
    what, bench = subject(), Counting()
    bench.decode_attention = lambda *_: (_ for _ in ()).throw(RuntimeError("CUDA out of memory"))
    bench.prefill_attention = bench.decode_attention
    assert not any("attention" in key for key in readings(bench, what))
    bench.gemm = bench.decode_attention
    with pytest.raises(RuntimeError, match="memory"):
        readings(bench, what)


def test_a_reading_is_the_median_and_its_spread() -> None:
    """One slow launch among three moves the spread, not the time; without a counter there are no watts."""
    found = read(Counting(), Operation("elementwise", (10, 10)), 0.0)
    assert found.median_s == pytest.approx(1e-4)
    assert found.spread_ratio > 0
    assert found.watts_w is None


def test_watts_of_a_step_lie_between_those_of_its_operations() -> None:
    """The power of a step is the mean over its operations weighted by time, and unknown where one is."""
    what = subject()
    plain = readings(Counting(), what)
    powered = {key: replace(reading, watts_w=100.0 + 100 * (key[0] == "g")) for key, reading in plain.items()}
    parts = step_operations(what, DEVICE, 8, 1)
    watts = mean_watts_w(parts, powered)
    assert watts is not None
    assert 100 < watts < 200
    assert mean_watts_w(parts, plain) is None
    table = watts_table(what, DEVICE, powered).splitlines()
    assert table[0] == "what,sizes,median_s,spread_ratio,samples,watts_w"
    assert table[2].startswith("prefill step,8,")
    assert table[2].endswith(f"{watts:.1f}")


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path) -> None:
    """A resumed run measures exactly what is missing, a broken last line included, and ends with the same readings."""
    what = subject()
    journal, expected = beside(tmp_path, what, "journal.jsonl"), header(what, DEVICE)
    assert open_journal(journal, expected, resume=True) == {}
    with pytest.raises(KeyboardInterrupt):
        readings(Counting(stop_after=7), what, keep=lambda r: keep(journal, r))
    with journal.open("a") as broken:
        broken.write('{"key": "gemm:1x2')
    known = open_journal(journal, expected, resume=True)
    assert len(known) == 7
    rest = Counting()
    found = readings(rest, what, keep=lambda r: keep(journal, r), known=known)
    assert len(rest.prepared) == len(found) - 7
    assert found == readings(Counting(), what)
    assert open_journal(journal, expected, resume=True) == found
    assert open_journal(journal, expected, resume=False) == {}


def test_a_journal_of_something_else_is_refused(tmp_path) -> None:
    """Readings of another device or model are never mixed in; the message says what differs."""
    journal, expected = tmp_path / "j.jsonl", header(subject(), DEVICE)
    open_journal(journal, expected, resume=True)
    with pytest.raises(CatalogError, match="device 'NVIDIA Toy', now 'other'"):
        open_journal(journal, {**expected, "device": "other"}, resume=True)
    journal.write_text(json.dumps(expected) + "\nnonsense\n{}\n")
    with pytest.raises(CatalogError, match=r"j\.jsonl:2"):
        open_journal(journal, expected, resume=True)


def test_profiles_of_other_widths_stay_in_the_file(tmp_path) -> None:
    """A second width is added beside the first, and measuring one again replaces it alone."""
    for tp in (1, 2, 1):
        what = subject(tp)
        add_profile(tmp_path, composed(what, DEVICE, readings(Counting(), what), date="2026-11-21", note=str(tp)))
    read_back = load_profiles(tmp_path, model="tiny", gpu="toy")
    assert [profile.tp for profile in read_back] == [1, 2]
    assert profile_path(tmp_path, subject()).is_file()


def test_numpy_measures_every_operation() -> None:
    """On the CPU every operation runs and takes time, and the profile names its library."""
    what, bench = subject(), NumpyBench()
    found = readings(bench, what)
    assert {key.partition(":")[0] for key in found} == {
        "gemm", "elementwise", "sample", "prefill_attention", "decode_attention",
    }  # fmt: skip
    assert all(reading.median_s > 0 for reading in found.values())
    assert composed(what, bench.device, found, date="2026-11-21", note="").engine == "numpy"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"model_type": "mixtral"}, "cannot be profiled"),
        ({"hidden_size": None}, "hidden_size"),
        ({"num_attention_heads": 3}, "divides"),
    ],
)
def test_models_that_cannot_be_measured_are_refused(change, says) -> None:
    """Experts, missing sizes and a width that does not divide the heads are named before anything runs."""
    with pytest.raises(CatalogError, match=says):
        shard_of({**LLAMA, **change}, name="mine", tp=2)


def test_torch_measures_what_numpy_does() -> None:
    """Where PyTorch is installed its operations run on the CPU, all of them, on the same shapes."""
    pytest.importorskip("torch", reason="PyTorch is not installed: its operations are not tried")
    from hw_catalog.profiler_torch import torch_bench

    bench, what = torch_bench("cpu"), subject()
    found = readings(bench, what)
    assert set(found) == set(readings(NumpyBench(), what))
    assert all(reading.median_s > 0 for reading in found.values())


class FakeNvml(ModuleType):
    """NVML of a driver that refuses what it is told to; 500 J go by between two readings of its counter."""

    NVML_CLOCK_SM, NVML_TEMPERATURE_GPU = 1, 0

    class NVMLError(Exception):
        """What the real module raises."""

    def __init__(self, *refused: str) -> None:
        super().__init__("pynvml")
        self._refused, self.handles, self._counted = refused, list[object](), 0

    def __getattr__(self, name: str):
        if not name.startswith("nvml"):
            raise AttributeError(name)

        def ask(*args: object) -> object:
            if name in self._refused:
                raise self.NVMLError(name)
            if name.startswith("nvmlDeviceGetHandleBy"):
                self.handles += args
            self._counted += name == "nvmlDeviceGetTotalEnergyConsumption"
            return {
                "nvmlSystemGetDriverVersion": b"580.159.03",  # bytes on older versions
                "nvmlDeviceGetTotalEnergyConsumption": 7_000_000 + 500_000 * self._counted,
                "nvmlDeviceGetClockInfo": 1980 if args[-1:] == (self.NVML_CLOCK_SM,) else 0,
                "nvmlDeviceGetTemperature": 41, "nvmlDeviceGetPowerManagementLimit": 700_000,
                "nvmlDeviceGetCurrentClocksThrottleReasons": 4,
            }.get(name, *args[-1:] or (None,))  # fmt: skip

        return ask


def fake_torch(uuid: str | None = "11-22") -> SimpleNamespace:
    """As much of PyTorch on one H200 as the bench asks before it launches anything; events last 3 ms."""
    event = SimpleNamespace(record=lambda: None, synchronize=lambda: None, elapsed_time=lambda _end: 3.0)
    cuda = SimpleNamespace(
        get_device_properties=lambda _gpu: SimpleNamespace(uuid=uuid), get_device_name=lambda _gpu: "NVIDIA H200",
        device_count=lambda: 1, mem_get_info=lambda _gpu: (140 * 2**30, 141 * 2**30), synchronize=lambda _gpu: None,
        Event=lambda enable_timing: event if enable_timing else None,
    )  # fmt: skip
    return SimpleNamespace(__version__="2.11.0", version=SimpleNamespace(cuda="13.0"), cuda=cuda)


@pytest.mark.parametrize(("uuid", "handle"), [("11-22", "GPU-11-22"), (None, 0)])
def test_the_gpu_that_computes_is_the_one_that_is_metered(monkeypatch, uuid, handle) -> None:
    """NVML's handle is that of PyTorch's first GPU by its UUID; joules come from millijoules, watts from watts."""
    from hw_catalog.profiler_torch import TorchBench

    nvml = FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    bench = TorchBench(fake_torch(uuid), "cuda")
    assert nvml.handles == [handle]
    first, second = bench.energy_j(), bench.energy_j()
    assert first is not None
    assert second is not None
    assert second - first == 500.0
    assert bench.state() == {"sm_clock_mhz": 1980, "temperature_c": 41, "cap_w": 700, "throttle_reasons": 4}
    assert bench.device == Device(
        name="NVIDIA H200", gpus=1, memory_bytes=140 * 2**30, library="torch 2.11.0 CUDA 13.0", driver="580.159.03"
    )
    samples = bench.timed(Run(launch=lambda _: None, times=10), at_least_s=0.0)
    assert samples == [pytest.approx(3e-4)] * len(samples) != []


def test_what_a_driver_refuses_is_left_out(monkeypatch) -> None:
    """A counter that the driver refuses gives no watts and no state; the rest is read, and nothing ends the run."""
    from hw_catalog.profiler_torch import TorchBench

    refused = ("nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetPowerManagementLimit")
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml(*refused))
    bench = TorchBench(fake_torch(), "cuda")
    assert bench.energy_j() is None
    assert set(bench.state()) == {"sm_clock_mhz", "temperature_c", "throttle_reasons"}
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml("nvmlSystemGetDriverVersion"))
    assert TorchBench(fake_torch(), "cuda").device.driver == "unknown"
    for broken in (FakeNvml("nvmlInit"), FakeNvml("nvmlDeviceGetHandleByUUID"), None):
        monkeypatch.setitem(sys.modules, "pynvml", broken)
        bench = TorchBench(fake_torch(), "cuda")
        assert bench.energy_j() is None
        assert bench.state() == {}
        assert bench.device.driver == "unknown"


def test_a_missing_torch_is_explained(monkeypatch) -> None:
    """Without PyTorch the message says how to install it."""
    from hw_catalog.profiler_torch import torch_bench

    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(CatalogError, match=r"phasewise\[profile\]"):
        torch_bench()
