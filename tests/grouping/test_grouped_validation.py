"""Two runs on one service, in a real sandbox: each alone is not what the two are together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from group_place import RATES, TOTALS, Shop, ask, closed, opened, types_of
from support.repos import write
from test_waiting_for_a_group import learnd

from learnd.crystalizer.briefing import brief
from learnd.crystalizer.pack import find_pack
from learnd.library.patterns import parse
from learnd.manifest.block import LearningBlock
from learnd.requests import ApproveJob
from learnd.settings import Validation
from learnd.steps.crystalize import draft_request

pytestmark = pytest.mark.sandbox

SECRET = "ghp_" + "a1B2" * 9


def test_the_first_run_alone_does_not_pass(tmp_path: Path) -> None:
    with opened(tmp_path / "state", Validation()) as engine:
        job = Shop(engine, tmp_path / "repo").run("run-1", RATES)
        row = engine.views().job(job.id)
        assert (row.status, row.evidence) == ("validation_failed", "failed")


def test_two_runs_that_only_mend_the_defect_together_are_proven_together(tmp_path: Path) -> None:
    with opened(tmp_path / "state") as engine:
        shop = Shop(engine, tmp_path / "repo")
        for name, prompt in (("run-1", f"Make rate() answer 19 for de.\n{SECRET}\n"), ("run-2", "Sum the values.\n")):
            write(shop.repo, {f".runs/invoices/cli/{name}/prompt.md": prompt})
        first = shop.run("run-1", RATES)
        second = shop.run("run-2", TOTALS, "test_totals")
        assert ask(engine, ApproveJob(job=first.id, now=True)).ok
        lead, member = engine.views().job(second.id), engine.views().job(first.id)
        assert (lead.status, lead.evidence) == ("learned", "proven")
        assert (member.status, member.evidence) == ("learned", None)
        assert lead.pattern == member.pattern

        evidence = engine.door.job(lead.id).evidence
        assert evidence is not None
        assert evidence.group == closed(engine, lead.id).group
        assert evidence.transitions is not None
        turned = evidence.transitions.fail_to_pass.ids
        assert turned == ("test_rates.InvoiceTest.test_invoice", "test_totals.TotalTest.test_total")
        assert {hunk.file for hunk in evidence.hunks} == {"api/rates.py", "api/totals.py"}
        assert types_of(engine, first.id)[-3:] == ["JobExpedited", "GroupJoined", "JobLearned"]

        engine.publisher.late()
        blocks = [json.loads(Path(job.manifest_path).read_text())["learning"] for job in (first, second)]
        groups = [LearningBlock.model_validate(block).validation for block in blocks]
        assert [(one.mode, one.status) for one in groups] == [("grouped", "validated")] * 2
        assert groups[0].grouping == groups[1].grouping
        assert groups[0].grouping is not None
        assert groups[0].grouping.members == ("invoices/run-1", "invoices/run-2")
        assert groups[0].grouping.id == evidence.group.id  # type: ignore[union-attr] # as closed
        assert "run-2" in (groups[0].reason or "")

        paths = [str(Path(job.manifest_path).relative_to(shop.repo)) for job in (first, second)]
        text = engine.door.pattern(str(lead.pattern)).text
        front = parse(text).front
        assert (front.manifest_path, front.validated_with) == (paths[1], (paths[0],))
        assert "> Validated together: 2 runs" in text
        assert "What an earlier run of the group was asked to do" in text
        asked = draft_request(engine.door.job(lead.id), engine.place)
        assert [one.splitlines()[0] for one in (*asked.earlier_prompts, asked.prompt) if one] == [
            "Make rate() answer 19 for de.", "Sum the values.",
        ]  # fmt: skip
        assert SECRET not in text
        assert SECRET not in brief(asked, find_pack("crystalizer-v1"), 200_000).messages[-1]["content"]
        shown = learnd(tmp_path, "review", str(lead.pattern)[:8]).stdout
        assert "validated together: 2 runs" in shown
        assert f"{second.manifest_path} (job {lead.id[:8]}, the lead)" in shown
        assert f"{first.manifest_path} (job {member.id[:8]})" in shown
        (told,) = json.loads(learnd(tmp_path, "review", str(lead.pattern)[:8], "--json").stdout)
        assert [(one["job"], one["lead"]) for one in told["validated_together"]] == [
            (member.id, False), (lead.id, True),
        ]  # fmt: skip
