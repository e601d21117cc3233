"""What in a text reaches beyond it: addresses, links, HTML, commands, credentials' places, encoded matter.

None of these is bad by itself: a change may be about any of them. So there is one rule: it must stand in the exercised
change or in what verified it, as it is. The lists here only say what to look for.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from typing import Final

from learnd.library.programs import ALSO_WORDS, PROGRAMS

Stands = Callable[[str], bool]

# --- addresses --------------------------------------------------------------------------------------

_TLD: Final = (
    "com|org|net|edu|gov|mil|int|io|dev|app|ai|co|xyz|info|biz|cloud|site|online|tech|ru|cn|de|uk|fr|eu|us|nl|pl|br|in|jp|"
    "club|shop|store|blog|live|news|link|page|chat|zone|tools|host|space|website|run|sh|gg|tv|cc|ly|to|example|test|onion|"
    "local|internal|icu|top|pro|world|agency|network|systems|software|digital|click"
)
_URL = re.compile(
    r"(?i)\b[a-z][a-z0-9+.-]*://[^\s<>\"'`⟧)\]}]+|\bhxxps?\S+|\b(?:data|javascript|vbscript|mailto|tel|file):[^\s`\"')]+"
)
_BARE = re.compile(
    rf"(?i)(?<![\w@./-])(?:www\.[\w.-]+|(?:[a-z0-9-]+\.)+(?:{_TLD})(?![\w-]|\.\w|\())(?::\d+)?(?:/[^\s<>\"'`)\]]*)?"
)
_DEFANGED = re.compile(r"(?i)\w+\s?(?:\[\.\]|\(\.\)|\[dot\]|\(dot\)|\{\.\})\s?\w+|\b\w+ dot (?:com|org|net|io|dev)\b")
_IP = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]*\d)")
_PROTOCOL_RELATIVE = re.compile(r"(?<![\w:/.])//[\w-]+(?:\.[\w-]+)+[^\s)\]]*")
_NAME_OF_A_PRODUCT = re.compile(
    r"(?i)^(?:node|vue|next|nuxt|react|express|three|d3|asp|socket|ember|backbone)\.(?:js|net|io)$"
)
_DOTTED_CODE = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")


def addresses(text: str, stands: Stands, knows: Stands) -> Iterator[str]:
    """URLs, hosts and network addresses that do not stand in the change."""
    for pattern in (_URL, _DEFANGED, _PROTOCOL_RELATIVE, _IP, _BARE):
        for match in pattern.finditer(text):
            named = match[0].rstrip(".,;:!?*_|")
            if pattern is _URL and re.match(r"(?i)(?:data|file|tel|mailto|javascript):$", named):
                continue
            if pattern is _BARE and _is_code(named, knows):
                continue
            if not stands(named) and not _is_reserved(named, stands):
                yield f"the address `{named[:120]}` is not in the exercised change"


def _is_reserved(address: str, stands: Stands) -> bool:
    """Whether it names a host that nobody can own (RFC 2606), in the domain `.example` or one that the change names."""
    host = re.match(
        r"(?i)(?:(?:[a-z][a-z0-9+.-]*:)?//)?(?P<host>(?:[a-z0-9-]+\.)*example(?P<top>\.(?:com|org|net))?)(?![\w.-])",
        address,
    )
    return host is not None and (host["top"] is None or stands(host["host"]))


def _is_code(named: str, knows: Stands) -> bool:
    """`response.page` has the form of a host; where each part is a name of the change it is none."""
    if _NAME_OF_A_PRODUCT.match(named):
        return True
    return bool(_DOTTED_CODE.fullmatch(named)) and all(knows(part) for part in named.split("."))


# --- markup -----------------------------------------------------------------------------------------

_LINK = re.compile(
    r"!?\[[^\]\n]*\]\((?P<target>[^)\s]*)[^)]*\)|"
    r"^[ ]{0,3}\[[^\]\n]+\]:[ \t]*(?P<definition>\S+)|!?\[[^\]\n]+\]\[[^\]\n]*\]",
    re.MULTILINE,
)
_AUTOLINK = re.compile(r"<(?:[a-z][a-z0-9+.-]*:|[\w.+-]+@)[^\s<>]*>", re.IGNORECASE)
_ELEMENTS: Final = (
    "a|abbr|address|area|article|aside|audio|b|base|bdi|bdo|big|blockquote|body|br|button|canvas|caption|center|cite|code|col|"
    "data|dd|del|details|dialog|div|dl|dt|em|embed|fieldset|figure|font|footer|form|frame|frameset|h[1-6]|head|header|hr|html|"
    "i|iframe|img|input|ins|kbd|label|legend|li|link|main|map|mark|marquee|math|menu|meta|nav|noscript|object|ol|option|p|param|"
    "picture|plaintext|pre|q|s|samp|script|section|select|slot|small|source|span|strike|strong|style|sub|summary|sup|svg|table|"
    "tbody|td|template|textarea|tfoot|th|thead|time|title|tr|tt|u|ul|var|video|wbr|xmp"
)
_TAG = re.compile(
    rf"(?<![\w$])</?(?:(?:{_ELEMENTS})(?:\s[^<>]*)?|[a-z][\w-]*\s+[\w-]+\s*=[^<>]*)/?>|<!(?:--|\[CDATA|DOCTYPE)|<\?\w",
    re.IGNORECASE,
)


def markup(text: str, stands: Stands) -> Iterator[str]:
    """Links, images and HTML of prose (code spans taken out already) that are not the change's."""
    for match in _LINK.finditer(text):
        is_link = match.lastgroup or match[0].startswith("!")
        if is_link and not stands(match[0].strip()):
            yield f"the link `{match[0].strip()[:120]}` is not in the exercised change"
    for pattern, what in ((_AUTOLINK, "link"), (_TAG, "HTML")):
        for match in pattern.finditer(text):
            if not stands(match[0]) or match[0].startswith("<!"):
                yield f"the {what} `{match[0][:120]}` is not in the exercised change"


