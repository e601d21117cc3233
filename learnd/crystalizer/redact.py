"""Take secrets out of text, whole lines at a time, before it leaves the machine or enters the log.

Two sources of suspicion: detect-secrets' detectors without the entropy ones (which flagged 37 lines of one
clean script), and patterns of our own for what those miss. A line that either suspects is replaced as a
whole, because a detector's idea of where the secret begins is not to be trusted (for `ghp_…` detect-secrets
names just `ghp`). Indentation and one diff sign stay, so that a redacted diff still reads as one.

Invariants:

- `redact(redact(x)) == redact(x)`: the number of lines stays, a marker triggers nothing, and every rule that
  looks at neighbours counts lines.
- No rule asks the text's author for permission: `# pragma: allowlist secret` exempts nothing.
- Never verified over the network; detect-secrets' `verify` is not called.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from detect_secrets.plugins.base import BasePlugin


@dataclass(frozen=True)
class Redacted:
    """The text without its secrets, how many lines were replaced, and for which kinds (sorted, once each)."""

    text: str
    count: int
    kinds: tuple[str, ...]


LONGEST_LINE: Final = 5_000
"""Longer lines are replaced unread: they are minified or generated, and the detectors' regexes are not linear."""

_MARKER = re.compile(r"[ \t]*[+-]?[ \t]*\[redacted: [A-Za-z0-9 .()-]+\]$")
_INDENT = re.compile(r"[ \t]*(?:[+-](?!-{3,4} ?(?:BEGIN|END) ))?[ \t]*")

# A value that stands for a secret instead of being one: templates, references, masks.
_PLACEHOLDER = re.compile(
    r"""^(?:[$%<{(\[].*|.*(?:\{[^}]*\}|\$\(|<[^>]*>).*|[*xX.•_-]+|your[-_].*|change[-_]?me|example|(?:dummy|fake|placeholder|sample)(?:[-_].*)?|none|null|true|false|undefined)$""",
    re.IGNORECASE,
)

