"""The profiler's operations in PyTorch on NVIDIA GPUs, power and state through NVML.

Launches are recorded in a CUDA graph and replayed, so that no time between kernels counts, as in engines that do the
same. Operands take turns until they are larger together than any cache. KV is contiguous; norms and activations are
stood for by a kernel that moves as many bytes.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hw_catalog.errors import CatalogError
from hw_catalog.profiler_ops import FEWEST_SAMPLES, Device, Run

GRAPH_LAUNCHES = 10
"""Launches in one graph."""
CACHE_TURNS = 4
"""Operands together are this many times the last-level cache."""
MOST_COPIES = 64

Make = Callable[..., Any]


def torch_bench(device: str = "cuda") -> "TorchBench":
    """A bench on the first GPU.

    Raises:
        CatalogError: PyTorch is missing or sees no GPU; says what to do.
    """
    try:
        import torch
    except ImportError:
        raise CatalogError("profile: PyTorch is missing; install it with `pip install 'phasewise[profile]'`") from None
    if device == "cuda" and not torch.cuda.is_available():
        raise CatalogError(f"profile: PyTorch {torch.__version__} sees no NVIDIA GPU; --device cpu tries the procedure")
    return TorchBench(torch, device)


class TorchBench:
    """A bench on one GPU, and on the others of the machine for collectives.

    Args:
        torch: the module.
        device: ``cuda``, or ``cpu`` to try the operations.
    """

    def __init__(self, torch: Any, device: str) -> None:  # noqa: ANN401  PyTorch is optional, so are its types
        """Find NVML, if there is one."""
        self._torch = torch
        self._device = device
        self._cuda = device == "cuda"
        found: tuple[Any, Any] = _nvml(torch) if self._cuda else (None, None)
        self._nvml, self._handle = found

    @property
    def device(self) -> Device:
        """The first GPU."""
        torch = self._torch
        library = f"torch {torch.__version__}"
        if not self._cuda:
            return Device(name="cpu", gpus=1, memory_bytes=2.0**31, library=library, driver="")
        return Device(
            name=torch.cuda.get_device_name(0), gpus=torch.cuda.device_count(),
            memory_bytes=float(torch.cuda.mem_get_info(0)[0]), library=f"{library} CUDA {torch.version.cuda}",
            driver=self._driver(),
        )  # fmt: skip

    def _driver(self) -> str:
        """Its release, where NVML tells it."""
        try:
            return _text(self._nvml.nvmlSystemGetDriverVersion()) if self._nvml else "unknown"
        except self._nvml.NVMLError:
            return "unknown"

    def gemm(self, m: int, n: int, k: int) -> Run:
        """Weights as (n, k), as linear layers keep them."""
        functional = self._torch.nn.functional
        left = self._tensor(m, k)
        weights = self._copies(n * k, lambda: self._tensor(n, k))
        return Run(launch=lambda turn: _drop(functional.linear(left, weights[turn % len(weights)])))

    def prefill_attention(self, new_tokens: int, past_tokens: int, heads: int, kv_heads: int, dim: int) -> Run:
        """Fused attention, the causal mask aligned to the last token."""
        from torch.nn.attention.bias import causal_lower_right

        attend = self._torch.nn.functional.scaled_dot_product_attention
        total = new_tokens + past_tokens
        query = self._tensor(1, heads, new_tokens, dim)
        # Expanded beforehand: fused kernels with a mask object do not take fewer KV heads on every version.
        group = heads // kv_heads
        keys, values = (self._tensor(1, kv_heads, total, dim).repeat_interleave(group, dim=1) for _ in range(2))
        if past_tokens == 0:
            return Run(launch=lambda _: _drop(attend(query, keys, values, is_causal=True)))
        mask = causal_lower_right(new_tokens, total)
        return Run(launch=lambda _: _drop(attend(query, keys, values, attn_mask=mask)))

    def decode_attention(self, batch: int, context_tokens: int, heads: int, kv_heads: int, dim: int) -> Run:
        """The query heads of a group stand where new tokens would, so that its KV is read once."""
        attend = self._torch.nn.functional.scaled_dot_product_attention
        query = self._tensor(batch, kv_heads, heads // kv_heads, dim)
        size = 2 * batch * kv_heads * context_tokens * dim
        cached = self._copies(size, lambda: self._tensor(2, batch, kv_heads, context_tokens, dim))

        def launch(turn: int) -> None:
            keys, values = cached[turn % len(cached)]
            _drop(attend(query, keys, values))

        return Run(launch=launch)

    def elementwise(self, tokens: int, width: int) -> Run:
        """A sum of two tensors into a third."""
        rows = self._copies(3 * tokens * width, lambda: [self._tensor(tokens, width) for _ in range(3)])

        def launch(turn: int) -> None:
            left, right, out = rows[turn % len(rows)]
            self._torch.add(left, right, out=out)

        return Run(launch=launch)

    def sample(self, batch: int, vocab: int) -> Run:
        """Softmax, then the largest of probability over an exponential draw, which is a draw from the softmax."""
        logits = self._tensor(batch, vocab)
        noise = self._torch.empty(batch, vocab, device=self._device, dtype=self._torch.float32)

        def launch(_: int) -> None:
            likely = self._torch.softmax(logits, dim=-1, dtype=self._torch.float32)
            _drop((likely / noise.exponential_()).argmax(dim=-1))

        return Run(launch=launch)

    def all_reduce(self, size_bytes: int, gpus: int) -> Run:
        """NCCL over the first GPUs of this machine, one process."""
        torch = self._torch
        buffers = [torch.ones(size_bytes // 2, device=f"cuda:{g}", dtype=torch.bfloat16) for g in range(gpus)]
        return Run(launch=lambda _: torch.cuda.nccl.all_reduce(buffers), in_graph=False)

    def recorded(self, run: Run) -> Run:
        """A CUDA graph of launches; the first ones go outside it on a side stream, as recording asks for."""
        torch = self._torch
        if not self._cuda or not run.in_graph:
            return run
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for turn in range(FEWEST_SAMPLES):
                run.launch(turn)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            for turn in range(GRAPH_LAUNCHES):
                run.launch(turn)
        return Run(launch=lambda _: graph.replay(), times=GRAPH_LAUNCHES)

    def timed(self, run: Run, *, at_least_s: float, fewest: int = FEWEST_SAMPLES) -> list[float]:
        """By events on one GPU, by the wall clock between two synchronisations elsewhere."""
        once = self._by_events_s if self._cuda and run.in_graph else self._by_clock_s
        samples: list[float] = []
        began = time.perf_counter()
        while len(samples) < fewest or time.perf_counter() - began < at_least_s:
            samples.append(once(run, len(samples)) / run.times)
        return samples

    def energy_j(self) -> float | None:
        """The GPU's own energy counter."""
        if self._nvml is None:
            return None
        try:
            return float(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)) / 1e3
        except self._nvml.NVMLError:
            return None

    def state(self) -> Mapping[str, float]:
        """Clock, temperature and cap now; what the driver refuses is left out."""
        nvml, handle = self._nvml, self._handle
        if nvml is None:
            return {}
        asked: dict[str, Callable[[], float]] = {
            "sm_clock_mhz": lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM),
            "temperature_c": lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU),
            "cap_w": lambda: nvml.nvmlDeviceGetPowerManagementLimit(handle) / 1e3,
            "throttle_reasons": lambda: nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle),
        }
        found = {}
        for name, ask in asked.items():
            try:
                found[name] = float(ask())
            except nvml.NVMLError:
                continue
        return found

    def _tensor(self, *shape: int) -> Any:  # noqa: ANN401
        return self._torch.rand(*shape, device=self._device, dtype=self._torch.bfloat16)

    def _copies(self, numbers: int, make: Make) -> Sequence[Any]:
        """Operands of so many bf16 numbers, as often as it takes to be larger than the cache."""
        if not self._cuda:
            return [make()]
        self._torch.cuda.empty_cache()  # of the operation before
        cache = getattr(self._torch.cuda.get_device_properties(0), "L2_cache_size", 64 * 2**20)
        return [make() for _ in range(min(MOST_COPIES, 1 + CACHE_TURNS * cache // (2 * numbers)))]

    def _by_events_s(self, run: Run, turn: int) -> float:
        """Seconds of a launch as the GPU saw it."""
        start, end = (self._torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        run.launch(turn)
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end)) / 1e3

    def _by_clock_s(self, run: Run, turn: int) -> float:
        """Seconds of a launch as the host saw it."""
        self._wait()
        began = time.perf_counter()
        run.launch(turn)
        self._wait()
        return time.perf_counter() - began

    def _wait(self) -> None:
        """Until every GPU is idle."""
        if self._cuda:
            for gpu in range(self._torch.cuda.device_count()):
                self._torch.cuda.synchronize(gpu)


def _nvml(torch: Any) -> tuple[Any, Any]:  # noqa: ANN401
    """NVML and the handle of the GPU that PyTorch calls the first; nothing where the module is missing."""
    try:
        import pynvml
    except ImportError:
        return None, None
    try:
        pynvml.nvmlInit()
        found = getattr(torch.cuda.get_device_properties(0), "uuid", None)
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{found}") if found else pynvml.nvmlDeviceGetHandleByIndex(0)
    except pynvml.NVMLError:
        return None, None
    return pynvml, handle


def _text(value: str | bytes) -> str:
    """NVML answers in bytes on older versions."""
    return value.decode() if isinstance(value, bytes) else value


def _drop(*_results: object) -> None:
    """Results are not needed."""
