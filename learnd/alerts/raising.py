"""What nobody was told of yet becomes an alert in the log: once for each time that a job is blocked or a fault stands.

What is due follows from the log alone, so it does not matter which process looks, nor when: an alert that a crash
kept from being raised is raised by whoever looks next.
"""

from __future__ import annotations

import structlog

from learnd.alerts.message import about_fault, about_job
from learnd.alerts.policy import KINDS, Subject, severity_of
from learnd.door import Handled
from learnd.views.diagnosis import next_command
from learnd.workplace import Workplace
from state import commands as c
from state.effects import alert_due, fault_alert_due
from state.job import Job
from state.refusal import Refused

ACTOR = "learnd:alerts"

log = structlog.get_logger("learnd.alerts")


def raise_due(place: Workplace) -> None:
    """Raise every alert that is due. Raises Contention, and what the log raises when the machine refuses an append."""
    for job_id in place.views().alerts.silent_jobs():
        job = place.door.job(job_id)
        if alert_due(job):
            _said(_about_job(place, job))
    host = place.door.host()
    since = {row.kind: row.since for row in place.views().faults()}
    for fault in fault_alert_due(host):
        message = about_fault(fault, host.faults[fault], since.get(fault))
        severity = severity_of(Subject("machine_fault", fault), place.settings.alerts.policy)
        _said(place.door.handle(c.RaiseFaultAlert(fault, message, severity), ACTOR))


def _about_job(place: Workplace, job: Job) -> Handled | Refused:
    subject = Subject(KINDS[job.status], job.cause, job.repo_path, job.task_id)
    row = place.views().job(job.id)
    message = about_job(row, next_command(row, lambda position, path: _value(place, position, path)))
    severity = severity_of(subject, place.settings.alerts.policy)
    return place.door.handle(c.RaiseAlert(job.id, subject.kind, message, severity), ACTOR)


def _value(place: Workplace, position: int, path: str) -> object:
    query = "SELECT json_extract(data, ?) FROM events WHERE position = ?"
    row = place.door.log.connection.execute(query, (path, position)).fetchone()
    return row[0] if row else None


def _said(outcome: Handled | Refused) -> None:
    """Between our look and our word the job may have moved on: then there is nothing to say."""
    if isinstance(outcome, Refused):
        log.debug("alert not raised", code=outcome.code, reason=outcome.reason)
