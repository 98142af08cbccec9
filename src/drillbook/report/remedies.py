"""First instruction of a remedy, for places with little room."""

from __future__ import annotations

import re

SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z`])")
CONDITIONS = ("If ", "To ", "When ")
STATEMENT = re.compile(
    r"(?:A|All|An|Either|For|If|In|It|No|Nobody|Otherwise|That|The|These|They|This|To|Users|When|While),*(?: |$)"
)
"""Pattern of the first words of sentences. A sentence whose first word matches is no instruction: it is a statement, or it
begins with a condition."""
GENERAL = ("objective-not-verified", "not-ready", "allowed-failure", "aborted")
"""Codes of findings whose remedies contain no instruction to follow first. These remedies only refer to problems or reasons
that the report gives elsewhere.
"""

CLOSED_BY = {
    "removed-data-missing": "let the drill also restore the data that is newer than the backup, for example from an archived log",
}
"""Instructions that must be followed in addition to the remedy: without them, a repetition of the drill may have the same
finding again. The key of each entry is the code of the finding. For other codes, it is enough to follow the remedy.
"""


def before_repeat(code: str, instruction: str) -> str:
    """Return a text to append to the ``instruction`` of a finding with ``code``. The text tells what else must be done, so
    that a repetition of the drill closes the finding.

    The result is empty if nothing else is needed. It is also empty if the instruction begins with `Compare`, because the
    cause is then still unknown.
    """
    closing = closed_by(code, instruction)
    return f". To close the finding, {closing}" if closing else ""


def closed_by(code: str, instruction: str) -> str:
    """Return the text of ``before_repeat`` as an instruction with a small first letter, without its introduction."""
    return "" if instruction.casefold().startswith("compare ") else CLOSED_BY.get(code, "")


def first_instruction(code: str, remedy: str) -> str:
    """Return the first instruction in ``remedy``, the remedy of a finding with ``code``, without its full stop.

    An instruction is a sentence that begins with a verb. If the second sentence is the instruction, the result is both
    sentences, because the second refers to the first. Without an instruction, the result is the first sentence if it is a
    condition, such as "If ...". In all other cases, and for the codes in ``GENERAL``, the result is empty.
    """
    if code in GENERAL:
        return ""
    sentences = SENTENCE_END.split(remedy.strip())
    at = next((number for number, text in enumerate(sentences) if _instructs(text)), None)
    if at is None:
        return sentences[0].rstrip(".") if sentences[0].startswith(CONDITIONS) else ""
    return " ".join(sentences[0 if at == 1 else at : at + 1]).rstrip(".")


def _instructs(sentence: str) -> bool:
    """Return True if a sentence of a remedy begins with a verb, as instructions do."""
    return sentence[:1].isupper() and not STATEMENT.match(sentence)
