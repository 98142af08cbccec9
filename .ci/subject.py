"""Checks the subject of a commit message: `part: imperative`, at most 72 characters.

The commit-msg hook of pre-commit calls it with the file of the message. Exit 1, with the reason, for another subject.
Subjects that Git itself writes, such as those of merges, pass.
"""

import re
import sys
from pathlib import Path

MOST = 72
FORM = re.compile(r"(?P<part>[\w.*-][\w./*-]*(?:,? [\w./*-]+){0,3}): (?P<verb>[a-z][\w-]*)(?: .+)?")
OF_GIT = re.compile(r'(?:Merge|Revert|Reapply|fixup!|squash!|amend!) ?["\w]')
IMPERATIVES = {"bring", "embed", "exceed", "feed", "need", "proceed", "seed", "speed", "string", "swing"}
"""Imperatives that end as a participle does."""


def problem(message: str) -> str:
    """Return what is wrong with the subject of a message. The result is empty when it is right."""
    subject = next((line for line in message.splitlines() if not line.startswith("#")), "").rstrip()
    if OF_GIT.match(subject):
        return ""
    if len(subject) > MOST:
        return f"the subject has {len(subject)} characters, {len(subject) - MOST} too many"
    form = FORM.fullmatch(subject)
    if not form:
        return "the subject is not `part: imperative`, such as `engine: ask hosts for readiness in parallel`"
    if subject.endswith("."):
        return "the subject ends with a full stop"
    verb = form["verb"]
    if re.search(r"(?:ed|ing|[^su]s)$", verb) and verb not in IMPERATIVES:
        return f"{verb!r} is no imperative: say what the commit does to the code, such as `add`, not `adds` or `added`"
    return ""


if __name__ == "__main__":
    if said := problem(Path(sys.argv[1]).read_text(encoding="utf-8")):
        sys.exit(f"commit message: {said}")