# Prefixes so specific that whatever follows is taken for a token, wherever it stands.
_TOKENS: Final = (
    ("github token", r"github_pat_[A-Za-z0-9_]{16,}|gh[pousr]_[A-Za-z0-9]{16,}"),
    ("anthropic key", r"sk-ant-[A-Za-z0-9_-]{8,}"),
    ("openai key", r"(?<![A-Za-z0-9])sk-(?=[A-Za-z_-]*\d)[A-Za-z0-9_-]{20,}"),
    ("npm token", r"npm_[A-Za-z0-9]{20,}|:_(?:authToken|auth|password)\s*=\s*[^\s$]\S+"),
    ("pypi token", r"pypi-(?:AgE[A-Za-z0-9_-]{10,}|[A-Za-z0-9_-]{32,})"),
    ("google key", r"AIza[0-9A-Za-z_-]{30,}|ya29\.[0-9A-Za-z_-]{20,}|GOCSPX-[0-9A-Za-z_-]{20,}"),
    ("slack token", r"xox[a-z]-[A-Za-z0-9-]{8,}|xapp-\d-[A-Za-z0-9-]{8,}"),
    ("slack webhook", r"hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9/_-]{8,}"),
    ("aws key", r"(?<![A-Za-z0-9])(?:A3T[A-Z0-9]|ABIA|ACCA|AKIA|ASIA)[0-9A-Z]{16}"),
    ("json web token", r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
    ("stripe key", r"(?:[sr]k_(?:live|test)|whsec)_[0-9A-Za-z]{16,}"),
    ("hugging face token", r"(?<![A-Za-z0-9_])hf_[A-Za-z0-9]{30,}"),
    ("age key", r"AGE-SECRET-KEY-1[0-9A-Z]{20,}"),
    ("gitlab token", r"gl(?:pat|dt|ft|rt|soat|ptt|cbt|agent)-[A-Za-z0-9_-]{16,}"),
    ("private key", r"-{4,5} ?BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)? ?-{4,5}"),
    ("private key", r"-{4,5} ?END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)? ?-{4,5}"),
)

# What is only a secret because of the words around it.
_AWS_VALUE = re.compile(r"(?<![A-Za-z0-9/+=])(?=[A-Za-z0-9/+]*[A-Zg-z/+])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])")
_IN_CONTEXT: Final = (
    ("aws key", r"(?i)aws_?(?:secret_?access_?key|session_?token)['\"]?\s*(?:[:=]|=>)\s*['\"]?[^\s'\"$<{]{8,}"),
    ("pagerduty key", r"(?i)(?:routing|integration|service)_?key['\"]?\s*[:=]\s*['\"]?[0-9a-f]{32}(?![0-9a-f])"),
    (
        "pagerduty key",
        r"(?i:pager_?duty|\bpd_|token token=).{0,80}?"
        r"(?:(?<![0-9a-fA-F])[0-9a-f]{32}(?![0-9a-fA-F])"
        r"|(?<![\w+-])(?=[\w+-]*\d)(?=[\w+-]*[A-Z+])(?=[\w+-]*[a-z])[A-Za-z0-9+_-]{20}(?![\w+-]))",
    ),
    (
        "authorization header",
        r"(?i)authorization['\"]?\s*[:=,]\s*['\"]?(?:bearer|basic|token|digest|apikey)\s+(?:token=)?"
        r"(?:(?=[^\s'\"]*\d)[A-Za-z0-9._~+/=-]{8,}|[A-Za-z0-9._~+/=-]{20,})",
    ),
    ("authorization header", r"(?i)\bbearer\s+(?=[^\s'\"]*\d)[A-Za-z0-9._~+/=-]{16,}"),
    (
        "authorization header",
        r"(?i)\b(?:x-api-key|x-auth-token|private-token)['\"]?\s*[:=,]\s*['\"]?[A-Za-z0-9._~+/=-]{12,}",
    ),
    ("command line password", r"(?:^|\s)(?:-u|--user)[ =]['\"]?[\w.@-]+:[^\s'\"$<{]{3,}"),
    (
        "command line password",
        r"(?i)(?:^|\s)--?(?:password|passwd|token|api-?key|secret)[ =]['\"]?"
        r"(?=[^\s'\"]*\d)[^\s'\"$<{(-][^\s'\"$<{(]{5,}",
    ),
    ("netrc password", r"(?:^|\s)login\s+\S+\s+password\s+[^\s$<{]+"),
)

_URL_PASSWORD = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{1,30}://[^\s/:@'\"<>]{0,100}:(?P<value>[^\s@'\"]{1,200})@[^\s'\"@]")
_STRING_PASSWORD = re.compile(
    r"(?i)\b\w[\w ]{0,40}=[^;'\"\s]{0,200};.{0,200}?"
    r"(?:password|pwd|accountkey|sharedaccesskey)\s*=\s*(?P<value>[^;'\"\s]+)"
    r"|(?:password|pwd|accountkey|sharedaccesskey)\s*=\s*(?P<first>[^;'\"\s]+);\s*\w[\w ]{0,40}="
)
_ENV_LINE = re.compile(
    r"(?:^|[\s'\"+-])(?P<name>(?:[A-Z][A-Z0-9]*_)*"
    r"(?:SECRETS?|TOKEN|PASSWORD|PASSWD|PASSPHRASE|PASS|PWD|KEY|APIKEY|CREDENTIALS?)(?:_[A-Z0-9]+)*)"
    r"=(?P<quote>['\"]?)(?P<value>[^\s'\"]{4,})"
)
_PLAIN_ASSIGNMENT = re.compile(
    r"(?i)^[+-]?\s*(?:-\s+)?['\"]?[\w.-]*(?:password|passwd|passphrase|secret|token|api[_-]?key|access[_-]?key)['\"]?\s*[:=]\s*"
    r"(?P<value>[A-Za-z0-9+/_\-!@#%^&*~=.]{8,})\s*$"
)
_IDENTIFIER = re.compile(r"[A-Za-z_][\w]*(?:\.[A-Za-z_]\w*)*")

_Rule = Callable[[str], bool]
_lock = threading.Lock()
_loaded: list[tuple[str, _Rule]] = []


def redact(text: str) -> Redacted:
    """`text` with every suspect line replaced by `[redacted: kind]`. Line count and line ends stay."""
    lines = text.splitlines(keepends=True)
    bodies = [line.rstrip("\r\n\v\f\x1c\x1d\x1e\x85\u2028\u2029") for line in lines]
    kinds: list[str | None] = [_kind(body) for body in bodies]
    for mark in (_mark_private_keys, _mark_encoded_runs, _mark_aws_neighbours):
        mark(bodies, kinds)
    out: list[str] = []
    found: list[str] = []
    for line, body, kind in zip(lines, bodies, kinds, strict=True):
        if kind is None or _MARKER.match(body):
            out.append(line)
            continue
        indent = _INDENT.match(body[:200])
        out.append(f"{indent[0] if indent else ''}[redacted: {kind}]{line[len(body) :]}")
        found.append(kind)
    return Redacted("".join(out), len(found), tuple(sorted(set(found))))


def redact_line(text: str) -> str:
    """Free text of a run (a command, a line of stderr) as it may stand in the log for ever."""
    return redact(text).text


_HOME = re.compile(
    r"(?:(?<![\w.~-])(?:/var|/export|/mnt/[a-z])?/(?:home|Users)/|[A-Za-z]:\\+Users\\+)(?!Shared\b)[^/\\\s'\":;,<>|)\]]+"
    r"|(?<![\w.~/-])/root(?=[/\s'\":;,)]|$)"
)
_EMAIL = re.compile(
    r"(?<![\w.+-])[A-Za-z0-9][A-Za-z0-9._%+-]*@(?P<domain>(?:[A-Za-z0-9-]+\.)+"
    r"(?:[A-Za-z]{2}|com|org|net|edu|gov|mil|int|info|biz|name|dev|app|cloud|tech|email|online|example|invalid|test|local"
    r"|internal|corp|lan|home|localdomain|intranet|group|agency|systems|software|solutions|services|digital|company|team"
    r"|work|works|studio|network|media|global|world|host|page|pro|site|space|store|social|live|xyz|top|life|health|bank"
    r"|consulting|engineering|ventures|partners|education|foundation|institute|science))(?![\w.-]*[\w@])"
)


def generalise(text: str) -> str:
    """`text` without whose machine it came from: home directories become `~`, e-mail addresses `[e-mail]`.

    The domains that RFC 2606 sets aside for examples and `git@host` (a service's name) stay.
    """

    def address(match: re.Match[str]) -> str:
        domain = match["domain"].lower()
        reserved = re.search(r"(?:^|\.)(?:example\.(?:com|org|net)|example|invalid|test)$", domain)
        return match[0] if reserved or match[0].startswith("git@") else "[e-mail]"

    return _EMAIL.sub(address, _HOME.sub("~", text))


def _kind(line: str) -> str | None:
    if len(line) > LONGEST_LINE:
        return "overlong line"
    if not line.strip() or _MARKER.match(line):
        return None
    return next((kind for kind, suspects in _rules() if suspects(line)), None)


def _rules() -> Sequence[tuple[str, _Rule]]:
    """Our own rules, then detect-secrets' detectors, imported at the first use and once for all threads."""
    if not _loaded:
        with _lock:
            if not _loaded:
                _loaded.extend([*_own_rules(), *_detectors()])
    return _loaded


def _own_rules() -> Iterable[tuple[str, _Rule]]:
    for kind, pattern in (*_TOKENS, *_IN_CONTEXT):
        compiled = re.compile(pattern)
        yield kind, lambda line, compiled=compiled: compiled.search(line) is not None  # type: ignore[misc]
    yield "connection string", _has_connection_string
    yield "environment secret", _has_environment_secret
    yield "secret assignment", _has_plain_assignment


def _detectors() -> Iterable[tuple[str, _Rule]]:
    # Slow to load, and most verbs redact nothing.
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class  # noqa: PLC0415

    plugins = cast("dict[str, type[BasePlugin]]", get_mapping_from_secret_type_to_class())
    for secret_type, plugin in sorted(plugins.items()):
        name = plugin.__name__
        # A public address is no credential, and four-part versions look like one.
        if "HighEntropy" in name or name == "IPPublicDetector":
            continue
        accepts = _ACCEPTS.get(name, bool)
        detector = plugin()
        if name == "KeywordDetector":
            yield "secret keyword", lambda line, detector=detector: _has_keyword(detector.analyze_string, line)  # type: ignore[misc]
            continue
        kind = re.sub(r"[^A-Za-z0-9 .()-]", " ", secret_type).lower()
        yield kind, lambda line, detector=detector, accepts=accepts: any(map(accepts, detector.analyze_string(line)))  # type: ignore[misc]


def _has_digit_and_lower(value: str) -> bool:
    return bool(re.search(r"\d", value) and re.search(r"[a-z]", value))


_ACCEPTS: Final[dict[str, _Rule]] = {
    "BasicAuthDetector": lambda value: not _PLACEHOLDER.match(value),
    # `APACHELICENSE` has the form of an encrypted Artifactory password.
    "ArtifactoryDetector": _has_digit_and_lower,
}
_KEYWORDS: Final = ("key", "pass", "pwd", "secret", "contrase")
_RUN_MAX: Final = 60
_LONG_RUN = re.compile(rf"\w{{{_RUN_MAX},}}")
"""The detector takes quadratic time on long words made of keywords; neither a name nor a value needs so much."""
_NAMES_A_PASSWORD = re.compile(r"(?i)(?:password|passwd|pwd|passphrase|secret)['\"\]]{0,2}\s*(?:[:=]|:=|=>)\s*['\"`]")


def _has_keyword(analyze: Callable[[str], Iterable[str]], line: str) -> bool:
    """detect-secrets' keyword detector, asked only where a keyword stands, and without prose and placeholders."""
    lowered = line.lower()
    if not any(word in lowered for word in _KEYWORDS):
        return False
    short = _LONG_RUN.sub(lambda run: run[0][-_RUN_MAX:], line)
    named = bool(_NAMES_A_PASSWORD.search(short))
    return any(_is_secret_value(value, named=named) for value in analyze(short))


def _is_secret_value(value: str, *, named: bool) -> bool:
    if len(value) < 5 or re.search(r"[\s()\[\],]", value) or _PLACEHOLDER.match(value):
        return False
    if (
        re.search(r"\d", value)
        and re.search(r"[A-Za-z]", value)
        and not value.startswith(("http:", "https:", "/", "."))
    ):
        return len(value) >= 6
    # Only letters: a secret where the name says password and the value is not a name for one.
    return named and not re.search(r"(?i)pass|secret|pwd|token|key|[./:_]", value)


def _has_connection_string(line: str) -> bool:
    for pattern in (_URL_PASSWORD, _STRING_PASSWORD):
        for match in pattern.finditer(line):
            value = next((group for group in match.groupdict().values() if group), "")
            if value and not _PLACEHOLDER.match(value):
                return True
    return False


def _has_environment_secret(line: str) -> bool:
    for match in _ENV_LINE.finditer(line):
        name, value = match["name"], match["value"]
        if _PLACEHOLDER.match(value) or value.startswith(("/", "./", "~", "http://", "https://")):
            continue
        if "PASS" not in name and re.fullmatch(r"[\d.]+", value):
            continue
        if match["quote"] or not re.search(r"[()\[\]]|^[A-Za-z_]\w*\.[A-Za-z_]|^=", value):
            return True
    return False


def _has_plain_assignment(line: str) -> bool:
    match = _PLAIN_ASSIGNMENT.match(line)
    if not match or _PLACEHOLDER.match(match["value"]):
        return False
    value = match["value"]
    if not (re.search(r"\d", value) and re.search(r"[A-Za-z]", value)):
        return False
    looks_random = len(value) >= 20 and re.search(r"[a-z]", value) and re.search(r"[A-Z]", value)
    return bool(looks_random) or _IDENTIFIER.fullmatch(value) is None


_PEM_BEGIN = re.compile(_TOKENS[-2][1])
_PEM_END = re.compile(_TOKENS[-1][1])
_PEM_HEADER = re.compile(r"[A-Z][A-Za-z-]+: \S")
_PEM_LINES: Final = 400


def _encoded(line: str) -> str | None:
    """What stands in `line` if it is nothing but base64, taken out of quotes, signs and `\\n` escapes."""
    inner = line.strip(" \t+-,;\"'`\\")
    inner = inner.removesuffix("\\n").removesuffix("\\r").strip("\"'\\ ")
    return inner if re.fullmatch(r"[A-Za-z0-9+/]+={0,3}", inner) else None


def _mark_private_keys(lines: Sequence[str], kinds: list[str | None]) -> None:
    """The body below a BEGIN and above an END line, also where a hunk shows only one of them."""
    for index, line in enumerate(lines):
        if len(line) > LONGEST_LINE:
            continue
        if _PEM_BEGIN.search(line):
            for at in _pem_body(lines, index + 1, 1, _PEM_END):
                kinds[at] = "private key"
        if _PEM_END.search(line):
            for at in _pem_body(lines, index - 1, -1, _PEM_BEGIN):
                kinds[at] = "private key"


def _pem_body(lines: Sequence[str], start: int, step: int, edge: re.Pattern[str]) -> list[int]:
    loose: list[int] = []
    sure = 0
    for at in range(start, start + step * _PEM_LINES, step):
        if not 0 <= at < len(lines) or len(lines[at]) > LONGEST_LINE:
            break
        if edge.search(lines[at]):
            return loose
        content = _encoded(lines[at])
        bare = lines[at].strip(" \t+-\"'\\n,")
        if content is None and bare and not _PEM_HEADER.match(bare) and not _MARKER.match(lines[at]):
            break
        loose.append(at)
        if content is not None and len(content) >= 16:
            sure = len(loose)
    # No other edge: what is surely encoded, and the short last line that may follow it.
    last = (_encoded(lines[loose[sure]]) or "") if 0 < sure < len(loose) else ""
    return loose[: sure + bool(last.endswith("=") or (re.search(r"\d", last) and re.search(r"[A-Za-z]", last)))]


def _mark_encoded_runs(lines: Sequence[str], kinds: list[str | None]) -> None:
    """Two or more full lines of base64 in a row: the middle of a key whose edges the hunk does not show."""
    run: list[int] = []
    for at in range(len(lines) + 1):
        content = _encoded(lines[at]) if at < len(lines) and len(lines[at]) < 200 else None
        full = content is not None and 60 <= len(content) <= 76
        if (
            full
            and content
            and re.search(r"[a-z]", content)
            and re.search(r"[A-Z]", content)
            and re.search(r"\d", content)
        ):
            run.append(at)
            continue
        if len(run) >= 2:
            for marked in run:
                kinds[marked] = kinds[marked] or "encoded key"
        run = []


_AWS_ID = re.compile(dict(reversed(_TOKENS))["aws key"])
_AWS_REACH: Final = 3


def _mark_aws_neighbours(lines: Sequence[str], kinds: list[str | None]) -> None:
    """A bare AWS secret is any 40 characters of base64; within three lines of a key's id it is taken for one."""
    for index, line in enumerate(lines):
        if len(line) > LONGEST_LINE or not _AWS_ID.search(line):
            continue
        for at in range(max(0, index - _AWS_REACH), min(len(lines), index + _AWS_REACH + 1)):
            if kinds[at] is None and len(lines[at]) <= LONGEST_LINE and _AWS_VALUE.search(lines[at]):
                kinds[at] = "aws key"
