"""Both readings of the published table, for every test of Splitwise's reproduction."""

import pytest

from planner.reproduce.readings import AS_MEASURED, AS_PUBLISHED, Reading, reading
from planner.scenario.designs import A100, H100, H100_CAPPED

MACHINES = (A100, H100, H100_CAPPED)


@pytest.fixture(scope="module")
def published() -> Reading:
    """As the public simulator reads it."""
    return reading(AS_PUBLISHED, "bloom-176b", MACHINES)


@pytest.fixture(scope="module")
def measured() -> Reading:
    """As the table was measured."""
    return reading(AS_MEASURED, "bloom-176b", MACHINES)
