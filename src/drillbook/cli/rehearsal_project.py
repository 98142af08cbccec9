"""Generates the files of a new project that rehearses a team's own backups. The inventory and the drill are made
from a few answers of the user.

The general templates are in ``templates/rehearsal``. The templates for each kind of system are in the packages of the systems;
see ``sdk.rehearsal``.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from string import Template
from typing import Any

from rich.text import Text

from drillbook.cli.console import console
from drillbook.errors import UsageError
from drillbook.report.terminal.prose import Prose
from drillbook.sdk import discovery, rehearsal
from drillbook.sdk.rehearsal import Rehearsal

CONTROLLER = "controller"
"""Answer to the question for a host. It means the machine on which Drillbook runs."""
_HOST = re.compile(
    r"(?:(?P<user>[A-Za-z0-9._-]+)@)?(?P<address>[A-Za-z0-9._-]+|\[[0-9a-fA-F:]+\])(?::(?P<port>[0-9]{1,5}))?"
)
_TEMPLATES = {
    "inventory/rehearsal.yml": "inventory.txt",
    "drills/rehearse.yml": "drill.txt",  # no entry of the catalogue has this name
}
_SHARED = ("tasks.py", ".gitignore", ".drillbook/.gitignore")
"""Files that every new project has."""
_QUESTIONS = {
    "host": "Host where the backups are ([USER@]ADDRESS[:PORT], or controller for this machine)",
    "at": "Place of the backups on this host",
    "sandbox": "Host where the backups are restored, in the same form; never use a production server",
    "database": "Name of the database",
}


@dataclass(frozen=True, slots=True)
class Answers:
    """The user's answers about the team's backups.

    For each empty answer, the inventory contains a word in capitals, which the user must replace.
    """

    kind: str
    """Kind of system, such as ``postgres``: the name of a template."""
    host: str = ""
    """[USER@]ADDRESS[:PORT] of the host where the backups are, or ``controller``."""
    at: str = ""
    """Place of the backups. Depending on the kind, this is a path on the host, a URL such as s3://bucket/prefix/, a
    stanza or a repository.
    """
    sandbox: str = ""
    """Host of the sandbox, in the same form as ``host``. Backups are restored on this host."""
    database: str = ""
    """Name of the database. It is empty for kinds of systems without named databases."""


def answered(kind: str, **given: str) -> Answers | None:
    """Return the user's answers about backups of ``kind``, or None when ``kind`` is empty. ``given``: answers from
    options on the command line. The user is asked for missing answers.

    Raises UsageError for an unknown kind. Also raises UsageError when ``kind`` is empty but ``given`` contains an
    answer, because every answer needs a kind.
    """
    if kind:
        return asked(Answers(kind, **given))
    useless = [f"--{name}" for name, value in given.items() if value]
    if useless:
        raise UsageError(
            f"{useless[0]} can be used only together with --rehearse",
            hint=f"add --rehearse with {' or '.join(rehearsal.names())}",
        )
    return None


def kind_asked(read: Callable[[str], str] = input) -> str:
    """Ask at the terminal for the kind of system whose backups are to be rehearsed. Repeat the question until the
    answer is a known kind or empty.

    Returns an empty text after an empty answer, and when there is no terminal. The new project then gets a first drill on
    the lab.
    """
    if not sys.stdin.isatty():
        return ""
    out = console()
    said = (
        "This makes a new project. Press Enter for a project with a first drill on the lab. For a project that "
        f"rehearses your own backups, type the kind of the backups: {', '.join(rehearsal.names())}."
    )
    out.print(Prose(Text(said)))
    while True:
        out.print("kind, or Enter: ", end="", markup=False)
        try:
            kind = read("").strip()
        except EOFError:
            return ""
        if kind in ("", *rehearsal.names()):
            return kind
        out.print(
            f"there is no kind of backup {kind!r}. {rehearsal.suggested(kind, rehearsal.names())}",
            markup=False,
            soft_wrap=True,
        )


def asked(answers: Answers, read: Callable[[str], str] = input) -> Answers:
    """Ask for the missing answers if there is a terminal. Repeat a question until the answer has the right form or is empty.
    After an empty line, the answer stays missing.

    Raises UsageError for an unknown kind.
    """
    kind = _kind(answers.kind)
    if not sys.stdin.isatty():
        return answers
    out = console()
    for name, question in _questions(kind).items():
        if getattr(answers, name):
            continue
        example = f" (such as {kind.at})" if name == "at" else ""
        while True:
            out.print(f"{question}{example}: ", end="", markup=False, soft_wrap=True)
            try:
                given = replace(answers, **{name: read("").strip()})
                _known(name, given, kind)
            except EOFError:
                return answers
            except UsageError as error:
                out.print(Prose(Text(str(error))))
                continue
            answers = given
            break
    return answers


def _known(name: str, answers: Answers, kind: Rehearsal) -> None:
    """Raise UsageError when the answer ``name`` has the wrong form."""
    given = getattr(answers, name)
    if name == "at":
        _known_place(answers, kind)
    elif name in ("host", "sandbox") and given not in ("", CONTROLLER):
        address_parts(given)


def contents(answers: Answers, program: str, shared: Mapping[str, str]) -> dict[str, str]:
    """Return the content of each file of a rehearsal project. Each key is the path of a file. Raises UsageError when an
    answer has the wrong form.

    ``shared``: files of an ordinary new project. Some of these files are used here too.
    """
    kind = _kind(answers.kind)
    values = _values(answers, kind) | {"program": program}
    folder = files("drillbook.cli").joinpath("templates", "rehearsal")
    made = {path: _filled(folder.joinpath(name).read_text(encoding="utf-8"), values) for path, name in _TEMPLATES.items()}
    kept = {name: text for name, text in shared.items() if name in _SHARED or name.endswith((".schema.json", ".gitkeep"))}
    return made | kept


def blanks(answers: Answers) -> list[str]:
    """Return the placeholders, such as `BACKUPS_HOST`, that the inventory contains in place of missing answers."""
    kind = _kind(answers.kind)
    return [_blank(name) for name in _questions(kind) if not getattr(answers, name)]


def remark(answers: Answers) -> str:
    """Return a sentence for a user whose sandbox is on the host of the backups. The result is empty for two hosts."""
    if not (answers.host and answers.sandbox and _same_host(answers.host, answers.sandbox)):
        return ""
    return (
        "The backups are restored on the host that has them. This is safe for them: the sandbox is a private folder with limits of "
        "memory and disk, and its programs have no network. Only a server on which customers depend should not carry this load."
    )


def _questions(kind: Rehearsal) -> dict[str, str]:
    """Return the questions that the user must answer for a rehearsal of ``kind``. The key of each question is the name of the
    answer.
    """
    asked_for = {"host", "at", "sandbox", *(["database"] if kind.database else [])}
    questions = {name: text for name, text in _QUESTIONS.items() if name in asked_for}
    return questions | ({"at": kind.question} if kind.question else {})


def _blank(name: str) -> str:
    return {"host": "BACKUPS_HOST", "at": "PLACE", "sandbox": "SANDBOX_HOST", "database": "DATABASE"}[name]


def _kind(name: str) -> Rehearsal:
    if name not in rehearsal.names():
        hint = f"{rehearsal.suggested(name, rehearsal.names())}choose one of {', '.join(rehearsal.names())}"
        raise UsageError(f"backups of the kind {name!r} cannot be rehearsed", hint=discovery.hint(hint))
    return rehearsal.of(name)


def _values(answers: Answers, kind: Rehearsal) -> dict[str, str]:
    _known_place(answers, kind)
    places = {"at": answers.at or _blank("at"), "database": answers.database or _blank("database")}
    quoted = {name: json.dumps(value, ensure_ascii=False) for name, value in places.items()}
    quoted["unless_root"] = "" if _is_root(answers.sandbox) else "#"
    hosts = _hosts(answers)
    source_host, sandbox_host = next(iter(hosts)), list(hosts)[-1]
    return {
        "hosts": "".join(f"\n  {line}" for line in hosts.values()),
        "source": kind.source,
        "service": kind.service,
        "source_host": source_host,
        "sandbox_host": sandbox_host,
        "leave": ", data_may_leave: true" if sandbox_host == CONTROLLER else "",
        "service_fields": _indented(_filled(kind.copy, quoted), 4),
        "source_fields": _indented(_filled(kind.backups, quoted), 4),
        "verify": _indented(kind.verify, 2),
        "title": f" of {answers.database}" if answers.database and answers.database.isidentifier() else "",
    }


def _known_place(answers: Answers, kind: Rehearsal) -> None:
    """Raise UsageError when the place of the backups, as the user named it, cannot be written into the inventory. A place
    is refused if its form does not suit this kind of backup. A path is also refused if it begins with `~`, because neither
    the user's shell nor the host replaced the `~` by a home folder.
    """
    place = answers.at
    if place.startswith("~") and kind.is_path:
        if answers.host == CONTROLLER:
            hint = f"write {json.dumps(os.path.expanduser(place))}, if that is the folder on this machine"  # noqa: PTH111
        else:
            hint = "write the whole path on that host, such as /home/backup/dumps; `echo ~` shows the home folder there"
        raise UsageError(f"the place of the backups {place!r} begins with `~`, which is not expanded on the host", hint=hint)
    wrong, hint = kind.wrong_place(place) if place else ("", "")
    if wrong:
        raise UsageError(wrong, hint=hint)


def _hosts(answers: Answers) -> dict[str, str]:
    """Return the lines of the inventory for the host of the backups and for the sandbox host, in this order. The key of
    each line is the name of the host. If the user gave the same host for both, there is only one line.
    """
    source, sandbox = answers.host or _blank("host"), answers.sandbox or _blank("sandbox")
    if _same_host(source, sandbox):
        name = _host_name(source, "backups-1")
        return {name: _host_line(name, source, "the backups are on this host, and are restored into a sandbox on it")}
    source_name, sandbox_name = _host_name(source, "backups-1"), _host_name(sandbox, "spare-1")
    remark = "the backups are restored on this host; it has the database programs, and no data of its own"
    return {
        source_name: _host_line(source_name, source, "the backups are on this host; it is only read"),
        sandbox_name: _host_line(sandbox_name, sandbox, remark),
    }


def _same_host(source: str, sandbox: str) -> bool:
    """Return True when ``source`` and ``sandbox`` mean the same user on the same host. Raises UsageError for an invalid
    address.
    """
    if CONTROLLER in (source, sandbox):
        return source == sandbox
    first, second = address_parts(source), address_parts(sandbox)
    return first | {"address": first["address"].lower()} == second | {"address": second["address"].lower()}


def _is_root(answer: str) -> bool:
    """Return True when Drillbook runs commands as root on the host in ``answer``. Database servers refuse to run as root."""
    return os.geteuid() == 0 if answer == CONTROLLER else answer.startswith("root@")


def _host_name(answer: str, name: str) -> str:
    return CONTROLLER if answer == CONTROLLER else name


def _host_line(name: str, answer: str, remark: str) -> str:
    """Return the line for the host ``name`` in the inventory, with ``remark`` as a comment. Raises UsageError for an
    invalid address.
    """
    if name == CONTROLLER:
        return f"{name}: {{local: true}}  # this machine: {remark}"
    parts = {key: json.dumps(value) if key == "address" else value for key, value in address_parts(answer).items()}
    return f"{name}: {{{', '.join(f'{key}: {value}' for key, value in parts.items())}}}  # {remark}"


def address_parts(answer: str) -> dict[str, Any]:
    """Split an answer of the form [USER@]ADDRESS[:PORT]. The result holds `address`, and also `user` and `port` if the
    answer contains them. Raises UsageError for an answer of another form.
    """
    match = _HOST.fullmatch(answer)
    if match is None or (match["port"] and not 0 < int(match["port"]) < 65536):
        raise UsageError(f"{answer!r} is not an address", hint="write [USER@]ADDRESS[:PORT], such as backup@db1.example.org")
    parts = {
        "address": match["address"].strip("[]"),
        "port": int(match["port"]) if match["port"] else None,
        "user": match["user"],
    }
    return {key: value for key, value in parts.items() if value}


def _filled(text: str, values: Mapping[str, str]) -> str:
    return Template(text).substitute(values)


def _indented(text: str, spaces: int) -> str:
    """Put a line break before each line of ``text``, and indent the line by ``spaces``. In a commented line, the spaces
    are inserted after the ``#``.
    """
    lines = [f"#{' ' * spaces}{line[1:]}" if line.startswith("#") else f"{' ' * spaces}{line}" for line in text.splitlines()]
    return "".join(f"\n{line}" for line in lines)
