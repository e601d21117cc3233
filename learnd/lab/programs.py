"""Words: which programs and flags mean what, as plain tables. What follows from them stands in `runners.py`."""

from __future__ import annotations

import re

from events.values import CommandClass


def names(text: str) -> frozenset[str]:
    """A set of names, written as one text: long lists stay readable."""
    return frozenset(text.split())


NOTHING = names(
    "ls ll cat echo printf true false git gh rm mv cp mkdir touch ln chmod chown head tail less more grep "
    "rg egrep find fd sed awk tr sort uniq wc cut xargs tee diff patch pwd which type whoami date sleep "
    "kill ps env tree stat file jq yq read test [ open code vim nano emacs man clear history tar zip "
    "unzip gzip exit codex claude aider"
)
OUTSIDE = names(
    "deploy terraform ansible ansible-playbook aws gcloud az vercel netlify heroku fly flyctl ssh scp "
    "rsync sftp curl wget twine serverless sam pulumi"
)
SERVICES = names(
    "docker docker-compose podman kubectl helm minikube psql pg_ctl postgres createdb dropdb mysql mysqld "
    "mongo mongosh mongod redis-cli redis-server rabbitmqctl kafka-topics systemctl service supervisord"
)
INSTALLERS = names("pip pip3 apt apt-get brew conda mamba pipx gem bundle composer dnf yum apk nvm pyenv")
SHELLS = frozenset(("bash", "sh", "zsh", "dash"))

LOOKS = dict.fromkeys(("--version", "--help", "-h", "-V"), "it only tells about itself")
LISTS = dict.fromkeys(("--collect-only", "--co", "--listTests", "--list", "-list"), "it lists tests and runs none")
WATCHES = dict.fromkeys(("--watch", "--watchAll", "--watch-all", "--ui"), "it waits for edits and never ends")
SHORT_WATCH = {"-w": WATCHES["--watch"]}  # jest's `-w` is a number of workers, npm's a workspace
REWRITES = dict.fromkeys(
    ("-u", "--update", "--updateSnapshot", "--snapshot-update", "--update-snapshots", "--inline-snapshot"),
    "it rewrites what it compares with, so it cannot fail",
)
FORMATS = "it rewrites files instead of judging them"
FIXES = dict.fromkeys(("--fix", "--write", "--fix-only", "--unsafe-fixes"), "it rewrites files instead of judging them")
DEBUGS = dict.fromkeys(("--pdb", "--trace", "--inspect-brk", "--pdbcls"), "it waits for a person")
PLANS = dict.fromkeys(
    ("--setup-only", "--setup-plan", "--fixtures", "--markers", "--cache-show", "--dry-run"),
    "it plans tests and runs none",
)

UNFIT_FLAGS: dict[str, dict[str, str]] = {
    "pytest": {**LOOKS, **LISTS, **DEBUGS, **PLANS, "--snapshot-update": REWRITES["--snapshot-update"]},
    "unittest": {flag: why for flag, why in LOOKS.items() if flag in ("-h", "--help")},
    "jest": {**LOOKS, **LISTS, **WATCHES, **REWRITES, **DEBUGS},
    "vitest": {**LOOKS, **LISTS, **WATCHES, **SHORT_WATCH, **REWRITES, **DEBUGS},
    "mocha": {**LOOKS, **WATCHES, **SHORT_WATCH, **DEBUGS, **PLANS},
    "tsc": {**LOOKS, **WATCHES, **SHORT_WATCH, "--init": "it writes a file"},
    "make": dict.fromkeys(("-n", "--dry-run", "--just-print", "-q", "--question", "-p", "-t"), "it runs nothing"),
    "tox": {**LOOKS, "-l": LISTS["--list"], "--notest": "it runs no test", "devenv": "it builds an environment"},
    "nox": {**LOOKS, "-l": LISTS["--list"], "--list": LISTS["--list"], "--install-only": "it runs no test"},
}
LINT_FLAGS = {**LOOKS, **FIXES}
INSTALLS = names("install i ci add remove rm update up upgrade publish pack link init login audit outdated set")
RUN_FLAGS = names("--with --python -p --extra --group --package --project --directory --env-file -e --env")

ORDER: tuple[CommandClass, ...] = ("test", "build", "lint")
"""Classes, the one that proves most first."""

SCRIPT_CLASS: tuple[tuple[re.Pattern[str], CommandClass], ...] = (
    (re.compile(r"(unit-?|integration-?)?tests?([:_-].*)?|.*[:_-](unit-)?tests?|t|spec|unit"), "test"),
    (re.compile(r"build([:_-].*)?|compile|all|.*[:_-]build"), "build"),
    (re.compile(r"(lint|typecheck|type-check|types|tsc)([:_-].*)?|check[:_-](types?|format)"), "lint"),
)


def class_by_name(name: str) -> CommandClass | None:
    """The class that a script's or target's name promises; None where it promises none."""
    return next((cls for pattern, cls in SCRIPT_CLASS if pattern.fullmatch(name)), None)
