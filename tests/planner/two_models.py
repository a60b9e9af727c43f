"""A question about two models that is planned in a second, for tests."""

from typing import Any

import yaml

from planner.scenario.fleet import Fleet
from planner.scenario.reading import Document

TEXT = """\
schema_version: 1
name: two
models:
  - name: chat
    model: {name: llama-3.1-8b, engine: vllm}
    workload:
      lengths: {prompt: {median_tokens: 200, p95_tokens: 400}, output: {median_tokens: 20, p95_tokens: 40}}
      rate_req_per_s: 40
      duration_s: 5
    slo: {ttft_p90_s: 1.0, tbt_p90_s: 0.1}
  - name: code
    model: {name: llama-3.1-70b, engine: vllm}
    workload:
      lengths: {prompt: {median_tokens: 200, p95_tokens: 400}, output: {median_tokens: 20, p95_tokens: 40}}
      rate_req_per_s: 20
      duration_s: 5
    slo: {ttft_p90_s: 2.0, tbt_p90_s: 0.2}
catalog: {machines: [dgx-a100, dgx-h100], tp: [8]}
policy: {name: colocated}
validation: {seeds: 1}
solver: {search_evaluations: 4}
"""


def two(*settings: str) -> Fleet:
    """The question with ``dotted.key=value`` words applied."""
    return Fleet.parse(Document(data=data(), places={(): "two"})).changed(settings)


def data() -> dict[str, Any]:
    """As plain data."""
    found: dict[str, Any] = yaml.safe_load(TEXT)
    return found
