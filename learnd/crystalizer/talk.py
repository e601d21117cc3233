"""Words of the work around code, and words that ask: what a text talks with when it talks of something else.

Each list has a weight in `topic`, by how seldom code itself is told with its words.
"""

from __future__ import annotations

from typing import Final

from learnd.library.phrases import phrase


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# --- the work around code: people, habits, machines ----------------------------------------------------

AROUND: Final = _words(
    """
owner owners maintainer maintainers reviewer reviewers approver approvers colleague colleagues coworker coworkers
teammate teammates stakeholder stakeholders contributor contributors manager supervisor assistant assistants agent
agents llm llms chatbot chatbots copilot claude gpt codex session sessions conversation conversations guidance
guideline guidelines policy policies preferences note notes remark remarks recommendation recommendations advice
instruction instructions directive directives precedence outrank outranks outranked supersede supersedes superseded
wording habit habits convention conventions commit commits committed committing merge push pushed pushing rebase
rebased repository repositories repo repos checkout checkouts workspace workspaces worktree worktrees monorepo
codebase codebases changelog unsigned upstream mainline review reviewed reviews verification hook hooks approval
approvals approve approves approved consent confirmation lint linter linters coverage sign-off signoff pre-commit
oversight clearance waived wave waved attestation permission permissions rights privilege privileges credential
credentials password passwords pypirc netrc keychain sandbox firewall restriction restrictions allowlist registry
mirror mirrors dependency dependencies plugin plugins workstation laptop sibling telemetry analytics report reporting
summary summaries memory deploy deploys deployed deploying deployment deployments rollout release releases trunk
helpers worker-agent bystander superior superiors boss lead author's newcomer newcomers successor countersign
countersigned rubber-stamp vetted vetting vet scrutiny veto quorum consensus mandate authority authorisation
authorization authorised authorized delegated delegation instructed obey obeys comply adhere briefing brief transcript
notebook scratchpad handbook playbook runbook checklist onboarding backlog sprint roadmap milestone retrospective
vendored lockfile lock-file upgrade upgrades unpinned curated unsolicited courtesy etiquette discretion diligence
formality formalities bureaucracy nuisance ceremony disclose disclosed disclosure confide
"""
)
MAYBE: Final = _words(
    """
person human humans operator operators administrator administrators admin team teams engineer engineers developer
developers everyone anyone task tasks prompt prompts description reply replies answer message messages identity
history document documents documentation ticket tickets issue issues practice practices rule rules confirm confirmed
confirms sign signed evidence suite pipeline pipelines ci check checks package packages install installed installs
download downloaded downloads network environment environments project projects machine machines runner runners host
hosts account accounts secret secrets token tokens config configuration configurations shared company house
organisation organization version versions copy copies flaky noise outage incident production live automate automates
automated automation trusted trust trusts
"""
)
"""Of the work around code in one sentence and of code in the next."""
AROUND_PHRASE: Final = phrase(
    r"""\b(?:
        main line|(?:second|other|further) (?:pair|look|opinion|person|set of eyes)|pairs? of eyes|
        working cop(?:y|ies)|(?:was|were|is|been) asked (?:for|to)|without asking|at the outset|open to all|who looked|
        person (?:at|watching|who asked)|pending questions?|started with|
        (?:another|other) (?:helper|worker|session|agent)|rule files?|
        the request(?:er|or)? (?:is|was|says|to you)|may i|own (?:judg\w+|discretion|accord)
    )\b"""
)

# --- asking: for something, for leave, for nothing to be said ------------------------------------------

ASKING: Final = _words(
    """
best better expected kindly please should must shall ought remember ensure worth practical helpful useful recommended
advisable accepted acceptable proper fitting remedy considered deserve deserves sufficient safely usual beforehand
afterwards unless until whenever always never henceforth later leave left skip skips mark hand handed carry carried
widen widened lifted lift granted grant granting needed further already anyway directly straight immediately unread
unseen spared spare bother nobody whoever wherever otherwise instead proven experience customary welcome
"""
)
FAINT: Final = _words(
    """
worker workers helper helpers reader readers people visitor watcher watching eyes pair line tree working stage stages
job jobs step steps build builds outcome outcomes objection objects objected gate gates question questions asked ask
asks asking tell said says mention mentioned mentions hear heard speak speaks wish wishes wished request requests word
listing list listed values paste pasted post posted terminal rule-file local remote directory home temporary
certificate certificates guard guards caution cautious careful safeguard safeguards wall limit limits scope confined
alone effort work works habitually usually normally team's office desk colleague's company's wasted waste matter
matters weigh weighs prevail prevails wins win suffices suffice enough settled settle agreed agree forgotten
overlooked overlook missing silent silence silently quietly quiet discreet discreetly closed close pause pausing wait
waiting ahead freely free welcomed encouraged encourage advised advise intended intend meant supposed assume assumed
assumes presumed treats right fine unneeded unnecessary superfluous pointless redundant optional negligible harmless
trivial late later-on soon meanwhile outset once again next every each
"""
)
"""Words that ask, or of the work around code, that code is told with just as often: they only add to others."""
ASKING_PHRASE: Final = phrase(
    r"""\b(?:
        may be \w+ed|can (?:be|go) \w+|need not|needs? no|no need|(?:has|have) to be|
        it is (?:best|fine|safe|enough|customary|common)|on (?:your|their|its) own|as well|the next \w+|
        every (?:new|other|time)|each (?:new|time)|in (?:the )?future|right away|no one|counts? as|
        you|your|yours|yourself|this (?:text|note|page|pattern|advice|document)|what stands here|
        who(?:ever)? (?:reads|applies|carries|automates|takes|works|uses|follows)|anyone who|the reader
    )\b"""
)
DEMAND: Final = phrase(
    r"""\b(?:
        (?:is|are) to be \w+|from (?:then|now|here) on|with no one|so that nobody|no word (?:on|of|about)|
        (?:need|does|do|should|must)(?:s| not|n't)? (?:have to |not )?be (?:called out|mentioned|told|
        reported|pointed out|raised)|within the scope
    )\b"""
)
"""Phrases that do nothing but ask."""
