"""Writing the block changes the member `learning` and nothing else, and gives way to the producer."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from manifest_samples import document, put, sample
from pydantic import ValidationError

from learnd.manifest import jsontext, write
from learnd.manifest.block import (
    Alert,
    ApprovalPart,
    Crystalizer,
    Grouping,
    LearndFile,
    LearningBlock,
    PatternHygiene,
    Queue,
    Regressions,
    Review,
    ScenarioPart,
    Snapshot,
    Throughput,
    Validation,
    approval_state,
    validation_words,
)
from learnd.manifest.write import (
    ManifestChanged,
    ManifestUnwritable,
    write_learnd_json,
    write_learning,
)

AT = "2026-01-02T03:06:00.000Z"
FULL = LearningBlock(
    snapshot=Snapshot(
        tag="learning-snapshot-1", commit_sha="a" * 40, tarball_path="a.tar.gz", tarball_digest="b" * 64,
        storage_path="learning-snapshots/t/r.tar.gz", retention_days=30, status="captured", attempts=1, created_at=AT,
    ),
    queue=Queue(
        snapshot_id="1", diff_path="d", manifest_path="m", enqueued_at=AT, payload_path="p", status="queued"
    ),
    scenario=ScenarioPart(path="s", generated_at=AT, source="execution_history", status="synthesized", attempts=1),
    validation=Validation(
        mode="grouped", grouping=Grouping(id="g", members=("a",), window_hours=2.5), status="validated"
    ),
    crystalizer=Crystalizer(
        candidate_path=None, model="extractive", prompt_pack="crystalizer-v1", prompt_pack_stamp=None,
        budget_usd=0.5, cost_usd=0.0, status="pending", created_at=AT,
    ),
    alerts=(Alert(type="budget_exceeded", channel="slack", target="#x", message="m", created_at=AT),),
    approvals=(ApprovalPart(actor="lee", timestamp=AT, state=approval_state("over_budget")),),
    review=Review(rejections=0, latency_ms=None, updated_at=AT),
    regressions=Regressions(detected=0),
    pattern_hygiene=PatternHygiene(promoted=1, deprecated=0, notes=("n",), updated_at=AT),
    throughput=Throughput(candidates=1, active=0, deprecated=0, updated_at=AT),
)  # fmt: skip


def learning_of(path: Path) -> dict[str, Any]:
    learning: dict[str, Any] = json.loads(path.read_text())["learning"]
    return learning


def test_all_but_the_block_stays_to_the_byte(repo: Path) -> None:
    path = put(repo, sample("cli-v1.json"))
    head, tail = (
        sample("cli-v1.json").split('"learning"')[0],
        '"tfgrpo": {' + sample("cli-v1.json").split('"tfgrpo": {')[1],
    )
    assert write_learning(path, repo, FULL)
    text = path.read_text()
    assert text.startswith(head)
    assert text.endswith(tail)
    assert '"cost_usd": 0.000012' in tail
    assert learning_of(path)["snapshot"]["commit_sha"] == "a" * 40


def test_the_layout_is_the_producers(repo: Path) -> None:
    path = put(repo, document())
    write_learning(path, repo, FULL)
    assert path.read_text() == json.dumps(json.loads(path.read_text()), indent=2) + "\n"


@pytest.mark.parametrize(
    "text",
    [
        '{"status":"failed","big":123456789012345678901234567890.10,"learning":null}',
        '{ "status" : "failed" }\n\n',
        '\n{\r\n\t"status": "failed",\r\n\t"zero": -0.0,\r\n\t"e": 1E400000000000000000000\r\n}'.replace(
            "1E4" + "0" * 20, "1E4"
        ),
        "{}",
    ],
)
def test_numbers_and_layout_of_any_producer_stay(repo: Path, text: str) -> None:
    path = put(repo, text)
    before = json.loads(text, parse_float=str, parse_int=str)
    assert write_learning(path, repo, FULL)
    after = json.loads(path.read_text(), parse_float=str, parse_int=str)
    assert list(after) == list(before | {"learning": 0})
    assert {key: value for key, value in after.items() if key != "learning"} == {
        key: value for key, value in before.items() if key != "learning"
    }
    assert ("\r\n" in path.read_bytes().decode()) == ("\r\n" in text)


def test_a_second_write_of_the_same_changes_nothing(repo: Path) -> None:
    path = put(repo, sample("cli-v1.json"))
    assert write_learning(path, repo, FULL)
    inode = path.stat().st_ino
    assert not write_learning(path, repo, FULL)
    assert path.stat().st_ino == inode


def test_a_block_that_the_producer_dropped_is_written_again(repo: Path) -> None:
    path = put(repo, sample("cli-v1.json"))
    write_learning(path, repo, FULL)
    path.write_text(sample("cli-v1.json"))
    assert write_learning(path, repo, FULL)
    assert "learning" in json.loads(path.read_text())


def test_members_that_learnd_does_not_know_stay_in_the_block(repo: Path) -> None:
    learning = {"future": {"n": 1}, "validation": {"mode": "per-task", "extra": 1.50}, "alerts": []}
    path = put(repo, document(learning=learning))
    write_learning(path, repo, FULL)
    assert learning_of(path)["future"] == {"n": 1}
    assert learning_of(path)["validation"]["extra"] == 1.5
    assert learning_of(path)["validation"]["status"] == "validated"


def test_a_section_without_content_is_left_out_and_an_older_one_cleared(repo: Path) -> None:
    path = put(repo, sample("cli-v1.json"))
    write_learning(path, repo, LearningBlock())
    assert set(learning_of(path)) == {"validation", "alerts", "approvals"}
    write_learning(path, repo, FULL)
    write_learning(path, repo, LearningBlock())
    assert learning_of(path)["crystalizer"] is None
    assert learning_of(path)["validation"]["status"] == "pending"
    assert learning_of(path)["alerts"] == []


def test_mode_and_owner_stay(repo: Path) -> None:
    path = put(repo, sample("cli-v1.json"))
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 12345, 12345)
    before = path.stat()
    write_learning(path, repo, FULL)
    after = path.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)


def test_nothing_but_the_manifest_is_left_in_the_folder(repo: Path) -> None:
    path = put(repo, sample("cli-v1.json"))
    write_learning(path, repo, FULL)
    assert list(path.parent.iterdir()) == [path]


def test_refused_while_the_run_goes_on(repo: Path) -> None:
    path = put(repo, document(status="in_progress", completed_at=None))
    with pytest.raises(ManifestChanged, match="in_progress"):
        write_learning(path, repo, FULL)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"a": 1, "a": 2}', '{"a": NaN}'])
def test_refused_when_it_is_not_a_manifest(repo: Path, content: str) -> None:
    path = put(repo, content)
    with pytest.raises(ManifestUnwritable):
        write_learning(path, repo, FULL)
    assert path.read_text() == content


def test_refused_behind_a_link_that_leaves_the_repository(repo: Path, tmp_path: Path) -> None:
    outside = put(tmp_path, sample("cli-v1.json"), "outside/manifest.json")
    (repo / ".runs/a").symlink_to(outside.parent)
    (repo / ".runs/manifest.json").symlink_to(outside)
    for path in (repo / ".runs/a/manifest.json", repo / ".runs/manifest.json", outside):
        with pytest.raises(ManifestUnwritable, match="repository"):
            write_learning(path, repo, FULL)
    assert outside.read_text() == sample("cli-v1.json")


def test_refused_when_there_is_no_regular_file(repo: Path) -> None:
    os.mkfifo(repo / ".runs/manifest.json")
    with pytest.raises(ManifestUnwritable, match="pipe"):
        write_learning(repo / ".runs/manifest.json", repo, FULL)
    with pytest.raises(ManifestUnwritable):
        write_learning(repo / ".runs/gone/manifest.json", repo, FULL)


def test_a_lock_left_behind_is_taken_over(repo: Path) -> None:
    path = put(repo, sample("cli-v1.json"))
    lock = path.with_name("manifest.json.lock")
    lock.write_text("someone")
    os.utime(lock, (time.time() - 31, time.time() - 31))
    assert write_learning(path, repo, FULL)
    assert not lock.exists()


def test_refused_while_the_producer_holds_its_lock(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write, "WAIT_S", 0.1)
    path = put(repo, sample("cli-v1.json"))
    lock = path.with_name("manifest.json.lock")
    lock.write_text("someone")
    with pytest.raises(ManifestChanged, match=r"manifest\.json\.lock is held"):
        write_learning(path, repo, FULL)
    assert lock.read_text() == "someone"
    assert path.read_text() == sample("cli-v1.json")


def test_a_lock_that_is_given_back_in_time_is_waited_for(repo: Path) -> None:
    path = put(repo, sample("cli-v1.json"))
    lock = path.with_name("manifest.json.lock")
    lock.write_text("someone")
    timer = threading.Timer(0.2, lock.unlink)
    timer.start()
    assert write_learning(path, repo, FULL)
    timer.join()


def test_saves_of_a_producer_in_between_are_never_lost(repo: Path) -> None:
    """A producer that takes no lock saves on and on; its last save must be what is there, block or not."""
    path = put(repo, document(count=0))
    stop = threading.Event()
    saved = 0

    def produce() -> None:
        nonlocal saved
        while not stop.is_set():
            saved += 1
            temporary = path.with_name(f"manifest.json.tmp-{saved}")
            temporary.write_text(json.dumps(document(count=saved), indent=2) + "\n")
            temporary.rename(path)
            time.sleep(0.002)

    producer = threading.Thread(target=produce)
    producer.start()
    written = 0
    for _ in range(50):
        try:
            written += write_learning(path, repo, FULL)
        except ManifestChanged:
            continue
        json.loads(path.read_text())
    stop.set()
    producer.join()
    write_learning(path, repo, FULL)
    assert written
    assert learning_of(path)["snapshot"]["status"] == "captured"
    assert {p.name for p in path.parent.iterdir()} == {"manifest.json"}


# --- learnd.json ------------------------------------------------------------------------------------


def test_what_learnd_adds_goes_to_its_own_file(repo: Path) -> None:
    run_dir = put(repo, sample("cli-v1.json")).parent
    content = LearndFile(job="a" * 64, status="learned", evidence="proven", isolation="bubblewrap", updated_at=AT)
    assert write_learnd_json(run_dir, repo, content)
    assert json.loads((run_dir / "learning/learnd.json").read_text())["evidence"] == "proven"
    assert not write_learnd_json(run_dir, repo, content)


def test_refused_when_the_learning_folder_is_a_link(repo: Path, tmp_path: Path) -> None:
    run_dir = put(repo, sample("cli-v1.json")).parent
    (tmp_path / "outside").mkdir()
    (run_dir / "learning").symlink_to(tmp_path / "outside")
    with pytest.raises(ManifestUnwritable):
        write_learnd_json(run_dir, repo, LearndFile(job="a", status="learned", updated_at=AT))
    assert not list((tmp_path / "outside").iterdir())


# --- words ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "word", "reason"),
    [
        ("learned", "validated", "why"),
        ("validated", "validated", "why"),
        ("stalled_snapshot", "stalled_snapshot", "why"),
        ("needs_manual_scenario", "needs_manual_scenario", "why"),
        ("snapshot_failed", "snapshot_failed", "why"),
        ("validation_failed", "pending", "validation_failed: why"),
        ("over_budget", "pending", "over_budget: why"),
        ("skipped", "pending", "skipped: why"),
    ],
)
def test_an_outcome_without_a_word_in_the_schema_stays_pending_and_says_so(status: str, word: str, reason: str) -> None:
    assert validation_words(status, "why") == (word, reason)


def test_a_word_the_schema_lacks_cannot_be_written() -> None:
    with pytest.raises(ValidationError):
        Validation.model_validate({"status": "validation_failed"})
    with pytest.raises(ValidationError):
        LearningBlock.model_validate({"evidence": "proven"})


# --- text -------------------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=10,
).filter(lambda value: "\\ud" not in json.dumps(value))
OBJECTS = st.dictionaries(st.text(max_size=4), VALUES, max_size=4)


@given(OBJECTS, st.text(max_size=4), VALUES, st.sampled_from([None, 0, 1, 2, 4, "\t"]), st.booleans())
@settings(max_examples=150, deadline=None)
def test_setting_a_member_sets_that_member_only(
    before: dict[str, Any], key: str, value: Any, indent: int | str | None, ascii_only: bool
) -> None:
    text = json.dumps(before, indent=indent, ensure_ascii=ascii_only)
    after = json.loads(jsontext.with_member(text, key, value))
    old = before.get(key)
    merged = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
    if not (isinstance(old, dict) and isinstance(value, dict) and any(isinstance(v, dict) for v in value.values())):
        assert after == {**before, key: merged}
    assert list(after) == list({**before, key: 0})
