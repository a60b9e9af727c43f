"""How the servers behind published tables were set."""

from dataclasses import replace

import pytest

from planner.accuracy.served import CONNECTIONS, STEP_TOKENS, Asked, Server, server_of
from planner.policies.batching import ChunkForm

DENSE = Asked(
    source="InferenceX DB dump", engine="vllm", version="", model="llama-3.1-70b", gpu="h200-sxm", dtype="fp8", tp=4,
    prompt_tokens=1024, output_tokens=8192, clients=16,
)  # fmt: skip
MINE = replace(DENSE, source="mine", version="0.15.1")
NVIDIA = replace(DENSE, source="NVIDIA aic gap-analysis run", version="0.12.0", prompt_tokens=4096, output_tokens=512)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (MINE, Server()),
        (replace(MINE, version="0.12.0"), Server(mode="serial")),
        (replace(MINE, engine="sglang", version=""), Server(form=ChunkForm.PREFILL_FIRST)),
        (replace(MINE, engine="trtllm"), Server(form=None, kv_dtype="fp8")),
        (DENSE, Server(kv_dtype="fp8")),
        (replace(DENSE, gpu="b200-sxm"), Server(kv_dtype="fp8", mode="eager")),
        (replace(DENSE, model="gpt-oss-120b", dtype="fp4"), Server()),
        (replace(DENSE, model="gpt-oss-120b", dtype="fp4", clients=512), Server(max_batch_size=CONNECTIONS)),
        (replace(DENSE, model="gpt-oss-120b", dtype="fp4", clients=512, version="0.15.1"), Server()),
        (replace(DENSE, engine="trtllm"), Server(step_tokens=10240, form=None, kv_dtype="fp8")),
        (
            replace(DENSE, engine="trtllm", output_tokens=1024),
            Server(step_tokens=10240, form=None, kv_dtype="fp8", wait_steps=20.0),
        ),
        (NVIDIA, Server(step_tokens=4096 + 16, mode="serial")),
        (
            replace(NVIDIA, engine="trtllm", version="1.0.0rc3"),
            Server(step_tokens=4096 + 16, form=None, kv_dtype="fp8", mode="serial"),
        ),
        (
            replace(NVIDIA, engine="trtllm", version="1.0.0rc3", model="llama-3.1-8b", dtype="bf16"),
            Server(step_tokens=4096 + 16, form=None, mode="serial", max_batch_size=15),
        ),
        (
            replace(NVIDIA, engine="sglang", version="0.5.1.post1"),
            Server(step_tokens=4096 + 1500 + 16, form=ChunkForm.PREFILL_FIRST),
        ),
        (replace(NVIDIA, engine="sglang", version="0.5.6.post2"), Server(step_tokens=4096 + 1500 + 16)),
    ],
)
def test_a_row_is_served_as_its_publisher_says(asked: Asked, expected: Server) -> None:
    """What a row does not say is what the launch scripts of its publisher do, and else the engine's defaults."""
    assert server_of(asked) == expected
    assert Server().step_tokens == STEP_TOKENS


def test_an_unknown_release_is_taken_for_a_recent_one() -> None:
    """A version that cannot be read says nothing of old habits."""
    assert server_of(replace(MINE, version="nightly")) == server_of(replace(MINE, version=""))