# --- commands ---------------------------------------------------------------------------------------

_SUBCOMMANDS: Final = (
    r"install|add|run|exec|push|pull|commit|reset|clean|checkout|clone|rebase|merge|stash|remote|config|publish|login|remove|"
    r"uninstall|update|upgrade|get|dlx|ci|build|up|down|prune|system|compose|rm|rmi|apply|delete|destroy|create|start|stop|"
    r"restart|enable|disable|deploy|init|sync|use|link|unlink|set|fetch|tag|switch|branch|i"
)
_OPTION = r"--?[A-Za-z][\w-]*"
_NAME = "|".join(sorted((re.escape(name) for name in PROGRAMS), key=len, reverse=True))
_IN_PROSE = re.compile(
    rf"(?<![\w./-])(?P<program>{_NAME})\s+(?P<rest>(?:{_SUBCOMMANDS})\b(?:\s+[\w@./:=-]+)?|{_OPTION}\b|[~.]?/[\w./-]+|[\w.-]+/[\w./-]+"
    rf"|\"\$|\$\w+)"
)
_SURE_COMMAND = re.compile(
    r"(?<![\w./-])(?:sudo|doas)\s+[a-z][\w./-]*|(?<![\w-])rm\s+-[a-z]*[rf]|\bchmod\s+[0-7+ugoa]|(?<![\w-])dd\s+if=",
    re.ASCII,
)
_PIPE = re.compile(
    rf"\|\s*(?:sudo\s+)?(?:{_NAME})\b(?!\()|(?:&&|\|\|)\s*(?:sudo\s+)?(?P<after>{_NAME})\s+[-\w./$\"']|"
    rf"\$\((?:{_NAME})\b|<\((?:{_NAME})\b|>\s*/(?:dev|etc|proc|usr|home|root|var)/|\b(?:bash|sh|zsh|python3?|node|perl)\s+-[ce]\b|\bexport\s+[A-Z_]+="
)
_SHELL_OPTION = re.compile(r"set\s+[-+][a-zA-Z]+(?:\s+pipefail)?|shopt\s+-[su]\s+\w+")
"""A shell's own switches: part of its language, and no program."""


def commands(text: str, stands: Stands) -> Iterator[str]:
    """Commands and pipelines in prose and comments that are none of the change's or the scenario's."""
    for pattern, what in ((_PIPE, "shell pipeline"), (_SURE_COMMAND, "command"), (_IN_PROSE, "command")):
        for match in pattern.finditer(text):
            program = match.groupdict().get("program") or match.groupdict().get("after")
            if program in ALSO_WORDS and not re.search(
                rf"\s(?:{_OPTION}|[~.]?/\w)", f" {text[match.start() : match.end() + 1]}"
            ):
                continue
            if not stands(_squeezed(match[0])) and not _SHELL_OPTION.match(match[0]):
                line = _squeezed(text[match.start() : match.start() + 100])
                yield f"the {what} `{line}` is not in the exercised change"


def typed(line: str, stands: Stands, *, is_shell: bool) -> str | None:
    """What is wrong with a line of code that is a command (its first word says so) and stands nowhere."""
    bare = re.sub(r"^\s*(?:[$>%#]\s+|(?:[A-Z_][A-Z0-9_]*=\S*\s+)+)", "", line.strip())
    words = bare.split()
    if _SHELL_OPTION.fullmatch(bare):
        return None
    if len(words) < 2 or (words[0].rpartition("/")[2] not in PROGRAMS and not is_shell):
        return None
    if words[0] in ALSO_WORDS and not is_shell and not re.search(rf"\s(?:{_OPTION}|[~.]?/\w)", bare):
        return None
    return None if stands(_squeezed(bare)) else f"the command `{bare[:100]}` is not in the exercised change"


