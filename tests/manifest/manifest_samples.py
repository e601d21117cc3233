"""A repository with manifests in it, made from the samples beside this file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SAMPLES = Path(__file__).parent / "samples"
RUN_ID = "2026-01-02T03-04-05-678Z-0a1b2c3d"
PLACE = f".runs/fix-rows/cli/{RUN_ID}/manifest.json"


def sample(name: str) -> str:
    return (SAMPLES / name).read_text()


def document(name: str = "cli-v1.json", **changes: Any) -> dict[str, Any]:
    return {**json.loads(sample(name)), **changes}


def put(repo: Path, content: str | bytes | dict[str, Any], place: str = PLACE) -> Path:
    path = repo / place
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, dict):
        content = json.dumps(content, indent=2) + "\n"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path
