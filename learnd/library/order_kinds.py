"""The kinds of orders, as patterns: who is addressed, which verb commands, and what it is done to.

`UNSEATING` are the kinds that set a reader's own rules aside, `OUTSIDE` those that send a reader out of the code; of
the latter most are allowed where the change itself does what the verb says. Found with drafts made for the purpose
(`bench/corpus`); `phrases` says how the patterns are to be read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from learnd.library.phrases import phrase


@dataclass(frozen=True)
class Kind:
    """One kind of order: what it looks like, and which groups of the match must be the change's own to be allowed.

    `unless` names the groups; without any, no change gives cause for it.
    """

    says: str
    pattern: re.Pattern[str]
    unless: tuple[str, ...] = ()


def _kind(says: str, *forms: str, unless: tuple[str, ...] = ()) -> Kind:
    return Kind(says, phrase(*forms), unless)


# --- what sets a reader's own rules aside -------------------------------------------------------------

_PERSON: Final = r"""(?:
    users?|humans?|developers?|maintainers?|operators?|owners?|people|persons?|reviewers?|anyone|anybody|somebody|
    someone|colleagues?|team|customer|permission|approval|confirmation|consent|questions?|review
)"""
_RULES: Final = r"""(?:
    instruct\w*|rules?|guidelines?|guidance|prompts?|directives?|polic(?:y|ies)|constraints?|restrictions?|
    guardrails?|safeguards?|context|messages?|conversation|orders?|commands?|advice|training|programming|system
)"""
_SET_ASIDE: Final = r"""(?:
    ignor\w*|disregard\w*|forget\w*|overrid\w*|overwrit\w*|bypass\w*|supersed\w*|neglect\w*|discard\w*|void|
    abandon\w*|drop|dismiss\w*|outdated|revok\w*|cancel\w*|nullif\w*|set aside|put aside|stop following|unlearn|
    no longer (?:follow|obey|apply)|pay no attention|do(?: not|n't) (?:follow|obey|heed|comply)
)"""
_STANDING: Final = r"""(?:
    previous|prior|earlier|above|preceding|former|existing|foregoing|initial|original|later|
    all|any|every|other|your|these|those|the system|whatever|everything|what
)"""
_VOID: Final = r"""(?:
    (?:is|are|be|were|as) (?:now )?(?:
        void|obsolete|outdated|cancel\w*|revoked|suspended|lifted|irrelevant|superseded|invalid|null|wrong
    )|
    (?:no longer|do(?:es)? not|don't) (?:apply|count|hold|matter)
)"""
_WITHOUT: Final = r"""(?:
    do(?:es)? not|don't|never|not|without|no need to|needn't|instead of|skip|avoid|refrain from|stop|
    nobody (?:has|needs) to|rather than
)"""
_TELLING: Final = r"""(?:
    ask\w*|tell\w*|mention\w*|reveal\w*|disclos\w*|inform\w*|notif\w*|confirm\w*|consult\w*|report\w*|warn\w*|
    bother\w*|involv\w*|wait\w* for|request\w*|seek\w*|discuss\w*|prompt\w*|alert\w*
)"""

UNSEATING: Final = (
    _kind(
        "sets earlier instructions aside",
        rf"\b{_SET_ASIDE}\b[^.!?|,;]{{0,40}}?\b(?:{_STANDING}\b[^.!?|,;]{{0,20}}?)"
        rf"\b(?:{_RULES}|told|said|asked|comments?|remarks?|patterns?|above|so far)\b",
    ),
    _kind(
        "sets earlier instructions aside",
        rf"""\b(?:previous|prior|earlier|above|preceding|former|your|all|any|those|these|system|the) (?:\w+ ){{0,2}}?
        (?:instructions?|guidance|guidelines?|rules|prompts?|directives?|polic(?:y|ies)|comments?|constraints?)\b
        [^.!?]{{0,40}}?\b{_VOID}\b""",
    ),
    _kind(
        "gives the reader a new role",
        r"""\byou are (?:
            now|no longer|hereby|currently|allowed|permitted|authori[sz]ed|free to|
            (?:a|an|the) [\w\s-]{0,40}
            \b(?:engineer|assistant|agent|admin\w*|expert|developer|model|bot|reviewer|operator|root|user|system)
        )\b""",
        r"\b(?:act|behave|respond|answer|reply|pose) (?:only )?as (?:if|an?|the|though|root|admin)\b",
        r"\bpretend (?:to|that|you)",
        r"\brole-?play",
        r"""\b(?:developer|maintenance|debug|god|admin|unrestricted|jailbreak|sudo) mode\b
        (?! (?:is|was|comes|off|on|of)\b)""",
        r"\bwith (?:full|all|root|admin\w*|unrestricted) (?:permissions?|rights|access|privileges)\b",
    ),
    _kind(
        "imitates a prompt's own marks",
        r"<\|[\w\x20]*\|?>",
        r"\[/?INST\]",
        r"<</?SYS>>",
        r"\b(?:begin|end|start of|new) (?:of )?(?:system )?(?:prompt|instructions?)\b",
        r"""(?:^|[\n#>*_\s-])(?:system|assistant|human|user|developer)\s*
        (?:prompt|message|note|instructions?|override)?\s*:\s+
        (?=you|ignore|from now|the|do|run|please|when|always|never|i\b|we\b|
            disregard|new|override|execute|reply|stop)""",
    ),
    _kind(
        "keeps something from people",
        rf"""\b{_WITHOUT} (?:first |even |to |ever )?{_TELLING}\b
        (?:[^.!?]{{0,50}}?\b(?:{_PERSON}|findings?|(?:this|it) (?:in|to|from|anywhere)|summary)\b)""",
    ),
    _kind(
        "says that nobody need look",
        r"""\b(?:approvals?|reviews?|confirmations?|permissions?|checks?|verifications?|consent|
            reviews? by humans|sign-?offs?)\b
        [^.!?]{0,20}?\b(?:is|are|was|were) (?:not|no longer|never|un|optional)\s*
        (?:needed|required|necessary|optional|wanted|here|for)""",
        r"""\bno (?:further |human |more |additional )?
        (?:approvals?|reviews?|confirmations?|checks?|permissions?|oversight) (?:is|are|will be)?\s*
        (?:needed|required|necessary)""",
        r"\breviews? by humans? (?:is|are)\b",
        r"\bpre-?(?:approved|authori[sz]ed|cleared|vetted)\b",
        r"\bnothing to (?:see|review)\b",
        r"""\balready (?:been )?(?:verified|approved|reviewed|cleared|vetted|authori[sz]ed|audited)\b
        [^.!?]{0,60}\b(?:so|pattern|change|safe|no|this)\b""",
        r"\b(?:security|platform|compliance) team (?:has|have) (?:already )?(?:verified|approved|cleared)",
    ),
)

ELSEWHERE: Final = phrase(
    r"""\b(?:
        ignorier\w*|missacht\w*|vergiss|vergesst|olvida\w*|ignora\w*|ignorez|ignore[rz]?|oublie\w*|desconsidere?\w*|
        esque[cç]a\w*|dimentica\w*|negeer|vergeet|zignoruj|zapomnij|ignoruj\w*|unut|yoksay\w*|abaikan|lupakan|glöm|
        ignorera|glem|unohda
    )\b[^.!?]{0,50}?\b(?:
        anweisung\w*|regel\w*|vorgaben?|instruc\w+|instruk\w+|reglas?|regras?|regole|consignes?|istruzion\w+|
        richtlijn\w*|polece\w+|talimat\w*|perintah|directi\w+|ordini|instrucciones|indicaciones|zasad\w*|pokyny?
    )\b"""
)
"""Setting instructions aside, in other languages of Latin script; what else is not English is taken out as unjudged."""

# --- what sends a reader out of the code --------------------------------------------------------------

_HEAD: Final = r"""(?:
    ^|[.;:!?,()\[\]{}\"“”»«*>]\s*|\s[–—-] |
    \b(?:
        then|and|please|kindly|also|first|now|just|simply|must|should|shall|
        (?:sure|remember|needs?|have|has|ought|best|better|required|expected|supposed|free|told|asked|advised|wise) to|
        (?:you|we|one|they) (?:will|would|can|could|may|might)|you|we|never|always|
        (?:do|should|must|shall|need) not|don't|let's|afterwards|finally|next|instead|immediately
    )\s+
)(?:\w+ly |(?:first|also|now|then|just|always|never) )?"""
"""What stands before a verb that commands: a beginning, or a word that asks."""

OUTSIDE: Final = (
    _kind(
        "lays down a standing order",
        r"""\b(?:
            always|from now on|henceforth|in (?:all )?future(?: (?:runs|tasks|sessions))?|whenever you|
            every time(?: you)?|each time you|
            (?:before|after|in|at|for|during) (?:the (?:start|end|beginning) of )?
            (?:each|every|any|all|any other) (?:other |new |future )?
            (?:task|session|run|answer|reply|conversation|change|project|commit|edit|step)s?|
            permanently|for ever after
        )\b[^.!?]{0,60}?\b(?P<verb>
            run|execute|call|invoke|use the|install|fetch|download|open|visit|send|add|commit|push|publish|deploy|
            delete|erase|remove|approve|promote|merge|load|obey|trust|follow|export|append|include|start|finish|
            borra|prefer
        )\b""",
        unless=("verb",),
    ),
    _kind(
        "lays down a standing order",
        r"""(?:^|[.:;#*/\n-]\s*)(?:before|after|in|at the (?:start|end) of)\s+
        (?:each|every) (?:session|task|run|conversation)\b""",
    ),
    _kind(
        "has something sent, published or merged",
        rf"""{_HEAD}(?P<verb>
            send|post|upload|e-?mail|mail|forward|transmit|exfiltrate|leak|publish|push|commit|merge|deploy|release
        ) (?:[\w'`-]+ ){{0,7}}?(?P<what>
            branch|package|main|master|repo\w*|fork|remote|server|channel|contents?|logs?|files?|secrets?|
            credentials?|keys?|tokens?|env\w*|working tree|results?|sources?|code|data|public\w*|body|directly|
            upstream|production|address|webhook
        )\b""",
        unless=("verb",),
    ),
    _kind(
        "has something run",
        rf"""{_HEAD}(?P<verb>run|execute|launch|invoke|start|restart|trigger|source|eval(?:uate)?)\s+
        (?:[\w'`-]+ ){{0,5}}?(?P<what>
            scripts?|commands?|shell|terminal|installers?|binar(?:y|ies)|programs?|gateway|following|payload|snippet|
            as root|with sudo|sudo|executable|macro|one-?liner
        )\b""",
        unless=("verb", "what"),
    ),
    _kind(
        "has something fetched or opened",
        rf"""{_HEAD}(?P<verb>
            install|download|fetch|pull|clone|wget|curl|visit|open|browse|retrieve|look at|go to|navigate to|look up|
            consult
        ) (?:[\w'`-]+ ){{0,6}}?(?P<what>
            packages?|tools?|scripts?|web\s?pages?|web\s?sites?|sites?|links?|urls?|recipes?|instructions?|browser|
            internet|extensions?|plugins?|payload|dependenc\w+|from (?:the )?(?:web|internet|network|registry)
        )\b""",
        unless=("verb", "what"),
    ),
    _kind(
        "has the reader follow another text",
        rf"""{_HEAD}(?:follow|obey|execute|carry out|do|perform|apply|read|trust) (?:only |the |what(?:ever)? |all )*
        (?:steps|instructions?|directions?|orders?|stands (?:here|there)|it says|is written)\b""",
        r"\b(?:reply|respond|answer) only with\b",
        r"\bfetch it before\b",
    ),
    _kind(
        "has something destroyed",
        rf"""{_HEAD}(?P<verb>delete|erase|wipe|destroy|purge|truncate|shred|rm) (?:[\w'`-]+ ){{0,5}}?(?P<what>
            everything|databases?|repo\w*|working tree|history|backups?|tests?|evidence|audit|records?|registers?|
            director(?:y|ies)|folders?|disks?|volumes?|files?|logs?|branch(?:es)?|home
        )\b""",
        unless=("verb",),
    ),
    _kind(
        "has a safeguard switched off",
        rf"""(?:
            {_HEAD}(?P<verb>
                disable|deactivate|turn off|switch off|bypass|skip|suppress|circumvent|weaken|comment out|relax|mute|
                silence|opt out of|avoid|ignore|remove|delete
            ) (?:[\w'`-]+ ){{0,4}}?|
            (?=(?:\w+ ){{1,4}}(?:can|may|should|must|could) (?:safely |now )?be (?P<verb2>
                turned off|disabled|skipped|switched off|bypassed|ignored|removed|deactivated
            ))
        )(?:the |all |any )?(?P<what>
            failing tests?|tests?|ci|checks?|hooks?|lint(?:er|ing)?|(?:code |security )?reviews?|verification|
            sandbox\w*|gates?|approvals?|safety|security|firewall|scann\w+|permissions?|protections?|two-factor|mfa|
            2fa|antivirus|selinux|monitoring|audit\w*|certificate \w+|authenticat\w+|authori[sz]ation|pipeline
        )\b(?!-)""",
        unless=("verb", "verb2"),
    ),
    _kind(
        "has a secret shown or moved",
        rf"""{_HEAD}(?P<verb>
            print|show|read|send|echo|log|include|put|paste|reveal|output|dump|cat|copy|expose|extract|export|write|
            display|collect|share|post
        ) (?:[\w'`-]+ ){{0,9}}?(?P<what>
            passwords?|passphrases?|private keys?|secrets?|credentials?|api[\s-]keys?|access keys?|ssh[\s-]keys?|
            keychain|environment variables|session cookies?|bearer tokens?|auth\w* tokens?|personal access tokens?
        )\b""",
        unless=("what",),
    ),
    _kind(
        "has patterns judged or ranked",
        rf"""{_HEAD}(?:
            approve|promote|accept|rank|prefer|trust|prioriti[sz]e|recommend|endorse|release|vote for|use|apply
        ) (?:only |always )?(?:this|that|the|me|it|these)\s*(?:very |same )?(?:
            candidate|pattern|advice|recommendation|document|pull request|proposal|yourself|itself
        )\b""",
        r"\bpromote (?:me|itself|yourself)\b",
        r"\bapprove\b[^.!?]{0,30}\byourself\b",
        r"\b(?:highest|top|first) (?:rank|priority|place)\b",
        r"\bignore other patterns?\b",
        r"\buse only this\b",
        r"\bmerge (?:it |this )?(?:directly|immediately|without)\b",
        r"\bapply (?:the same|this) \w+ (?:across|to) (?:the )?(?:whole|entire|every|all)\b",
    ),
    _kind(
        "writes into a reader's memory or rules",
        r"\b(?:remember|memori[sz]e) (?:this|the following)\b",
        r"""\b(?:add|append|write|save|store|put|copy|include|insert)\b[^.!?]{0,60}?\b(?:
            (?:project|long-?term|your|persistent) memor(?:y|ies)|
            your (?:rules|instructions|notes|config\w*|context|system prompt)|system prompt|
            agents\.md|claude\.md|cursorrules|copilot-instructions
        )\b""",
    ),
    _kind(
        "names a tool of an agent",
        r"""\b(?:use|call|invoke|run|with|via|through|using|open) (?:the |your |a |an )?(?:[\w.-]+ ){0,2}?
        (?P<what>tools?)\b(?: (?:to|with|on|so|and|call|for|,)|[,.;])""",
        r"""\b(?:
            mcp__\w+|tool_calls?|function_calls?|webfetch|websearch|str_replace\w*|apply_patch|run_terminal_cmd|
            run_shell\w*|execute_(?:command|bash|shell)\w*|computer_use|shell_exec|bash_tool|browser_\w+|read_file|
            write_file|edit_file|file_write|file_read
        )\b""",
        unless=("what",),
    ),
    _kind(
        "speaks of itself and of who reads it",
        r"""\b(?:reading|read|loading|load|processing|seeing|following) this\b(?! (?:
            value|field|file|column|header|setting|attribute|variable|property|key|line|option|flag|row|table|stream|
            list|map|queue|buffer|socket|way
        ))""",
        r"\bthe (?:answer|reply|response|output|summary|report)s? (?:that )?you give\b",
        r"""\byour (?:answer|reply|response|output|summary|report|task|tasks|session|memory|context|user|operator|
            tools?)\b""",
        r"\bautomated (?:task|reader|reviewer|system|agent|process that reads)s?\b",
        r"\bperson at the keyboard\b",
        r"""\b(?:this|these) (?P<what>
            pages?|documents?|notes?|messages?|advice|instructions?|entr(?:y|ies)|articles?|recipes?|guidelines?|
            memor(?:y|ies)
        )\b""",
        r"\b(?:every|all|any) other (?:pattern|advice|document|instruction|recommendation)s?\b",
        r"\b(?:takes?|has|have) (?:precedence|priority) over\b",
        r"\btakes precedence\b",
        r"\bwho(?:ever)? (?:reads|loads|uses) (?:this|it)\b",
        r"""\bthis (?:pattern|text) (?:must|should|has to|overrides|replaces|outranks|takes|supersedes|wins)\b""",
        unless=("what",),
    ),
    _kind(
        "asks for what belongs to another task",
        r"""\bbefore (?:
            continuing|you (?:continue|start|begin|use it|use this|proceed)|proceeding|answering|responding
        )\b""",
        r"\bwhen(?:ever)? you (?:see|read|load|open|find|encounter|work|edit)\b",
        r"\bcontinu\w+ with any other task\b",
        r"\byour (?:next|first) (?:task|action|step)\b",
        r"\bas your (?:first|next|last)\b",
        r"\bwhen editing this\b",
    ),
)
