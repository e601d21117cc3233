"""What a run was asked to do, as the question that its patterns are looked for with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from learnd.harvest.prompt import find_prompt
from learnd.manifest.find import MANIFEST, find_manifests
from learnd.manifest.read import LeadsNowhere, canonical_path, read_run
from learnd.manifest.runs import Run
from learnd.views.queries import Views


class NoSuchRun(Exception):
    """No run goes by this name, or nothing says what it was asked; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A run by its name (`task/run`), and what it was asked."""

    run: str
    question: str


def asked_of(views: Views, work_tree: Path, named: str) -> Asked:
    """The run that `named` means: a manifest, its folder, a run's id, or `task/run`. Raises NoSuchRun.

    A run in progress is as good as one that is over: agents ask before they begin.
    """
    for path in _manifests(views, work_tree, named):
        try:
            run = read_run(canonical_path(path, work_tree), work_tree)
        except LeadsNowhere:
            continue
        if isinstance(run, Run):
            return _asked(run, work_tree)
    raise NoSuchRun(f"no run {named!r} below {work_tree / '.runs'}. Next: its manifest's path, or --for TEXT")


def _manifests(views: Views, work_tree: Path, named: str) -> list[Path]:
    given = work_tree / named
    if given.is_file():
        return [given]
    if (given / MANIFEST).is_file():
        return [given / MANIFEST]
    task, _, run = named.rpartition("/")
    found = [Path(item.path) for item in find_manifests(work_tree)]
    mine = [path for path in found if path.parent.name == run and (not task or task in path.parts)]
    rows = views.rows("SELECT manifest_path FROM jobs WHERE run_id = ? AND (? = '' OR task_id = ?)", (run, task, task))
    known = [Path(str(path)) for (path,) in rows]
    return [*mine, *(path for path in known if path.is_relative_to(work_tree) and path.is_file())]


def _asked(run: Run, work_tree: Path) -> Asked:
    prompt = find_prompt(
        repo=work_tree,
        run_dir=run.artifact_root,
        task_id=run.task_id,
        prompt_path=run.prompt_path,
        commit_messages=(),
        titles=[run.title, *(command.title for command in run.commands)],
    )
    name = f"{run.task_id}/{run.run_id}"
    if prompt is None:
        raise NoSuchRun(f"nothing says what run {name} was asked. Next: learnd context --for TEXT")
    return Asked(name, prompt.text)
