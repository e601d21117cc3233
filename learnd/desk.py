"""Where people's requests are answered: looked up, turned into commands, put through the door.

The desk stands in whoever holds the log: the daemon (behind its socket), or the command line itself when
no daemon runs. It has no rules either; it finds what a prefix means and which file a person saw.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import assert_never

import structlog

from events.log import AppendFailed, AppendOutcomeUnknown
from learnd import governance, regressions
from learnd.alerts.trial import try_alerts
from learnd.approvals import approve, settle
from learnd.door import Contention
from learnd.harvest.faults import DiskFull, SnapshotError
from learnd.harvest.gitfolder import NotARepository
from learnd.identity import approvers, may_ask, user_name
from learnd.intake import Intake
from learnd.keeping.forget import forget
from learnd.keeping.noting import note_backup
from learnd.library.folders import FolderRefused
from learnd.publisher import Publisher
from learnd.repositories import RegistrationRefused, register, registered
from learnd.requests import (
    REQUEST,
    AnyRequest,
    ApproveJob,
    DeprecatePattern,
    DismissJob,
    ForgetRepo,
    LearnRun,
    NoteBackup,
    NoteServed,
    PromotePattern,
    RebuildModels,
    RegisterRepo,
    RejectPattern,
    ReleasePattern,
    Reply,
    ReportRegression,
    ReportUse,
    RestorePattern,
    SupersedePattern,
    TryAlerts,
)
from learnd.serving.reporting import note_served, report_use
from learnd.views.queries import Ambiguous, NotFound
from learnd.views.store import rebuild
from learnd.workplace import Workplace
from state import commands as c

log = structlog.get_logger("learnd.desk")

PersonRequest = (
    ApproveJob
    | DismissJob
    | PromotePattern
    | RejectPattern
    | DeprecatePattern
    | RestorePattern
    | SupersedePattern
    | ReleasePattern
    | ReportRegression
    | ForgetRepo
)

WorkRequest = RegisterRepo | LearnRun | RebuildModels
"""What has learnd read files and run their code. Requests of persons are judged by the rules in `state`."""


class Desk:
    """`watched` hears of a newly registered work tree, `forgotten` that something is to be deleted."""

    def __init__(
        self,
        place: Workplace,
        intake: Intake,
        publisher: Publisher,
        forgotten: Callable[[], object] = lambda: None,
    ) -> None:
        self._place = place
        self._intake = intake
        self._publisher = publisher
        self.watched: Callable[[str], None] = lambda _tree: None
        self.forgotten = forgotten

    def answer(self, text: bytes | str, uid: int) -> Reply:
        """The reply to a request's JSON from the user with this uid. Raises pydantic's ValidationError."""
        request = REQUEST.validate_json(text)
        if isinstance(request, WorkRequest) and not may_ask(uid, self._place.settings):
            message = f"user {user_name(uid)} is no approver here. Next: an approver, or learnd's own user, does it"
            return Reply(code="not_an_approver", message=message)
        try:
            return self._answer(request, user_name(uid), uid)
        except (NotFound, Ambiguous) as error:
            return Reply(code="not_found", message=str(error))
        except (NotARepository, RegistrationRefused) as error:
            return Reply(code="not_a_repository", message=str(error))
        except (SnapshotError, DiskFull) as error:
            return Reply(code="not_written", message=str(error))
        except FolderRefused as error:
            return Reply(code="folder_refused", message=str(error))
        except AppendOutcomeUnknown:
            raise  # nobody can say what the log holds now: no answer is better than a wrong one
        except (AppendFailed, Contention) as error:
            return Reply(code="not_recorded", message=f"nothing was changed: {error}")

    def _answer(self, request: AnyRequest, actor: str, uid: int) -> Reply:
        match request:
            case ApproveJob() | DismissJob():
                return self._job(request, actor)
            case (
                PromotePattern()
                | RejectPattern()
                | DeprecatePattern()
                | RestorePattern()
                | SupersedePattern()
                | ReleasePattern()
                | ReportRegression()
            ):
                return self._pattern(request, actor)
            case RegisterRepo():
                tree = register(self._place.door, self._place.views(), Path(request.path), actor)
                self.watched(tree.path)
                return Reply(code="ok", message=f"{tree.path} is registered", data={"repo": tree.repo_id})
            case ForgetRepo():
                reply = forget(request, self._person(request, actor), self._place)
                if reply.ok:
                    self._publisher.leave_forgotten()
                    self.forgotten()
                return reply
            case LearnRun():
                return self._learn(request)
            case TryAlerts():
                return try_alerts(self._place.settings, request.channel, actor)
            case RebuildModels():
                count = rebuild(self._place.door.log)
                return Reply(code="ok", message=f"rebuilt from {count} events", data={"events": count})
            case ReportUse():
                return report_use(request, uid, self._place)
            case NoteServed():
                return note_served(request, uid, self._place)
            case NoteBackup():
                return note_backup(request, uid, self._place)
        assert_never(request)

    # --- jobs ---

    def _job(self, request: ApproveJob | DismissJob, actor: str) -> Reply:
        row = self._place.views().job(request.job)
        person = self._person(request, actor)
        if isinstance(request, ApproveJob):
            reply = approve(request, person, self._place.door.job(row.id), self._place)
        else:
            reply = settle([c.Dismiss(row.id, person)], row.id, self._place, actor)
        if reply.ok:
            self._publisher.job(row.id)
        return reply

    def _learn(self, request: LearnRun) -> Reply:
        path = Path(request.manifest)
        tree = registered(self._place.views(), path)
        if tree is None:
            return Reply(
                code="not_registered",
                message=f"{path} lies in no registered repository. Next: learnd init REPO",
            )
        seen = self._intake.look(path, tree, requested=True)
        if not seen.done and seen.job_id is None:
            return Reply(code=seen.what, message=f"{path}: {seen.reason}")
        return Reply(
            code="ok",
            message=f"job {(seen.job_id or '')[:8]}: {seen.reason}",
            data={"job": seen.job_id, "opened": seen.done},
        )

    # --- patterns ---

    def _pattern(
        self,
        request: governance.GovernanceRequest | ReportRegression,
        actor: str,
    ) -> Reply:
        row = self._place.views().pattern(request.pattern)
        person = self._person(request, actor)
        if self._place.views().is_forgotten(row.repo_id):
            message = f"pattern {row.id[:8]}: {row.repo_path} was forgotten; its files are the repository's alone"
            return Reply(code="forgotten", message=message)
        if isinstance(request, ReportRegression):
            return regressions.answer(request, self._place, self._publisher, person)
        return governance.answer(request, self._place, self._publisher, person)

    def _person(self, request: PersonRequest, actor: str) -> c.Person:
        return c.Person(actor, approvers(self._place.settings), request.claimed, request.reason)
