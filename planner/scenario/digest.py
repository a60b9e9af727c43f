"""The digest of a question, by which a file tells that another one was put into it."""

import json
from hashlib import sha256

from pydantic import BaseModel


def digest_of(question: BaseModel) -> str:
    """SHA-256 of a scenario with every default spelled out, whatever the order of its keys; hex."""
    return sha256(json.dumps(question.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()
