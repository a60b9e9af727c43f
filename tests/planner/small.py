"""A question that is planned in a tenth of a second, for tests that plan many times."""

from pathlib import Path

from planner.scenario import Scenario
from planner.scenario.reading import Document

TEXT = """\
schema_version: 1
name: small
model: {name: llama-3.1-8b, engine: vllm}
workload:
  lengths: {prompt: {median_tokens: 200, p95_tokens: 400}, output: {median_tokens: 20, p95_tokens: 40}}
  rate_req_per_s: 40
  duration_s: 5
slo: {ttft_p90_s: 1.0, tbt_p90_s: 0.1}
catalog: {machines: [dgx-a100, dgx-h100], tp: [8]}
policy: {name: colocated}
validation: {seeds: 1}
"""


def small(*settings: str) -> Scenario:
    """The question with ``dotted.key=value`` words applied."""
    import yaml

    return Scenario.parse(Document(data=yaml.safe_load(TEXT), places={(): "small"})).changed(settings)


def write_small(directory: Path) -> Path:
    """The question as a file."""
    path = directory / "small.yaml"
    path.write_text(TEXT, encoding="utf-8")
    return path
