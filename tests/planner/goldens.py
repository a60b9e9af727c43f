"""Golden files: what people and programs see, kept word for word."""

import os
from pathlib import Path

GOLDEN = Path(__file__).parents[1] / "golden"


def same_as_golden(text: str, path: Path) -> None:
    """Compare with a kept file; ``REFRESH_GOLDEN=1 pytest`` writes it anew, for the reviewer to read the difference."""
    if os.environ.get("REFRESH_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), f"{path.name} changed; REFRESH_GOLDEN=1 pytest writes it anew"
