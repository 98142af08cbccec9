"""Makes rules for a sudoers file. They allow exactly the commands that runs recorded. sudoers(5) describes the syntax."""

from __future__ import annotations

import re
from collections.abc import Iterable

from drillbook.sdk import random_names, varying_arguments

RUN = re.compile(r"[0-9]{8}T[0-9]{6}\.[0-9]{3}Z-([a-z0-9-]+)-[0-9a-f]{4}")
"""Pattern that finds the id of a run in a command; see ``run_identity.new_run_id``. A sudo rule for this command allows the id
of every run of the same drill.
"""
TOKEN = re.compile(r"drillbook-[0-9a-f]{16}-")
"""Pattern that finds the token in a command; see ``shell.new_token``. Drillbook finds the processes of a command by the token
in their command lines, and kills them if necessary. The token is different in every run of a command, so a sudo rule for the
command must allow every token.
"""
BESIDE = re.compile(r"(?<=\.)[0-9a-f]{12}(?= |$)")
"""Pattern that finds the random end of the name of a temporary file in a command; see ``atomic.beside``. A sudo rule for this
command allows every such end.
"""
FRESH = re.compile(rf"(?<={re.escape(random_names.MARK)})[0-9a-f]{{4,20}}(?![0-9A-Za-z])")
"""Pattern that finds the random part of a name in a command; see ``random_names.fresh``. A sudo rule for this command allows
every such part. The pattern also finds the numbers of the device and the inode of a new folder, which ``host_programs.made_in``
writes in the same form.
"""
NAMED = re.compile(r"(?:(?<=\Adrillbook-)|(?<=[ \n]drillbook-))[0-9a-f]{8}(?:[0-9a-f]{4})?(?=(?:-(?:in|out))?(?:[ \n]|\Z))")
"""Pattern that finds the digest of a run's id in a command, if the digest is part of a name such as ``drillbook-0a1b2c3d``.
Packet filter rules and database sessions have such names. A sudo rule that allows the command allows any other digest at this
position, too, because each run has its own digest. The pattern matches only if the name is a whole argument of the command.

See ``network.fields.number_of`` and ``postgres.actions.faults.sessions``. Other names, such as the name of a folder or a
container, may also contain hexadecimal digits. The pattern does not match these digits. They are the same in every run, so
the sudo rule contains them unchanged.
"""
IN_PLACE = re.compile(r"(?<=\.drillbook\.)[0-9a-f]{8}(?=(?:\.kept)?(?:[/ \n]|\Z))")
"""Pattern that finds the digest of a run's id in the name of a folder in a command. A run creates a folder with this digest
in its name next to the data of a service, when it restores the data in place. A sudo rule for the command allows every
digest.
"""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Folders in which sudo looks for a program, as in `secure_path` of Debian."""
NO_ARGUMENTS = '""'
_DIGIT, _HEX, _SPACE = "[0-9]", "[0-9a-f]", r"[[\:space\:]]"
_SPECIAL = {
    "\\": r"\\\\",  # sudoers removes one level, fnmatch the other
    "\n": r"[[\:cntrl\:]]",
    "\t": "\\\t",
    " ": r"\ ",
    **{sign: f"\\{sign}" for sign in "*?[]:,=#"},
}


def certificate(digest: str) -> str:
    """Return a text that identifies a plan by its ``digest``. The sudoers file for the plan contains a rule that allows
    the program `true` with this text as its argument. This rule shows for which plan the sudoers file was made.
    """
    return f"drillbook-plan-{digest.rpartition(':')[2][:32]}"


def rule(user: str, account: str, program: str, argv: Iterable[str]) -> str:
    """Return the rule that lets ``user`` start ``program`` as ``account``, with exactly the arguments ``argv``.

    There is one exception: ids of runs and random parts of names differ from run to run. In place of each digit of an id or
    random part, the rule contains a class of characters, such as ``[0-9a-f]``. ``program`` is a path.
    """
    words = " ".join(argv)
    arguments = pattern(words) if words else NO_ARGUMENTS
    if words.endswith(" "):  # an empty last argument: sudoers allows no escaped space at the end of a line
        arguments = arguments.removesuffix(_SPECIAL[" "]) + _SPACE
    return f"{user} ALL=({account}) NOPASSWD: {program} {arguments}"


def every(user: str, account: str) -> str:
    """Return the rule that lets ``user`` start every command as ``account``, without a password."""
    return f"{user} ALL=({account}) NOPASSWD: ALL"


def allows_all(rules: str, account: str) -> bool:
    """Return True when ``rules`` allow every command as ``account``.

    ``rules``: the output of `sudo -l -l`, or the word `all`.
    """
    if rules.strip() == "all":
        return True
    if re.search(r"^\t!", rules, re.MULTILINE):
        return False
    entries = re.split(r"^Sudoers entry:.*$", rules, flags=re.MULTILINE)[1:]
    return any(
        (users := re.search(r"^ +RunAsUsers: (.*)$", entry, re.MULTILINE))
        and {"ALL", account} & set(users[1].split(", "))
        and re.search(r"^\tALL$", entry, re.MULTILINE)
        for entry in entries
    )


def pattern(words: str) -> str:
    """Return a pattern in the syntax of sudoers(5). It matches the arguments ``words`` of a command, joined by spaces."""
    allowed = dict.fromkeys((RUN, TOKEN, BESIDE, FRESH, NAMED, IN_PLACE))
    allowed |= {each.pattern: each.allowed for each in varying_arguments.declared()}
    parts, at = [], 0
    for match in sorted(
        [match for regex in allowed for match in regex.finditer(words)], key=lambda occurrence: occurrence.start()
    ):
        if match.start() < at:
            continue
        parts += [_literal(words[at : match.start()]), allowed[match.re] or _varying(match)]
        at = match.end()
    return "".join([*parts, _literal(words[at:])])


def _literal(text: str) -> str:
    return "".join(_SPECIAL.get(sign, sign) for sign in text)


def _varying(match: re.Match[str]) -> str:
    if match.re is RUN:
        return f"{8 * _DIGIT}T{6 * _DIGIT}.{3 * _DIGIT}Z-{match[1]}-{4 * _HEX}"
    if match.re is TOKEN:
        return f"drillbook-{16 * _HEX}-"
    return len(match[0]) * _HEX
