"""vLLM's own parser takes what manifests write, where a Python that has vLLM is at hand; no GPU is needed.

``python3 -m venv D; D/bin/pip install vllm==0.24.0`` takes 8 GB, so no lock file holds it. Then
``PHASEWISE_VLLM_PYTHON=D/bin/python make test-slow``.
"""

import json
import os
import subprocess

import pytest

from tests.planner.files.test_manifests import PLANS, deployed

PYTHON = os.environ.get("PHASEWISE_VLLM_PYTHON", "")
PARSE = """
import json, sys
import vllm.platforms
from vllm.platforms.cpu import CpuPlatform
vllm.platforms.current_platform = CpuPlatform()  # there is no GPU to be found
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.utils.argparse_utils import FlexibleArgumentParser
parser = AsyncEngineArgs.add_cli_args(FlexibleArgumentParser())
taken = []
for words in json.load(sys.stdin):
    try:
        parser.parse_args(words)
        taken.append(True)
    except SystemExit:
        taken.append(False)
print("TAKEN", json.dumps(taken))
"""


@pytest.mark.slow
@pytest.mark.skipif(not PYTHON, reason="PHASEWISE_VLLM_PYTHON is not set: vLLM's parser is NOT run on any manifest")
def test_vllm_takes_what_is_written() -> None:
    """The parser of the installed vLLM reads the arguments of every pool, and refuses a misspelled flag and value."""
    plans = [getattr(each, "candidate", each) for each in PLANS.values()]
    written = [
        ["--model", worker.model, *worker.arguments]
        for plan in plans for worker in deployed(plan, engine="vllm", engine_version="0.24.0").workers
    ]  # fmt: skip
    wrong = [["--model", "m", "--tensor-paralel-size", "2"], ["--model", "m", "--kv-cache-dtype", "fp3"]]
    done = subprocess.run(
        [PYTHON, "-c", PARSE], input=json.dumps([*written, *wrong]), capture_output=True, text=True, check=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    taken = json.loads(done.stdout.partition("TAKEN ")[2])
    assert taken == [True] * len(written) + [False] * len(wrong), done.stderr[-2000:]
