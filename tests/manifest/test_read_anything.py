"""Whatever bytes stand in a manifest, the reader answers, the writer keeps out, and nothing is raised."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from manifest_samples import SAMPLES, document, put, sample

from learnd.manifest.block import LearningBlock
from learnd.manifest.history import execution_history
from learnd.manifest.read import LeadsNowhere, canonical_path, read_run
from learnd.manifest.runs import NotARun, Run, Unreadable
from learnd.manifest.write import ManifestChanged, ManifestUnwritable, write_learning

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["../x", "", "a/b", "\0"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(sorted(path.name for path in SAMPLES.glob("*.json")))


def look(content: bytes) -> Run | NotARun | Unreadable:
    """Read, follow, and write: every file that the bytes made appear must lie in the run's folder."""
    with tempfile.TemporaryDirectory() as folder:
        repo = Path(folder) / "repo"
        path = put(repo, content, ".runs/t/cli/r/manifest.json")
        found = read_run(path, repo)
        assert isinstance(found, Run | NotARun | Unreadable)
        str(found).encode()  # storable: no lone surrogate reaches anyone
        try:
            canonical_path(path, repo)
        except LeadsNowhere as nowhere:
            str(nowhere).encode()
        if isinstance(found, Run):
            execution_history(found)
        try:
            write_learning(path, repo, LearningBlock())
        except (ManifestChanged, ManifestUnwritable) as refusal:
            str(refusal).encode()
            assert path.read_bytes() == content
        assert [str(p.relative_to(folder)) for p in Path(folder).rglob("*") if p.is_file()] == [
            "repo/.runs/t/cli/r/manifest.json"
        ]
        return found


@given(st.binary(max_size=200))
@settings(max_examples=60, deadline=None)
def test_any_bytes_are_answered(content: bytes) -> None:
    look(content)


@given(JSON)
@settings(max_examples=80, deadline=None)
def test_any_json_is_answered(value: object) -> None:
    look(json.dumps(value).encode())


@given(NAMES, st.data())
@settings(max_examples=80, deadline=None)
def test_any_truncation_is_answered_and_none_is_a_run(name: str, data: st.DataObject) -> None:
    whole = sample(name).rstrip().encode()
    found = look(whole[: data.draw(st.integers(0, len(whole) - 1))])
    assert isinstance(found, Unreadable)


@given(NAMES, st.data())
@settings(max_examples=150, deadline=None)
def test_any_value_in_any_field_is_answered(name: str, data: st.DataObject) -> None:
    value: Any = json.loads(sample(name))
    target = value[0] if isinstance(value, list) else value
    if isinstance(target.get("commands"), list) and data.draw(st.booleans()):
        target = target["commands"][0]
    target[data.draw(st.sampled_from(sorted(target)))] = data.draw(JSON)
    look(json.dumps(value).encode())


@given(st.text(max_size=12), st.sampled_from(["task_id", "run_id"]))
@settings(max_examples=100, deadline=None)
def test_an_id_that_is_accepted_is_one_file_name(value: str, field: str) -> None:
    found = look(json.dumps(document(**{field: value})).encode())
    if isinstance(found, Run):
        assert Path("/base", found.task_id, found.run_id).resolve() == Path(f"/base/{found.task_id}/{found.run_id}")
        assert len(Path("/base", found.task_id, found.run_id).parts) == 4
