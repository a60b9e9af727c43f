"""Fixtures: public traces where they are at hand, and traces drawn by hypothesis."""

from pathlib import Path

import pytest

from workloads.readers import read_trace
from workloads.traces import Trace

TRACES = Path(__file__).parents[2] / ".." / "shared" / "data" / "traces"


def public_trace(file: str) -> Trace:
    path = TRACES / file
    if not path.exists():
        pytest.skip(f"needs the public trace {file} in ../shared/data/traces")
    return read_trace(path)


@pytest.fixture(scope="session")
def azure_code() -> Trace:
    return public_trace("azure_2023_code.csv")


@pytest.fixture(scope="session")
def azure_conv() -> Trace:
    return public_trace("azure_2023_conv.csv")


@pytest.fixture(scope="session")
def mooncake() -> Trace:
    return public_trace("mooncake_conversation.jsonl")
