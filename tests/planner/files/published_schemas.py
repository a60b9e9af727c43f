"""What the stacks publish of their manifests, as validators.

`schemas.json` holds parts of published schemas, closed against other keys, each with its source, licence and the digest
of the file it was taken from; `engine_flags.json` every option that two releases of engines define.
"""

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

HERE = Path(__file__).parent
SCHEMAS: dict[str, dict[str, Any]] = json.loads((HERE / "schemas.json").read_text())
ENGINE_FLAGS: dict[str, dict[str, Any]] = json.loads((HERE / "engine_flags.json").read_text())
_SHARED = {name: SCHEMAS[name]["schema"] for name in ("pod", "chart_container")}


def wrong(kind: str, document: object) -> list[str]:
    """What a schema says against a document; nothing where it agrees."""
    schema = {**SCHEMAS[kind]["schema"], "$defs": _SHARED}
    return [f"{error.json_path}: {error.message}" for error in Draft202012Validator(schema).iter_errors(document)]
