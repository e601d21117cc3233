"""What `show`, `why` and `jobs` tell of a job's group: who is in it, who validates it, until when it is open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from learnd.clock import now
from learnd.ids import short

if TYPE_CHECKING:
    from learnd.verbs.reading import Reading
    from learnd.views.queries import JobRow


def group_closes_at(book: Reading, row: JobRow) -> str | None:
    """When the job's group is closed at the latest, by the first run's window, while that lies ahead."""
    if row.status != "waiting_for_group" or row.lead or row.urgent:
        return None
    first = min((other.closes_at for other in _with(book, row) if other.closes_at), default=None)
    return first if first is not None and first > now() else None


def group_facts(book: Reading, row: JobRow) -> list[tuple[str, str]]:
    """Facts for people; none of a job that is validated by itself."""
    if row.service is None:
        return []
    facts = [("service", row.service)]
    others = [other for other in _with(book, row) if other.id != row.id]
    if row.group_id is not None:
        role = "leads it" if row.lead == row.id else f"job {short(row.lead or '')} validates it"
        facts.append(("group", f"{short(row.group_id)}, {role if others else 'alone'}"))
    if others:
        told = ", ".join(f"{short(other.id)} ({other.run_id}, {other.status})" for other in others)
        facts.append(("together with", told if row.group_id else f"{told}, if they build on each other"))
    return facts


def group_json(book: Reading, row: JobRow) -> dict[str, object] | None:
    """`{id, service, lead, closed, closes_at, members: [job id]}`; of an open one, members are all that wait."""
    if row.service is None:
        return None
    return {
        "id": row.group_id,
        "service": row.service,
        "lead": row.lead,
        "closed": row.group_id is not None,
        "closes_at": group_closes_at(book, row),
        "members": [other.id for other in _with(book, row)],
    }


@dataclass(frozen=True, slots=True)
class Together:
    """A run whose change was validated together with others', as one; the lead is the last."""

    job: str
    manifest_path: str
    lead: bool


def together(book: Reading, job_id: str) -> list[Together]:
    """The runs that the job validated as one change, in the order of their completion; none where it was alone."""
    from state import job as jobs  # brings pydantic

    group = jobs.fold(job_id, (record.data for record in book.log.read(f"job-{job_id}"))).group
    if group is None or not group.several or group.lead != job_id:
        return []
    return [Together(m.job, book.views.job(m.job).manifest_path, m.job == group.lead) for m in group.members]


def together_facts(runs: list[Together]) -> list[tuple[str, str]]:
    """What `review` says of them; nothing of none."""
    told = [("validated", f"validated together: {len(runs)} runs")] if runs else []
    lines = [f"{one.manifest_path} (job {short(one.job)}{', the lead' if one.lead else ''})" for one in runs]
    return [*told, *(("", line) for line in lines)]


def _with(book: Reading, row: JobRow) -> list[JobRow]:
    """The members of the job's group; while it is open, those that wait with it."""
    if row.group_id is not None:
        return book.views.members(row.group_id)
    if row.status != "waiting_for_group":
        return [row]
    rows = book.views.waiting_for_group(row.repo_id)
    return [other for other in rows if (other.repo_path, other.service) == (row.repo_path, row.service)]
