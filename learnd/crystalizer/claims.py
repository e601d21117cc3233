"""Claims of prose that name no code: versions, options, people, and more than any test can show.

Each is a pattern for what a sentence may not say unless the exercised change says it too. Sentences in another language
than English are claims that nobody here can judge.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final, Literal

from learnd.crystalizer.vocabulary import ENGLISH, FOREIGN, PROPER, TERMS
from learnd.library.phrases import phrase, spaced

Kind = Literal["version", "command", "overclaim", "language", "person"]
Found = tuple[Kind, str, str]
Stands = Callable[[str], bool]

# --- versions -----------------------------------------------------------------------------------------

_VERSION = re.compile(
    spaced(
        r"""(?<![\w.:/-])(?:
            v\d+(?:\.\d+)*(?:[-.]?(?:a|b|rc|alpha|beta|dev|post)\d*)?|
            \d+\.\d+\.\d+(?:[-.+]?[a-z]+\d*)*|
            go\d\.\d+(?:\.\d+)*
        )(?![\w%]|\.\d)"""
    )
)
_NAMED_VERSION = re.compile(
    spaced(
        r"""(?<![\w.])(?i:
            versions?|releases?|since|requires|python|node(?:\.js)?|go|golang|rust|java|jdk|kotlin|ruby|php|
            perl|swift|typescript|postgres(?:ql)?|mysql|mariadb|sqlite|redis|django|flask|react|vue|angular|
            spring(?:\x20boot)?|rails|laravel|debian|ubuntu|alpine|pytest|jest|npm|pip|docker|kubernetes|openssl|tls|
            \.net|c\+\+|es|ecmascript
        )(?: version)?\s*(?:[<>=~^]+\s*)?(?P<version>\d+(?:\.\d+)*)
        (?![\w%]|\.\d|\s*(?:%|times|rows|tests|queries|seconds|ms|of\b))"""
    )
)
_WORDED_VERSION = re.compile(
    spaced(
        r"""(?i:
            \b(?:
                python|node|golang|rust|java|kotlin|ruby|php|perl|swift|typescript|postgres(?:ql)?|mysql|mariadb|sqlite|
                redis|django|rails|laravel|debian|ubuntu|alpine|pytest|jest|npm|docker|kubernetes|openssl|version|release
            ) (?:
                two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|
                eighteen|nineteen|twenty
            )\b|
            \b(?:second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|latest|newest|last)\s+
            (?:major|minor|stable|lts) (?:release|version)
        )"""
    )
)

# --- options ------------------------------------------------------------------------------------------

_FLAG = re.compile(r"(?<![\w-])--[a-z][\w-]+")

# --- more than a test can show ------------------------------------------------------------------------

_NUMBER: Final = r"""(?:
    \d[\d.,]*|two|three|four|five|six|seven|eight|nine|ten|twelve|twenty|fifty|
    (?:a )?hundred|(?:a )?thousand|several|many
)"""
_OVERCLAIM = phrase(
    # for ever, everywhere, for everyone
    r"\bguarant\w+",
    r"\b(?:always|never) (?:works?|fails?|breaks?|succeeds?|collides?|crash\w*|leaks?|safe|correct|happens? again)\b",
    r"\bworks? (?:\w+ )?(?:in|on|for|with) (?:every|any|all)\b",
    r"""\b(?:in|on|for|with) (?:every|any|all) (?:\w+ )?(?:
        environments?|platforms?|browsers?|projects?|languages?|codebases?|systems?|circumstances|conditions|situations|
        cases|frameworks?
    )\b""",
    r"""\b(?:all|every) (?:other |existing |the )?tests? (?:of the \w+ |in the \w+ |suites? )?
    (?:pass\w*|succeed\w*|are green|is green)\b""",
    r"\b100\s?%",
    # free of faults
    r"\b(?:bullet|fool)-?\s?proof",
    r"\b(?:bug|error|risk)-?\s?free\b",
    r"\b(?:production|battle)[\s-](?:ready|tested|proven|grade)\b",
    r"\b(?:zero|no) risk",
    r"\bcannot (?:fail|break|go wrong|occur)",
    r"\bcan (?:never|not) (?:occur|happen|fail)",
    r"\bimpossible to\b",
    r"""\b(?:completely|fully|totally|perfectly|absolutely|provably|entirely)\s+
    (?:safe|secure|correct|free|eliminat\w+|solve[sd]?|protected|race)\b""",
    r"\bno \w+(?: \w+)? of any kind\b",
    r"\bfree of (?:race|bugs?|errors?|leaks?|side)",
    r"\bby (?:\w+ ){0,2}\d[\d.,]*\s?(?:%|per\s?cent\b)",
    r"\bimmune (?:to|against)\b",
    r"\bno [\w-]+(?: \w+)? can (?:occur|happen)\b",
    r"\bhowever (?:large|big)\b",
    r"\b(?:on|in|for) each (?:device|region|platform|browser|system|environment)\b",
    r"\bnone (?:is )?left\b",
    # what somebody is said to have looked at
    r"\bwe(?:'ve| have)? (?:also )?(?:checked|verified|tested|measured|confirmed|reviewed|audited|made sure)\b",
    # no more attacks, never again
    r"\b(?:can|could) no longer be (?:attacked|exploited|abused|bypassed)\b",
    r"\bno (?:attackers?|one|race|bug|leak|user) (?:can|will)\b",
    r"\b(?:gone|solve[sd]?|fix\w*|end\w*|eliminate\w*|prevent\w*)\s[^.]{0,40}\bfor good\b",
    r"\brul(?:es?|ing) out\b[^.]{0,160}\b(?:for good|every|any|all|ever)\b",
    r"\b(?:no|never|cannot|can't|nothing)\b[^.]{0,160}\banywhere\b",
    # in use
    r"\bproduction (?:load|traffic|use|environments?|data)\b",
    r"\bwhatever the (?:number|size|load|amount|traffic)\b",
    r"\b(?:ever|again) (?:be )?(?:needed|necessary)\b",
    r"\bsince (?:been )?(?:seen|reported|observed)\b",
    r"\b(?:seen|reported|observed) since\b",
    # faster, better
    rf"""\b{_NUMBER}\s?(?:x|times|%|percent|fold|-fold) (?:\w+ )?
    (?:faster|quicker|slower|smaller|less|more|cheaper|better|fewer)\b""",
    r"\b(?:much|far|significantly|dramatically|vastly|considerably) (?:faster|quicker|cheaper|safer|better)\b",
    r"\bbenchmarks? (?:show|prove|confirm|say)",
    r"\bin (?:every )?production\b",
    # what everybody is said to think
    r"\b(?:industry|de facto) standard\b",
    r"\b(?:officially|widely|universally) (?:recommended|accepted|adopted|supported)\b",
    r"\bexperts? (?:agree|say|recommend)",
    r"\bthe only (?:correct|right|safe) way\b",
    r"\bonce and for all\b",
    r"\bunder (?:any|all|heavy|every) (?:load|circumstances|conditions)\b",
)

# --- people -------------------------------------------------------------------------------------------

_NAME = r"[A-Z][a-zà-ÿ]+(?:[-'][A-Z][a-z]+)?"
_PERSON = re.compile(
    spaced(
        # two names after a word that goes before somebody, or within a sentence
        rf"""\b(?:by|from|of|for|with|ask|to|thanks|contact|customer|colleague|user|told|Mr\.?|Mrs\.?|Ms\.?|Dr\.?|and)\s+
        (?P<name>{_NAME} (?:[A-Z]\. )?{_NAME})(?! [A-Z])|
        (?<=[a-z,]\s)(?P<pair>{_NAME} {_NAME})(?![\s-]+[A-Z])|
        """
        # two at its beginning, of whom something is told
        rf"""(?:^|[.!?] )(?P<start>{_NAME} {_NAME})
        (?= (?:\(|saw|found|reported|noticed|wrote|said|asked|hit|ran\b|who\b|from\b))|
        """
        # one, with what somebody is or where they work
        r"""\b(?P<first>[A-Z][a-z]{2,})(?:
            , (?:who|whom|our|head|lead)\b|
            \s+(?:from|of|in) (?:the )?(?:\w+ )?
            (?:office|team|desk|department|accounting|support|sales|marketing|finance)\b
        )|
        """
        r"(?<![\w.@/`])(?P<handle>@[A-Za-z][\w-]{2,})(?![\w./(-])"
    )
)

# --- other languages ----------------------------------------------------------------------------------

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
