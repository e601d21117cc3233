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
from learnd import regressions
from learnd.alerts.trial import try_alerts
from learnd.approvals import approve, settle
from learnd.door import Contention
from learnd.harvest.faults import DiskFull, SnapshotError
from learnd.harvest.gitfolder import NotARepository
from learnd.identity import approvers, may_ask, user_name
from learnd.intake import Intake
from learnd.keeping.forget import forget
from learnd.keeping.noting import note_backup
from learnd.library.files import Library, find_edit
from learnd.library.folders import FolderRefused
from learnd.library.wanted import wanted
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
    PromotePattern,
    RebuildModels,
    RegisterRepo,
    RejectPattern,
    Reply,
    ReportRegression,
    RestorePattern,
    TryAlerts,
)
from learnd.steps.stage import judge
from learnd.views.queries import Ambiguous, NotFound
from learnd.views.store import rebuild
from learnd.workplace import Workplace
from state import commands as c
from state.decide import Command
from state.pattern import Pattern, PatternStatus
from state.refusal import Refused

log = structlog.get_logger("learnd.desk")

PersonRequest = (
    ApproveJob
    | DismissJob
    | PromotePattern
    | RejectPattern
    | DeprecatePattern
    | RestorePattern
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
        watched: Callable[[str], None] = lambda _tree: None,
        forgotten: Callable[[], object] = lambda: None,
    ) -> None:
        self._place = place
        self._intake = intake
        self._publisher = publisher
        self.watched = watched
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
            case PromotePattern() | RejectPattern() | DeprecatePattern() | RestorePattern() | ReportRegression():
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
        request: PromotePattern | RejectPattern | DeprecatePattern | RestorePattern | ReportRegression,
        actor: str,
    ) -> Reply:
        row = self._place.views().pattern(request.pattern)
        person = self._person(request, actor)
        if self._place.views().is_forgotten(row.repo_id):
            message = f"pattern {row.id[:8]}: {row.repo_path} was forgotten; its files are the repository's alone"
            return Reply(code="forgotten", message=message)
        if isinstance(request, ReportRegression):
            return regressions.answer(request, self._place, self._publisher, person)
        command: Command | Reply
        match request:
            case PromotePattern():
                command = self._promotion(request, self._place.door.pattern(row.id), person)
            case RejectPattern():
                command = c.Reject(row.id, person)
            case DeprecatePattern():
                command = c.Deprecate(row.id, person)
            case RestorePattern():
                command = c.Restore(row.id, person)
        if isinstance(command, Reply):
            return command
        outcome = self._place.door.handle(command, actor)
        if isinstance(outcome, Refused):
            return Reply(code=outcome.code, message=outcome.reason)
        self._publisher.repository_patterns(row.repo_id, row.repo_path)
        self._publisher.job(row.job_id)
        now = self._place.views().pattern(row.id)
        return Reply(
            code="ok",
            message=f"pattern {row.id[:8]} is {now.status} now",
            data={"pattern": row.id, "status": now.status},
        )

    def _promotion(self, request: PromotePattern, pattern: Pattern, person: c.Person) -> Command | Reply:
        """Promote what the person saw: a file that is not the judged text needs their word that it is theirs."""
        known = wanted(self._place.door.log, self._place.views(), pattern.id)
        if known is None:
            return Reply(code="unknown", message=f"there is no pattern {pattern.id[:8]}")
        library = Library(Path(pattern.repo_path), self._place.quarantine_dir)
        edit = find_edit(library, known) if pattern.status in (PatternStatus.CANDIDATE, PatternStatus.EDITED) else None
        if edit is None:
            return c.Promote(pattern.id, person, pattern.manifest_path, known.digest)
        if not request.as_edited:
            return Reply(
                code="edited",
                message=f"pattern {pattern.id[:8]}: {edit.path} was edited since the gates judged it. "
                f"Next: learnd promote {pattern.id[:8]} --as-edited, if the text is yours to vouch for",
            )
        report = judge(self._place.door.job(pattern.job_id), self._place, edit.text)
        if report.failed is not None:
            gate, detail = report.failed
            return Reply(code="gate_failed", message=f"{edit.path} does not pass the gate {gate}: {detail}")
        return c.Promote(pattern.id, person, pattern.manifest_path, edit.digest, edited_text=edit.text)

    def _person(self, request: PersonRequest, actor: str) -> c.Person:
        return c.Person(actor, approvers(self._place.settings), request.claimed, request.reason)
