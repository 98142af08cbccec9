"""Recognises commands and shell texts that only read, and change nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence

READERS = frozenset(
    {"[", "cat", "cmp", "df", "du", "false", "findmnt", "getent", "grep", "head", "id", "ls", "lsblk", "md5sum", "nproc"}
    | {"readlink", "realpath", "sha256sum", "stat", "tail", "test", "true", "uname", "uptime", "wc"}
)
"""Programs that only read, whatever options they get. They leave no process behind that could write to their output later.

Programs that list processes, such as ps, are left out, because their output would contain Drillbook's own shell.
"""

READING_WORDS = {"systemctl": frozenset({"is-active", "is-enabled", "is-failed", "list-units", "show", "status"})}
"""Programs that only read if they have a certain first argument. Each program has a set of such arguments."""

# Possessive quantifiers: with others, the time to refuse a text grows exponentially with its number of variables.
_VARIABLE = re.compile(r"\$(?:\w++|\{\w++\})")
_WORD = re.compile(rf"""(?:[\w./:=@%+,^*?\[\]~-]|'[^']*+'|"(?:[^"\\`$]|{_VARIABLE.pattern})*+"|{_VARIABLE.pattern})++""")
_REDIRECTION = r"[12]?>[ \t]*/dev/null|2>&1"
_PART = re.compile(
    rf" *(?:(?P<between>&&|\|\|?|;)|(?:(?P<aside>{_REDIRECTION}|!(?= ))|(?P<word>{_WORD.pattern}))(?=$|[ ;|&>]))", re.ASCII
)


_SHELL = re.compile(r"/proc|/dev/(?:fd|std)|PPID|OLDPWD")
"""Texts that may lead a script to the process of its own shell, such as ``/proc`` or ``PPID``."""


def script_reads(text: str) -> bool:
    """Return True when each command in the shell text is known to only read.

    The text may contain quotes, variables, `&&`, `||`, `|`, `;`, `!` and redirections to /dev/null. Any other syntax may
    write, or start processes that stay.
    """
    if _SHELL.search(text):
        return False
    commands: list[list[str]] = [[]]
    at = 0
    while at < len(text.rstrip()):
        part = _PART.match(text, at)
        if part is None:
            return False
        at = part.end()
        if part["between"]:
            commands.append([])
        elif part["word"]:
            commands[-1].append(part["word"])
    return all(map(command_reads, commands))


def command_reads(words: Sequence[str]) -> bool:
    """Return True when the command ``words`` is known to only read."""
    program, word = (*words, "", "")[:2]
    return program in READERS or word in READING_WORDS.get(program, ())
