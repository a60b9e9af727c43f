"""Parsers of engines and of Dynamo take what manifests write, where a Python has them; no GPU is needed.

No lock file holds these: vLLM takes 8 GB, SGLang with Dynamo 2 GB. ::

    python3 -m venv V; V/bin/pip install vllm==0.24.0
    python3 -m venv S; S/bin/pip install torch==2.13.0
    S/bin/pip install --no-deps sglang==0.5.14 ai-dynamo==1.3.0.post1
    S/bin/pip install ai-dynamo-runtime==1.3.0.post1 transformers==5.8.1 triton pillow pybase64 openai dill \
        sentencepiece compressed-tensors einops partial_json_parser setproctitle msgspec orjson psutil pyzmq fastapi \
        uvicorn ipython requests aiohttp
    PHASEWISE_VLLM_PYTHON=V/bin/python PHASEWISE_SGLANG_PYTHON=S/bin/python make test-slow
"""

import json
import os
import subprocess
from collections.abc import Sequence

import pytest
import yaml

from planner.errors import BadInput
from planner.files.stacks import dynamo
from planner.files.workers import Deployment
from tests.planner.files.test_manifests import PLANS, deployed

VLLM, SGLANG = (os.environ.get(f"PHASEWISE_{name}_PYTHON", "") for name in ("VLLM", "SGLANG"))
RELEASES = {"vllm": "0.24.0", "sglang": "0.5.14", "trtllm": "1.3.0rc20"}

TRY = """
taken = []
for words in json.load(sys.stdin):
    try:
        parse(words)
        taken.append(True)
    except SystemExit:
        taken.append(False)
print("TAKEN", json.dumps(taken))
"""

OF_VLLM = """
import json, sys
import vllm.platforms
from vllm.platforms.cpu import CpuPlatform
vllm.platforms.current_platform = CpuPlatform()  # there is no GPU to be found
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.utils.argparse_utils import FlexibleArgumentParser
parse = AsyncEngineArgs.add_cli_args(FlexibleArgumentParser()).parse_args
"""

ABSENT = """
import argparse, json, sys
from importlib.machinery import ModuleSpec
from unittest.mock import MagicMock

class Absent:  # what parsers import and do not ask: kernels and engines
    def find_spec(self, name, path=None, target=None):
        return ModuleSpec(name, self, is_package=True) if name.split(".")[0] in ABSENT else None

    def create_module(self, spec):
        module = MagicMock(name=spec.name)
        module.__spec__, module.__path__, module.__name__, module.__file__ = spec, [], spec.name, "absent"
        return module

    def exec_module(self, module):
        pass

ABSENT = {"torchvision", "sgl_kernel", "tensorrt_llm", "vllm"}
sys.meta_path.append(Absent())
import torch
"""

OF_SGLANG = """
from sglang.srt.server_args import ServerArgs
engine = argparse.ArgumentParser(allow_abbrev=False)
ServerArgs.add_cli_args(engine)
parse = engine.parse_args
"""

OF_DYNAMO = {
    "trtllm": "from dynamo.trtllm.args import parse_args as parse",
    "sglang": OF_SGLANG
    + """
from dynamo.common.configuration.groups.runtime_args import DynamoRuntimeArgGroup
from dynamo.sglang.backend_args import DynamoSGLangArgGroup
own = argparse.ArgumentParser(allow_abbrev=False)
DynamoRuntimeArgGroup().add_arguments(own)
DynamoSGLangArgGroup().add_arguments(own)
parse = lambda words: engine.parse_args(own.parse_known_args(words)[1])  # as dynamo.sglang.args does
""",
    "vllm": """
from dynamo.common.configuration.groups.runtime_args import DynamoRuntimeArgGroup
from dynamo.vllm.backend_args import DynamoVllmArgGroup
own = argparse.ArgumentParser(allow_abbrev=False)
DynamoRuntimeArgGroup().add_arguments(own)
DynamoVllmArgGroup().add_arguments(own)
def parse(words):  # the rest is the engine's, whose own parser reads it in a test of its own
    if any(word.startswith(("--disaggregation", "--no-such")) for word in own.parse_known_args(words)[1]):
        raise SystemExit
""",
}


def taken(python: str, parser: str, every: Sequence[Sequence[str]]) -> list[bool]:
    """Whether a parser takes each list of words."""
    done = subprocess.run(
        [python, "-c", parser + TRY], input=json.dumps(every), capture_output=True, text=True, check=False,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    assert "TAKEN " in done.stdout, done.stderr[-2000:]
    found: list[bool] = json.loads(done.stdout.partition("TAKEN ")[2])
    return found


def every_plan(engine: str) -> list[Deployment]:
    """All plans of the tests that an engine can be told of."""
    found = []
    for plan in PLANS.values():
        try:
            found.append(deployed(getattr(plan, "candidate", plan), engine=engine, engine_version=RELEASES[engine]))
        except BadInput:
            assert engine != "vllm"
    assert len(found) > 1
    return found


@pytest.mark.slow
@pytest.mark.skipif(not VLLM, reason="PHASEWISE_VLLM_PYTHON is not set: vLLM's parser is NOT run on any manifest")
def test_vllm_takes_what_is_written() -> None:
    """The parser of the installed vLLM reads the arguments of every pool, and refuses a misspelled flag and value."""
    written = [["--model", worker.model, *worker.arguments] for plan in every_plan("vllm") for worker in plan.workers]
    wrong = [["--model", "m", "--tensor-paralel-size", "2"], ["--model", "m", "--kv-cache-dtype", "fp3"]]
    assert taken(VLLM, OF_VLLM, [*written, *wrong]) == [True] * len(written) + [False] * len(wrong)


@pytest.mark.slow
@pytest.mark.skipif(not SGLANG, reason="PHASEWISE_SGLANG_PYTHON is not set: SGLang's parser is NOT run on any manifest")
def test_sglang_takes_what_is_written() -> None:
    """So does SGLang's."""
    written = [["--model-path", worker.model, *worker.arguments] for p in every_plan("sglang") for worker in p.workers]
    wrong = [["--model-path", "m", "--tp-sise", "2"], ["--model-path", "m", "--kv-cache-dtype", "fp3"]]
    assert taken(SGLANG, ABSENT + OF_SGLANG, [*written, *wrong]) == [True] * len(written) + [False] * len(wrong)


@pytest.mark.slow
@pytest.mark.skipif(
    not SGLANG, reason="PHASEWISE_SGLANG_PYTHON is not set: Dynamo's parsers are NOT run on any manifest"
)
@pytest.mark.parametrize("engine", OF_DYNAMO)
def test_dynamo_takes_what_is_written(engine: str) -> None:
    """Dynamo's own parser of each engine reads the container's arguments of every component of every manifest."""
    graphs = [yaml.safe_load(dynamo(plan)) for plan in every_plan(engine)]
    written = [
        part["podTemplate"]["spec"]["containers"][0]["args"]
        for graph in graphs for part in graph["spec"]["components"] if part["type"] != "frontend"
    ]  # fmt: skip
    assert any("--disaggregation-mode" in words for words in written)
    wrong = [[*written[0], "--disaggregation-mode", "both"], [*written[0], "--no-such-flag", "decode"]]
    assert taken(SGLANG, ABSENT + OF_DYNAMO[engine], [*written, *wrong]) == [True] * len(written) + [False] * len(wrong)
