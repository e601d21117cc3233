"""Who may say it: the kernel's word against the operator's list; and what makes no sense, whoever says it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from failures_place import House

from events.catalog import JobRequeued, RunApproved

AS_NOBODY = (
    "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
    "--inh-caps=+dac_override", "--ambient-caps=+dac_override",
)  # fmt: skip
"""Another user, who may still enter a test's folders: the kernel tells the socket who they are."""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")


@needs_root
def test_only_a_listed_user_approves_and_a_name_that_is_given_is_only_a_claim(tmp_path: Path) -> None:
    house = House(tmp_path, LEARND_TRIGGER="approved", LEARND_APPROVERS='["nobody"]')
    with house.at_work():
        job = house.fixed("guarded")
        house.reaches(job, "awaiting_approval")
        before = house.types(job)
        for argv in (("approve", job[:8]), ("approve", job[:8], "--now"), ("dismiss", job[:8])):
            refused = house.learnd(*argv, "--approver", "nobody", "--reason", "trust me")
            assert refused.code == 1
            assert "user root is not an approver (approvers: nobody)" in refused.err
        assert house.types(job) == before
        done = house.learnd("approve", job[:8], "--approver", "root", "--reason", "looked at it", prefix=AS_NOBODY)
        assert done.code == 0, done
        approved = house.last(job, RunApproved)
        assert (approved.approver, approved.claimed, approved.reason) == ("nobody", "root", "looked at it")
        (record,) = [r for r in house.records(job) if isinstance(r.data, RunApproved)]
        assert record.actor == "nobody"
        house.learnd("dismiss", job[:8], "--reason", "seen enough", prefix=AS_NOBODY)


@needs_root
def test_somebody_who_is_no_approver_has_nothing_written_or_rebuilt_for_them(asking_house: House) -> None:
    house = asking_house
    job = house.fixed("strange")
    house.reaches(job, "awaiting_approval")
    house.until_told(job, "pending")
    refused = house.learnd("approve", job[:8], "--scenario", "/etc/passwd", prefix=AS_NOBODY)
    assert "user nobody is not an approver" in refused.err, "before a word is said about the form"
    refused = house.learnd("approve", job[:8], prefix=AS_NOBODY)
    assert "user nobody is not an approver" in refused.err
    assert not list(house.learning(job).glob("*scenario*"))


def test_what_makes_no_sense_for_a_job_is_refused_with_a_sentence(asking_house: House) -> None:
    house = asking_house
    job = house.fixed("senseless")
    house.reaches(job, "awaiting_approval")
    before = house.types(job)
    (house.root / "form.md").write_text("```toml\n```\n")
    for more, said in (
        (("--grant-usd", "1"), "is awaiting_approval: only a job that is over_budget takes a grant"),
        (("--accept-unproven",), "only a change that was skipped for want of proof"),
        (("--scenario", "form.md"), "only a job that is needs_manual_scenario or validation_failed takes a scenario"),
        (("--scenario", "form.md", "--grant-usd", "1"), "a scenario is supplied by itself"),
    ):
        done = house.learnd("approve", job[:8], *more)
        assert done.code == 1
        assert said in done.err
        assert f"Next: learnd approve {job[:8]}" in done.err, "the command that does move it"
    assert house.types(job) == before


@pytest.mark.sandbox
def test_of_two_people_who_approve_at_once_one_does_and_the_other_hears_that_it_was_done(asking_house: House) -> None:
    house = asking_house
    job = house.fixed("both")
    house.reaches(job, "awaiting_approval")
    both = [house.start("approve", job[:8], "--reason", f"person {number}") for number in (1, 2)]
    told = [process.communicate(timeout=90) for process in both]
    codes = [process.returncode for process in both]
    assert sorted(codes) == [0, 1], told
    (_, err) = told[codes.index(1)]
    assert "nothing waits for an approval" in err
    assert house.types(job).count("RunApproved") == 1
    house.learnd("dismiss", job[:8], "--reason", "seen enough")
    assert not [r for r in house.records(job) if isinstance(r.data, JobRequeued)]
