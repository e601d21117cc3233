"""Two runs on one service, in a real sandbox: each alone is not what the two are together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from group_place import RATES, TOTALS, Shop, ask, closed, opened, types_of

from learnd.manifest.block import LearningBlock
from learnd.requests import ApproveJob
from learnd.settings import Validation

pytestmark = pytest.mark.sandbox


def test_the_first_run_alone_does_not_pass(tmp_path: Path) -> None:
    with opened(tmp_path / "state", Validation()) as engine:
        job = Shop(engine, tmp_path / "repo").run("run-1", RATES)
        row = engine.views().job(job.id)
        assert (row.status, row.evidence) == ("validation_failed", "failed")


def test_two_runs_that_only_mend_the_defect_together_are_proven_together(tmp_path: Path) -> None:
    with opened(tmp_path / "state") as engine:
        shop = Shop(engine, tmp_path / "repo")
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
