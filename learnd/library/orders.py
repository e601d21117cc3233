"""Sentences that give orders to whoever acts on a pattern, and that no change of code gives cause for.

A pattern tells how code was mended. It has no reason to speak to or of AI assistants, of instructions, consent,
approval or secrecy, to lay down standing orders, or to send its reader outside of the code. Sentences of these kinds
are recognised by who they address, which verb they command and what it is done to; a kind is allowed where the
change itself is about these things: its words are then the change's own.

The kinds that unseat a reader's own rules (`_UNSEATING`) are looked for in disguise too: other spellings, encodings,
and other languages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Kind:
    """One kind of order: what it looks like, and which groups of the match must be the change's own to be allowed.

    `unless` names the groups; without any, no change gives cause for it.
    """

    says: str
    pattern: re.Pattern[str]
    unless: tuple[str, ...] = ()


def _kind(says: str, pattern: str, *unless: str) -> Kind:
    return Kind(says, re.compile(pattern, re.IGNORECASE | re.VERBOSE), unless)


_PERSON: Final = (
    r"(?:users?|humans?|developers?|maintainers?|operators?|owners?|people|persons?|reviewers?|anyone|anybody|somebody|"
    r"someone|colleagues?|team|customer|permission|approval|confirmation|consent|questions?|review)"
)
_RULES: Final = (
    r"(?:instruct\w*|rules?|guidelines?|guidance|prompts?|directives?|polic(?:y|ies)|constraints?|restrictions?|"
    r"guardrails?|safeguards?|context|messages?|conversation|orders?|commands?|advice|training|programming|system)"
)
_HEAD: Final = (
    r"(?:^|[.;:!?,()\[\]{}\"“”»«*>]\s*|\s[–—-]\s+|\b(?:then|and|please|kindly|also|first|now|just|simply|must|should|shall|"
    r"(?:sure|remember|needs?|have|has|ought|best|better|required|expected|supposed|free|told|asked|advised|wise)\s+to|"
    r"(?:you|we|one|they)\s+(?:will|would|can|could|may|might)|you|we|never|always|(?:do|should|must|shall|need)\s+not|don't|let's|"
    r"afterwards|finally|next|instead|immediately)\s+)"
    r"(?:\w+ly\s+|(?:first|also|now|then|just|always|never)\s+)?"
)
"""What stands before a verb that commands: a beginning, or a word that asks."""

_UNSEATING: Final = (
    _kind(
        "sets earlier instructions aside",
        rf"""\b(?:ignor\w*|disregard\w*|forget\w*|overrid\w*|overwrit\w*|bypass\w*|supersed\w*|neglect\w*|discard\w*|void|
        abandon\w*|drop|dismiss\w*|outdated|revok\w*|cancel\w*|nullif\w*|set\s+aside|put\s+aside|stop\s+following|unlearn|
        no\s+longer\s+(?:follow|obey|apply)|pay\s+no\s+attention|do(?:\s+not|n't)\s+(?:follow|obey|heed|comply))\b
        [^.!?|,;]{{0,40}}?\b(?:(?:previous|prior|earlier|above|preceding|former|existing|foregoing|initial|original|later|
        all|any|every|other|your|these|those|the\s+system|whatever|everything|what)\b[^.!?|,;]{{0,20}}?)
        \b(?:{_RULES}|told|said|asked|comments?|remarks?|patterns?|above|so\s+far)\b""",
    ),
    _kind(
        "sets earlier instructions aside",
        r"""\b(?:previous|prior|earlier|above|preceding|former|your|all|any|those|these|system|the)\s+(?:\w+\s+){0,2}?
        (?:instructions?|guidance|guidelines?|rules|prompts?|directives?|polic(?:y|ies)|comments?|constraints?)\b[^.!?]{0,40}?
        \b(?:(?:is|are|be|were|as)\s+(?:now\s+)?(?:void|obsolete|outdated|cancel\w*|revoked|suspended|lifted|irrelevant|
        superseded|invalid|null|wrong)|(?:no\s+longer|do(?:es)?\s+not|don't)\s+(?:apply|count|hold|matter))\b""",
    ),
    _kind(
        "gives the reader a new role",
        r"""\byou\s+are\s+(?:now|no\s+longer|hereby|currently|allowed|permitted|authori[sz]ed|free\s+to|(?:a|an|the)\s+
        [\w\s-]{0,40}\b(?:engineer|assistant|agent|admin\w*|expert|developer|model|bot|reviewer|operator|root|user|system))\b|
        \b(?:act|behave|respond|answer|reply|pose)\s+(?:only\s+)?as\s+(?:if|an?|the|though|root|admin)\b|\bpretend\s+(?:to|that|you)|
        \brole-?play|\b(?:developer|maintenance|debug|god|admin|unrestricted|jailbreak|sudo)\s+mode\b(?!\s+(?:is|was|comes|off|on|of)\b)|
        \bwith\s+(?:full|all|root|admin\w*|unrestricted)\s+(?:permissions?|rights|access|privileges)\b""",
    ),
    _kind(
        "imitates a prompt's own marks",
        r"""<\|[\w ]*\|?>|\[/?INST\]|<</?SYS>>|\b(?:begin|end|start\s+of|new)\s+(?:of\s+)?(?:system\s+)?
        (?:prompt|instructions?)\b|
        (?:^|[\n#>*_\s-])(?:system|assistant|human|user|developer)\s*(?:prompt|message|note|instructions?|override)?\s*:\s+
        (?=you|ignore|from\s+now|the|do|run|please|when|always|never|i\b|we\b|disregard|new|override|execute|reply|stop)""",
    ),
    _kind(
        "keeps something from people",
        rf"""\b(?:do(?:es)?\s+not|don't|never|not|without|no\s+need\s+to|needn't|instead\s+of|skip|avoid|refrain\s+from|stop|
        nobody\s+(?:has|needs)\s+to|rather\s+than)\s+(?:first\s+|even\s+|to\s+|ever\s+)?
        (?:ask\w*|tell\w*|mention\w*|reveal\w*|disclos\w*|inform\w*|notif\w*|confirm\w*|consult\w*|report\w*|warn\w*|
        bother\w*|involv\w*|wait\w*\s+for|request\w*|seek\w*|discuss\w*|prompt\w*|alert\w*)\b
        (?:[^.!?]{{0,50}}?\b(?:{_PERSON}|findings?|(?:this|it)\s+(?:in|to|from|anywhere)|summary)\b)""",
    ),
    _kind(
        "says that nobody need look",
        r"""\b(?:approvals?|reviews?|confirmations?|permissions?|checks?|verifications?|consent|reviews?\s+by\s+humans|sign-?offs?)\b
        [^.!?]{0,20}?\b(?:is|are|was|were)\s+(?:not|no\s+longer|never|un|optional)\s*(?:needed|required|necessary|optional|
        wanted|here|for)|\bno\s+(?:further\s+|human\s+|more\s+|additional\s+)?(?:approvals?|reviews?|confirmations?|checks?|
        permissions?|oversight)\s+(?:is|are|will\s+be)?\s*(?:needed|required|necessary)|\breviews?\s+by\s+humans?\s+(?:is|are)\b|
        \bpre-?(?:approved|authori[sz]ed|cleared|vetted)\b|\bnothing\s+to\s+(?:see|review)\b|
        \balready\s+(?:been\s+)?(?:verified|approved|reviewed|cleared|vetted|authori[sz]ed|audited)\b[^.!?]{0,60}\b(?:so|pattern|
        change|safe|no|this)\b|\b(?:security|platform|compliance)\s+team\s+(?:has|have)\s+(?:already\s+)?(?:verified|approved|cleared)""",
    ),
)

_NAMES_RULES = re.compile(
    r"(?i)instruct|rules?\b|guid|prompt|directive|polic|told|asked|training|role|mode|you\b|as\b|approv|review|confirm|permission"
    r"|user|human|owner|maintain|operator|team|anyone|anybody|nobody|people|\[|<|:|consent|verif|secur"
)
_NEAR: Final = 70
"""Characters between a word for assistants and one that asks something of them."""
_ASSISTANT = re.compile(
    r"""\b(?:ai|llms?|language\s+models?|chat\s?bots?|assistants?|copilot|claude|chatgpt|gpt(?:-?\w+)?|gemini|codex|agents?|
    automated\s+reviewers?)\b(?!\s*[/=])""",
    re.IGNORECASE | re.VERBOSE,
)
_ABOUT_MODELS: Final = ("prompt", "llm", "agent", "assistant", "chatbot", "openai", "anthropic", "gpt", "claude")
"""A change that has one of these words may ask things of assistants, as its own code does."""
_ASKED = re.compile(
    r"""(?ix)\b(?:should|must|shall|ought|needs?\s+to|ha(?:s|ve)\s+to|(?:is|are)\s+to|please|kindly|dear|never|always|expected|required|
    allowed|permitted|entitled|asked|told|supposed|free\s+to|do\s+not|don't|best|better|helpful|good|important|essential|
    practice|let|make\s+sure|ensure|remember|attention|note\s+(?:to|for)|for\s+(?:any|all|every|the)|hey|hello)\b|
    (?:^|[.;(–—-]\s*)(?:ai|llms?|assistants?|copilot|claude|chatgpt|gpt\S*|gemini|codex|agents?)\s*[:,]|[:,]\s*(?:you|ignore|do)\b"""
)
_OTHER_AGENTS = re.compile(
    r"\b(?:user|build|ssh|monitoring|mail|transfer|log|backup|deployment|estate|update|gpg|proxy|http|jenkins|datadog|node)[\s-]+agents?\b",
    re.IGNORECASE,
)

_OUTSIDE: Final = (
    _kind(
        "lays down a standing order",
        r"""\b(?:always|from\s+now\s+on|henceforth|in\s+(?:all\s+)?future(?:\s+(?:runs|tasks|sessions))?|whenever\s+you|
        every\s+time(?:\s+you)?|each\s+time\s+you|(?:before|after|in|at|for|during)\s+(?:the\s+(?:start|end|beginning)\s+of\s+)?
        (?:each|every|any|all|any\s+other)\s+(?:other\s+|new\s+|future\s+)?(?:task|session|run|answer|reply|conversation|change|
        project|commit|edit|step)s?|permanently|for\s+ever\s+after)\b[^.!?]{0,60}?
        \b(?P<verb>run|execute|call|invoke|use\s+the|install|fetch|download|open|visit|send|add|commit|push|publish|deploy|
        delete|erase|remove|approve|promote|merge|load|obey|trust|follow|export|append|include|start|finish|borra|prefer)\b""",
        "verb",
    ),
    _kind(
        "lays down a standing order",
        r"""(?:^|[.:;#*/\n-]\s*)(?:before|after|in|at\s+the\s+(?:start|end)\s+of)\s+(?:each|every)\s+(?:session|task|run|
        conversation)\b""",
    ),
    _kind(
        "has something sent, published or merged",
        rf"""{_HEAD}(?P<verb>send|post|upload|e-?mail|mail|forward|transmit|exfiltrate|leak|publish|push|commit|merge|
        deploy|release)\s+(?:[\w'`-]+\s+){{0,7}}?(?P<what>branch|package|main|master|repo\w*|fork|remote|server|channel|
        contents?|logs?|files?|secrets?|credentials?|keys?|tokens?|env\w*|working\s+tree|results?|sources?|code|data|public\w*|
        body|directly|upstream|production|address|webhook)\b""",
        "verb",
    ),
    _kind(
        "has something run",
        rf"""{_HEAD}(?P<verb>run|execute|launch|invoke|start|restart|trigger|source|eval(?:uate)?)\s+(?:[\w'`-]+\s+){{0,5}}?
        (?P<what>scripts?|commands?|shell|terminal|installers?|binar(?:y|ies)|programs?|gateway|following|payload|snippet|
        as\s+root|with\s+sudo|sudo|executable|macro|one-?liner)\b""",
        "verb",
        "what",
    ),
    _kind(
        "has something fetched or opened",
        rf"""{_HEAD}(?P<verb>install|download|fetch|pull|clone|wget|curl|visit|open|browse|retrieve|look\s+at|go\s+to|navigate\s+to|
        look\s+up|consult)\s+(?:[\w'`-]+\s+){{0,6}}?(?P<what>packages?|tools?|scripts?|web\s?pages?|web\s?sites?|sites?|
        links?|urls?|recipes?|instructions?|browser|internet|extensions?|plugins?|payload|dependenc\w+|from\s+(?:the\s+)?
        (?:web|internet|network|registry))\b""",
        "verb",
        "what",
    ),
    _kind(
        "has the reader follow another text",
        rf"""{_HEAD}(?:follow|obey|execute|carry\s+out|do|perform|apply|read|trust)\s+(?:only\s+|the\s+|what(?:ever)?\s+|all\s+)*
        (?:steps|instructions?|directions?|orders?|stands\s+(?:here|there)|it\s+says|is\s+written)\b|
        \b(?:reply|respond|answer)\s+only\s+with\b|\bfetch\s+it\s+before\b""",
    ),
    _kind(
        "has something destroyed",
        rf"""{_HEAD}(?P<verb>delete|erase|wipe|destroy|purge|truncate|shred|rm)\s+(?:[\w'`-]+\s+){{0,5}}?
        (?P<what>everything|databases?|repo\w*|working\s+tree|history|backups?|tests?|evidence|audit|records?|registers?|
        director(?:y|ies)|folders?|disks?|volumes?|files?|logs?|branch(?:es)?|home)\b""",
        "verb",
    ),
    _kind(
        "has a safeguard switched off",
        rf"""(?:{_HEAD}(?P<verb>disable|deactivate|turn\s+off|switch\s+off|bypass|skip|suppress|circumvent|weaken|comment\s+out|
        relax|mute|silence|opt\s+out\s+of|avoid|ignore|remove|delete)\s+(?:[\w'`-]+\s+){{0,4}}?|(?=(?:\w+\s+){{1,4}}
        (?:can|may|should|must|could)\s+(?:safely\s+|now\s+)?be\s+(?P<verb2>turned\s+off|disabled|skipped|switched\s+off|
        bypassed|ignored|removed|deactivated)))(?:the\s+|all\s+|any\s+)?
        (?P<what>failing\s+tests?|tests?|ci|checks?|hooks?|lint(?:er|ing)?|(?:code\s+|security\s+)?reviews?|verification|
        sandbox\w*|gates?|approvals?|safety|security|firewall|scann\w+|permissions?|protections?|two-factor|mfa|2fa|
        antivirus|selinux|monitoring|audit\w*|certificate\s+\w+|authenticat\w+|authori[sz]ation|pipeline)\b(?!-)""",
        "verb",
    ),
    _kind(
        "has a secret shown or moved",
        rf"""{_HEAD}(?P<verb>print|show|read|send|echo|log|include|put|paste|reveal|output|dump|cat|copy|expose|extract|export|
        write|display|collect|share|post)\s+(?:[\w'`-]+\s+){{0,9}}?
        (?P<what>passwords?|passphrases?|private\s+keys?|secrets?|credentials?|api[\s-]keys?|access\s+keys?|ssh[\s-]keys?|
        keychain|environment\s+variables|session\s+cookies?|bearer\s+tokens?|auth\w*\s+tokens?|personal\s+access\s+tokens?)\b""",
        "what",
    ),
    _kind(
        "has patterns judged or ranked",
        rf"""{_HEAD}(?:approve|promote|accept|rank|prefer|trust|prioriti[sz]e|recommend|endorse|release|vote\s+for|use|apply)\s+
        (?:only\s+|always\s+)?(?:this|that|the|me|it|these)\s*(?:very\s+|same\s+)?(?:candidate|pattern|advice|recommendation|
        document|pull\s+request|proposal|yourself|itself)\b|\bpromote\s+(?:me|itself|yourself)\b|\bapprove\b[^.!?]{{0,30}}\byourself\b|
        \b(?:highest|top|first)\s+(?:rank|priority|place)\b|\bignore\s+other\s+patterns?\b|\buse\s+only\s+this\b|
        \bmerge\s+(?:it\s+|this\s+)?(?:directly|immediately|without)\b|
        \bapply\s+(?:the\s+same|this)\s+\w+\s+(?:across|to)\s+(?:the\s+)?(?:whole|entire|every|all)\b""",
    ),
    _kind(
        "writes into a reader's memory or rules",
        r"""\b(?:remember|memori[sz]e)\s+(?:this|the\s+following)\b|\b(?:add|append|write|save|store|put|copy|include|insert)\b
        [^.!?]{0,60}?\b(?:(?:project|long-?term|your|persistent)\s+memor(?:y|ies)|your\s+(?:rules|instructions|notes|config\w*|
        context|system\s+prompt)|system\s+prompt|agents\.md|claude\.md|cursorrules|copilot-instructions)\b""",
    ),
    _kind(
        "names a tool of an agent",
        r"""\b(?:use|call|invoke|run|with|via|through|using|open)\s+(?:the\s+|your\s+|a\s+|an\s+)?(?:[\w.-]+\s+){0,2}?
        (?P<what>tools?)\b(?:\s+(?:to|with|on|so|and|call|for|,)|[,.;])|\b(?:mcp__\w+|tool_calls?|function_calls?|webfetch|
        websearch|str_replace\w*|apply_patch|run_terminal_cmd|run_shell\w*|execute_(?:command|bash|shell)\w*|computer_use|
        shell_exec|bash_tool|browser_\w+|read_file|write_file|edit_file|file_write|file_read)\b""",
        "what",
    ),
    _kind(
        "speaks of itself and of who reads it",
        r"""\b(?:reading|read|loading|load|processing|seeing|following)\s+this\b(?!\s+(?:value|field|file|column|header|setting|
        attribute|variable|property|key|line|option|flag|row|table|stream|list|map|queue|buffer|socket|way))|
        \bthe\s+(?:answer|reply|response|output|summary|report)s?\s+(?:that\s+)?you\s+give\b|
        \byour\s+(?:answer|reply|response|output|summary|report|task|tasks|session|memory|context|user|operator|tools?)\b|
        \bautomated\s+(?:task|reader|reviewer|system|agent|process\s+that\s+reads)s?\b|\bperson\s+at\s+the\s+keyboard\b|
        \b(?:this|these)\s+(?P<what>pages?|documents?|notes?|messages?|advice|instructions?|entr(?:y|ies)|articles?|recipes?|
        guidelines?|memor(?:y|ies))\b|\b(?:every|all|any)\s+other\s+(?:pattern|advice|document|instruction|recommendation)s?\b|
        \b(?:takes?|has|have)\s+(?:precedence|priority)\s+over\b|\btakes\s+precedence\b|
        \bwho(?:ever)?\s+(?:reads|loads|uses)\s+(?:this|it)\b|\bthis\s+(?:pattern|text)\s+(?:must|should|has\s+to|overrides|
        replaces|outranks|takes|supersedes|wins)\b""",
        "what",
    ),
    _kind(
        "asks for what belongs to another task",
        r"""\bbefore\s+(?:continuing|you\s+(?:continue|start|begin|use\s+it|use\s+this|proceed)|proceeding|answering|responding)\b|
        \bwhen(?:ever)?\s+you\s+(?:see|read|load|open|find|encounter|work|edit)\b|\bcontinu\w+\s+with\s+any\s+other\s+task\b|
        \byour\s+(?:next|first)\s+(?:task|action|step)\b|\bas\s+your\s+(?:first|next|last)\b|\bwhen\s+editing\s+this\b""",
    ),
)

_ELSEWHERE: Final = re.compile(
    r"""\b(?:ignorier\w*|missacht\w*|vergiss|vergesst|olvida\w*|ignora\w*|ignorez|ignore[rz]?|oublie\w*|desconsidere?\w*|esque[cç]a\w*|
    dimentica\w*|negeer|vergeet|zignoruj|zapomnij|ignoruj\w*|unut|yoksay\w*|abaikan|lupakan|glöm|ignorera|glem|unohda)\b
    [^.!?]{0,50}?\b(?:anweisung\w*|regel\w*|vorgaben?|instruc\w+|instruk\w+|reglas?|regras?|regole|consignes?|istruzion\w+|
    richtlijn\w*|polece\w+|talimat\w*|perintah|directi\w+|ordini|instrucciones|indicaciones|zasad\w*|pokyny?)\b""",
    re.IGNORECASE | re.VERBOSE,
)
"""Setting instructions aside, in other languages of Latin script; what else is not English is taken out as unjudged."""


_LABELS_NEVER_BEGIN_WITH = """
always never ignore disregard forget override bypass run execute install download fetch send post upload delete remove
erase wipe disable skip use apply approve promote merge push publish commit deploy trust obey follow call invoke open
visit curl wget sudo rm eval reveal print show export ask tell do dont please read write add you must
"""
_SENTENCES = "a an this these that it is are be not your you here so no"
_SMALL: Final = frozenset(_SENTENCES.split())
"""Words of sentences, and of no label of more than three words."""
_COMMANDING: Final = frozenset(_LABELS_NEVER_BEGIN_WITH.split())


def orders(text: str, is_own: Callable[[str], bool]) -> Iterator[str]:
    """What in a readable passage commands its reader, as clauses. `is_own` says whether words are the change's own."""
    yield from unseats(text)
    yield from outside(text, is_own)


def _nearest(sentence: str) -> tuple[re.Match[str] | None, re.Match[str] | None]:
    """A word for assistants and one that asks for something, near each other in one clause; a pair of None for none."""
    for named in _ASSISTANT.finditer(sentence):
        for asked in _ASKED.finditer(sentence):
            between = sentence[min(named.end(), asked.end()) : max(named.start(), asked.start())]
            if len(between) <= _NEAR and not re.search(r",\s+(?:so|and|but|which)\b", between):
                return named, asked
    return None, None


def unseats(text: str, *, is_loose: bool = False) -> Iterator[str]:
    """What unseats a reader's own rules; `is_loose` wants it to name them: code drops messages and ignores files."""
    for kind in _UNSEATING:
        for match in kind.pattern.finditer(" ".join(text.split())):
            if not is_loose or _NAMES_RULES.search(match[0]):
                yield f"it {kind.says}: “{match[0].strip()[:120]}”"


def outside(text: str, is_own: Callable[[str], bool]) -> Iterator[str]:
    """What sends the reader outside of the code: the orders that a sentence about code may resemble."""
    flat = " ".join(text.split())
    yield from _found(_OUTSIDE, flat, is_own)
    for sentence in re.split(r"(?<=[.!?])\s", _OTHER_AGENTS.sub(" ", flat)):
        named, asked = _nearest(sentence)
        if named and asked and not any(map(is_own, (named[0], *_ABOUT_MODELS))):
            yield f"it asks something of AI assistants: “{named[0]}”, “{asked[0].strip()}”"
    yield from (f"it sets instructions aside: “{match[0]}”" for match in _ELSEWHERE.finditer(flat))


def _found(kinds: Iterable[Kind], text: str, is_own: Callable[[str], bool]) -> Iterator[str]:
    for kind in kinds:
        for match in kind.pattern.finditer(text):
            if not _is_allowed(kind, match, is_own):
                yield f"it {kind.says}: “{match[0].strip()[:120]}”"


def is_label(tag: str, is_own: Callable[[str], bool]) -> bool:
    """Whether a tag names something: few words, the first of which commands nothing that the change does not do."""
    words = re.split(r"[-_\s]+", tag)
    if len(words) > 5 or (len(words) > 3 and _SMALL.intersection(word.lower() for word in words)):
        return False
    return len(words) < 3 or words[0].lower() not in _COMMANDING or is_own(words[0])


def unseating(text: str, *, is_loose: bool = False) -> str | None:
    """The first thing in `text` that unseats a reader's rules, whatever the change says."""
    return next(unseats(text, is_loose=is_loose), None)


def _is_allowed(kind: Kind, match: re.Match[str], is_own: Callable[[str], bool]) -> bool:
    named = match.re.groupindex
    groups = [match[name] for name in kind.unless] + ([match["verb2"]] if "verb2" in named else [])
    said = [group for group in groups if group]
    return bool(said) and all(is_own(group) for group in said)
