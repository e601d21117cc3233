"""Claims of prose that name no code: versions, options, people, and more than any test can show.

Each is a pattern for what a sentence may not say unless the exercised change says it too. Sentences in another language
than English are claims that nobody here can judge.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final, Literal

from learnd.crystalizer.vocabulary import ENGLISH, FOREIGN, PROPER, TERMS

Kind = Literal["version", "command", "overclaim", "language", "person"]
Found = tuple[Kind, str, str]
Stands = Callable[[str], bool]

_VERSION = re.compile(
    r"(?<![\w.:/-])(?:v\d+(?:\.\d+)*(?:[-.]?(?:a|b|rc|alpha|beta|dev|post)\d*)?|\d+\.\d+\.\d+(?:[-.+]?[a-z]+\d*)*|go\d\.\d+(?:\.\d+)*)(?![\w%]|\.\d)"
)
_NAMED_VERSION = re.compile(
    r"(?<![\w.])(?i:versions?|releases?|since|requires|python|node(?:\.js)?|go|golang|rust|java|jdk|kotlin|ruby|php|"
    r"perl|swift|typescript|postgres(?:ql)?|mysql|mariadb|sqlite|redis|django|flask|react|vue|angular|spring(?: boot)?|"
    r"rails|laravel|debian|ubuntu|alpine|pytest|jest|npm|pip|docker|kubernetes|openssl|tls|\.net|c\+\+|es|ecmascript)"
    r"(?:\s+version)?\s*(?:[<>=~^]+\s*)?(?P<version>\d+(?:\.\d+)*)"
    r"(?![\w%]|\.\d|\s*(?:%|times|rows|tests|queries|seconds|ms|of\b))"
)
_WORDED_VERSION = re.compile(
    r"(?i:\b(?:python|node|golang|rust|java|kotlin|ruby|php|perl|swift|typescript|postgres(?:ql)?|mysql|mariadb|sqlite|redis|django|"
    r"rails|laravel|debian|ubuntu|alpine|pytest|jest|npm|docker|kubernetes|openssl|version|release)\s+(?:two|three|four|five|six|seven|"
    r"eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen|twenty)\b"
    r"|\b(?:second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|latest|newest|last)\s+(?:major|minor|stable|lts)\s+(?:release|version))"
)
_NO_VERSION = re.compile(r"(?i)^(?:since|requires|releases)$")

_FLAG = re.compile(r"(?<![\w-])--[a-z][\w-]+")

_NUMBER: Final = (
    r"(?:\d[\d.,]*|two|three|four|five|six|seven|eight|nine|ten|twelve|"
    r"twenty|fifty|(?:a\s+)?hundred|(?:a\s+)?thousand|several|many)"
)
_OVERCLAIM = re.compile(
    rf"""(?ix)\bguarant\w+|\b(?:always|never)\s+(?:works?|fails?|breaks?|succeeds?|collides?|crash\w*|leaks?|safe|correct|happens?\s+again)\b|
    \bworks?\s+(?:\w+\s+)?(?:in|on|for|with)\s+(?:every|any|all)\b|\b(?:in|on|for|with)\s+(?:every|any|all)\s+(?:\w+\s+)?
    (?:environments?|platforms?|browsers?|projects?|languages?|codebases?|systems?|circumstances|conditions|situations|cases|frameworks?)\b|
    \b(?:all|every)\s+(?:other\s+|existing\s+|the\s+)?tests?\s+(?:of\s+the\s+\w+\s+|in\s+the\s+\w+\s+|suites?\s+)?(?:pass\w*|succeed\w*|are\s+green|is\s+green)\b|
    \b100\s?%|\b(?:bullet|fool)-?\s?proof|\b(?:bug|error|risk)-?\s?free\b|\b(?:production|battle)[\s-](?:ready|tested|proven|grade)\b|
    \b(?:zero|no)\s+risk|\bcannot\s+(?:fail|break|go\s+wrong|occur)|\bcan\s+(?:never|not)\s+(?:occur|happen|fail)|\bimpossible\s+to\b|
    \b(?:completely|fully|totally|perfectly|absolutely|provably|entirely)\s+(?:safe|secure|correct|free|eliminat\w+|solve[sd]?|protected|race)\b|
    \bno\s+\w+(?:\s+\w+)?\s+of\s+any\s+kind\b|\bfree\s+of\s+(?:race|bugs?|errors?|leaks?|side)|
    \bby\s+(?:\w+\s+){0, 2}\d[\d.,]*\s?(?:%|per\s?cent\b)|\bimmune\s+(?:to|against)\b|
    \bno\s+[\w-]+(?:\s+\w+)?\s+can\s+(?:occur|happen)\b|
    \bhowever\s+(?:large|big)\b|
    \b(?:on|in|for)\s+each\s+(?:device|region|platform|browser|system|environment)\b|\bnone\s+(?:is\s+)?left\b|
    \bwe(?:'ve|\s+have)?\s+(?:also\s+)?(?:checked|verified|tested|measured|confirmed|reviewed|audited|made\s+sure)\b|
    \b(?:can|could)\s+no\s+longer\s+be\s+(?:attacked|exploited|abused|bypassed)\b|
    \bno\s+(?:attackers?|one|race|bug|leak|user)\s+(?:can|will)\b|\b(?:gone|solve[sd]?|fix\w*|end\w*|eliminate\w*|prevent\w*)\s[^.]{{0,40}}\bfor\s+good\b|
    \brul(?:es?|ing)\s+out\b[^.]*\b(?:for\s+good|every|any|all|ever)\b|
    \b(?:no|never|cannot|can't|nothing)\b[^.]*\banywhere\b|\bproduction\s+(?:load|traffic|use|environments?|data)\b|\bwhatever\s+the\s+(?:number|size|load|amount|traffic)\b|
    \b(?:ever|again)\s+(?:be\s+)?(?:needed|necessary)\b|\bsince\s+(?:been\s+)?(?:seen|reported|observed)\b|\b(?:seen|reported|observed)\s+since\b|
    \b{_NUMBER}\s?(?:x|times|%|percent|fold|-fold)\s+(?:\w+\s+)?(?:faster|quicker|slower|smaller|less|more|cheaper|better|fewer)\b|
    \b(?:much|far|significantly|dramatically|vastly|considerably)\s+(?:faster|quicker|cheaper|safer|better)\b|
    \bbenchmarks?\s+(?:show|prove|confirm|say)|\bin\s+(?:every\s+)?production\b|\b(?:industry|de\s+facto)\s+standard\b|
    \b(?:officially|widely|universally)\s+(?:recommended|accepted|adopted|supported)\b|\bexperts?\s+(?:agree|say|recommend)|
    \bthe\s+only\s+(?:correct|right|safe)\s+way\b|\bonce\s+and\s+for\s+all\b|\bunder\s+(?:any|all|heavy|every)\s+(?:load|circumstances|conditions)\b"""
)

_NAME = r"[A-Z][a-zà-ÿ]+(?:[-'][A-Z][a-z]+)?"
_PERSON = re.compile(
    rf"\b(?:by|from|of|for|with|ask|to|thanks|contact|customer|colleague|user|told|Mr\.?|Mrs\.?|Ms\.?|Dr\.?|and)\s+(?P<name>{_NAME}\s+(?:[A-Z]\.\s+)?{_NAME})(?!\s+[A-Z])|(?<=[a-z,]\s)(?P<pair>{_NAME}\s+{_NAME})(?![\s-]+[A-Z])|(?:^|[.!?]\s+)(?P<start>{_NAME}\s+{_NAME})(?=\s+(?:\(|saw|found|reported|noticed|wrote|said|asked|hit|ran\b|who\b|from\b))|\b(?P<first>[A-Z][a-z]{{2,}})(?:,\s+(?:who|whom|our|head|lead)\b|\s+(?:from|of|in)\s+(?:the\s+)?(?:\w+\s+)?(?:office|team|desk|department|accounting|support|sales|marketing|finance)\b)|(?<![\w.@/`])(?P<handle>@[A-Za-z][\w-]{{2,}})(?![\w./(-])"
)

_SENTENCE = re.compile(r"(?<=[.!?:;])\s+|(?<=[。！？])|\n")
_PROSE_WORD = re.compile(r"(?<![\w./@-])[^\W\d_]+(?:['’][^\W\d_]+)?(?![\w/]|\.\w)")


def claims(prose: str, stands: Stands, corpus: str) -> Iterator[Found]:
    """What a passage of prose (code spans taken out) claims beyond the corpus, as (kind, words, why)."""
    for version in _versions(prose, stands, corpus):
        yield "version", version, "no exercised line and no command names this version"
    for match in _FLAG.finditer(prose):
        if not stands(match[0]):
            yield "command", match[0], "no exercised line and no command has this option"
    for match in _OVERCLAIM.finditer(prose):
        if not stands(match[0]):
            yield "overclaim", " ".join(match[0].split()), "no replay can show that"
    for name in _people(prose):
        if not stands(name) and not set(name.split()) & TERMS:
            yield "person", name, "a pattern names no people"
    for sentence in _SENTENCE.split(prose):
        if _is_foreign(sentence, stands):
            yield "language", " ".join(sentence.split())[:80], "it is not in English and cannot be judged"


def _versions(prose: str, stands: Stands, corpus: str) -> Iterator[str]:
    """Versions that the corpus does not have, in digits or in words."""
    for match in _VERSION.finditer(prose):
        if not _stands_as_version(match[0], stands):
            yield match[0]
    for match in _NAMED_VERSION.finditer(prose):
        if not _stands_as_version(match["version"], stands) and not _stands_joined(match[0], corpus):
            yield " ".join(match[0].split())
    for match in _WORDED_VERSION.finditer(prose):
        if not stands(match[0]):
            yield " ".join(match[0].split())


def _people(prose: str) -> Iterator[str]:
    """What reads like somebody's name: two of them after a word for it, one with what somebody is, a handle."""
    for match in _PERSON.finditer(prose):
        first = match["first"]
        if not first or (first.lower() not in ENGLISH and first not in PROPER):
            yield match["name"] or match["pair"] or match["start"] or first or match["handle"]


def _stands_as_version(version: str, stands: Stands) -> bool:
    bare = re.sub(r"^(?:v|go)(?=\d)", "", version)
    return any(stands(form) for form in (version, bare, f"v{bare}"))


def _stands_joined(named: str, corpus: str) -> bool:
    """`TLS 1.2` stands where `VersionTLS12` does."""
    bare = re.sub(r"[^a-z0-9]", "", named.lower())
    joined = re.sub(r"[^a-z0-9\n]", "", corpus.lower())
    return re.search(rf"{re.escape(bare)}(?!\d)", joined) is not None


def _is_foreign(prose: str, stands: Stands) -> bool:
    """Whether a sentence is in another language: by its script, or by its small words."""
    letters = [char for char in prose if char.isalpha()]
    other = [char for char in letters if ord(char) > 0x24F]
    if len(other) * 3 > len(letters):
        runs = re.findall(r"[^\W\d_]+", prose)
        return any(ord(run[0]) > 0x24F and not stands(run) for run in runs)
    words = [word.lower() for word in _PROSE_WORD.findall(prose)]
    english = sum(word in ENGLISH for word in words)
    foreign = sum(word in FOREIGN and not stands(word) for word in words)
    if len(words) >= 3 and foreign >= 2 and foreign >= english:
        return True
    accented = sum(not word.isascii() for word in words)
    return len(words) >= 5 and english == 0 and (foreign >= 1 or accented >= 1)