def _squeezed(text: str) -> str:
    return " ".join(text.split())


# --- credentials ------------------------------------------------------------------------------------

_PLACES = re.compile(
    r"""(?ix)(?<![\w./-])(?:~|\$\{?HOME\}?)/[\w./-]+|(?<![\w-])(?:~|\$\{?HOME\}?)?/?\.(?:aws|ssh|gnupg|kube|docker|azure|gcloud|config/gcloud|password-store|mozilla|netrc|
    pgpass|npmrc|pypirc|git-credentials|vault-token|env|htpasswd|bash_history|zsh_history)\b(?:/[\w./-]*)?|
    /etc/(?:shadow|passwd|sudoers|ssl/private)\S*|\bid_(?:rsa|ed25519|ecdsa|dsa)\b|/proc/\w+/environ|\b[\w-]+\.(?:pem|p12|pfx|keystore|jks)\b|
    \b(?:credentials|secrets?)\.(?:json|ya?ml|toml|ini|env|txt)\b|\bservice[-_]account\.json\b|169\.254\.169\.254"""
)


_KEPT_IN = re.compile(
    r"(?i)\b(?:key\s?ring|key\s?chain|(?:password|credential|secrets?)\s+(?:manager|helper|store|vault)|ssh[\s-]agent|netrc|pypirc|"
    r"browser\s+(?:cookies|profile))\b"
)


def credentials(text: str, stands: Stands, knows: Stands) -> Iterator[str]:
    """Places where credentials are kept that the change does not speak of."""
    for match in _KEPT_IN.finditer(text):
        if not all(knows(word) for word in re.findall(r"\w+", match[0])):
            yield f"the place of credentials `{match[0]}` is not in the exercised change"
    for match in _PLACES.finditer(text):
        if not stands(match[0].strip(".")) and not stands(match[0].lstrip("~/.")):
            yield f"the place of credentials `{match[0]}` is not in the exercised change"


# --- encoded matter ---------------------------------------------------------------------------------

_BLOB = re.compile(r"(?<![\w+/=-])(?:[A-Za-z0-9+/]{16,}={0,2}|[A-Za-z0-9_-]{20,}={0,2})(?![\w+/=])")
_HEX = re.compile(r"(?<!\w)(?:0x)?[0-9a-fA-F]{24,}(?!\w)")
_ESCAPED = re.compile(
    r"(?:\\x[0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|%[0-9a-fA-F]{2}|&#x?[0-9a-fA-F]+;|\\[0-7]{3}){4,}|"
    r"(?:(?<![\w.-])[.\-\u2212\u00b7]{1,6}(?![\w.-])[\s/|]*){8,}|"
    r"(?:\b[01]{8}\b\s*){4,}|(?:\b(?:0x)?[0-9a-fA-F]{2}\b[ ,]*){12,}"
)


def encoded(text: str, stands: Stands) -> Iterator[str]:
    """Runs that a reader cannot read and a program can, unless the change has them."""
    for pattern in (_ESCAPED, _HEX, _BLOB):
        for match in pattern.finditer(text):
            if _looks_encoded(match[0], pattern is _BLOB) and not stands(match[0]):
                yield f"`{match[0][:60]}` is encoded, and not in the exercised change"


def _looks_encoded(run: str, blob: bool) -> bool:
    if not blob:
        return True
    bare = run.rstrip("=")
    mixed = bool(re.search(r"[a-z]", bare) and re.search(r"[A-Z]", bare) and re.search(r"\d", bare))
    # A name in CamelCase has long runs of small letters, a path has words.
    words = re.findall(r"[a-z]{3,}|[A-Z][a-z]{2,}", bare)
    return run.endswith("=") or (mixed and sum(map(len, words)) < 0.6 * len(bare)) or _decodes(bare)


def _decodes(run: str) -> bool:
    import base64  # noqa: PLC0415 - only where something looks like it
    import binascii  # noqa: PLC0415

    try:
        content = base64.b64decode(run + "=" * (-len(run) % 4), altchars=b"-_" if set("-_") & set(run) else None)
        return len(content) > 8 and content.decode("ascii").isprintable() and " " in content.decode("ascii")
    except (binascii.Error, ValueError):
        return False


def unescaped(text: str) -> str:
    """`text` with entities, percent signs and escapes read."""
    from urllib.parse import unquote  # noqa: PLC0415 - as above

    plain = unquote(html.unescape(text), errors="replace")
    return re.sub(r"\\x([0-9a-fA-F]{2})|\\u([0-9a-fA-F]{4})", lambda match: chr(int(match[1] or match[2], 16)), plain)
