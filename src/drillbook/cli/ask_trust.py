"""The work of ``invoke trust``. It shows the project's code that read-only tasks execute, and asks whether the user
trusts this code.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from rich.console import Console
from rich.text import Text

from drillbook.cli.console import console, print_json, stdout
from drillbook.errors import PluginError, UsageError
from drillbook.exits import Exit
from drillbook.installation.program_name import program
from drillbook.project.project import Project
from drillbook.report.figures import count, one_line
from drillbook.sdk import discovery, plugin_check
from drillbook.signing import account
from drillbook.trust import plugins, trust_record
from drillbook.trust.items import Item
from drillbook.trust.plugins import Plugins
from drillbook.trust.trust_record import VARIABLE, Record, Unusable
from drillbook.trust.trust_state import Trust


def trust(project: Project, inventory: str = "", *, yes: bool = False, ask: bool = True, as_json: bool = False) -> int:
    """Show the project's code that read-only tasks execute, and record that it is trusted if the user confirms this.

    The user is asked twice: first about the plugins, then about the commands. The commands in a plugin's drills are
    known only after the plugin is imported, so the plugins come first. When ``yes`` is true, the user is not asked.
    When ``ask`` is false, the code is only shown.

    Returns 4 when the user does not confirm, and otherwise 0. Raises UsageError when nobody can be asked, Unusable when
    the record of trust cannot be used, and PluginError when a plugin cannot be used.
    """
    brought = plugins.read(project.root)
    if not brought.doubt:
        _check_plugins()
    if not as_json:
        _show_plugins(brought, console())
    if brought.doubt and ask:
        if not yes and not _agreed("may every task in this project import these plugins until one of their files changes?"):
            stdout().write("nothing was trusted\n")
            return Exit.REFUSED
        _trust_plugins(brought, None if as_json else console())
    code_trust = Trust(project, inventory)
    if as_json:
        value = _value(code_trust) | {"plugins": _plugins_value(brought)}
        print_json(value)
    else:
        _show(code_trust, console(), plugins_known=bool(brought.names or brought.skipped))
    if not ask or not code_trust.scan.items or (not code_trust.doubt and not yes):
        return Exit.OK
    if not yes and not _agreed("may read-only tasks execute these commands until one of the commands changes?"):
        stdout().write("nothing further was trusted\n" if brought.names else "nothing was trusted\n")
        return Exit.REFUSED
    path = trust_record.write(project.root, _record(code_trust), code_trust.outside)
    if not as_json:
        console().print(Text(f"✓ trusted; recorded in {path}", style="green"), soft_wrap=True)
    return Exit.OK


def revoke(project: Project, inventory: str = "") -> int:
    """Remove the record of trust in ``project``. Raises UsageError when the record cannot be removed."""
    gone = trust_record.remove(project.root, Trust(project, inventory).outside)
    gone = (not inventory and trust_record.remove(project.root, plugins.FOLDER)) or gone
    console().print("the trust in this project was removed" if gone else "this project was not trusted")
    return Exit.OK


def left_out(items: Sequence[Item], why: str, out: Console) -> None:
    """Print the untrusted ``items`` that a check skipped, each with its position. Also print the command that trusts them.
    ``why``: reason why the items are not trusted, which is printed too.
    """
    head = f"  ? left out: {count(len(items), 'command')} of the project, since {one_line(why)}"
    out.print(Text(head, style="bold yellow"), soft_wrap=True)
    for item in items:
        out.print(Text(f"    {told(item)}", style="yellow"), soft_wrap=True)
    out.print(Text(f"    read these commands, and trust them if they do no harm: {program()} trust"), soft_wrap=True)


def told(item: Item) -> str:
    """Describe ``item`` on one line. The text is not shortened, and its control characters are escaped."""
    return f"{one_line(item.where)}: {item.kind}: {one_line(item.text)}"


def _show(code_trust: Trust, out: Console, *, plugins_known: bool) -> None:
    """Print the commands that a check or diagnosis executes. ``plugins_known``: true when the project has plugins. The caller
    has already printed them.
    """
    scan = code_trust.scan
    for problem in scan.unread:
        out.print(
            Text(f"? this file cannot be used, and was not examined: {one_line(problem)}", style="yellow"), soft_wrap=True
        )
    if not scan.items:
        out.print(_no_command(unread=bool(scan.unread), plugins_known=plugins_known))
        return
    out.print(
        Text(
            f"a check or diagnosis in {code_trust.project.root} executes this code of the project ({count(len(scan.items), 'item')}):"
        ),
        soft_wrap=True,
    )
    before = _before(code_trust)
    for item in scan.items:
        mark, style = _mark(item, before)
        out.print(Text(f"{mark} {told(item)}", style=style), soft_wrap=True)
        for line in _details(item):
            out.print(Text(f"      {one_line(line)}", style="dim"), soft_wrap=True)
    for key in sorted(before.keys() - {_key(item) for item in scan.items}):
        out.print(Text(f"- gone: {one_line(before[key].get('text', key))}", style="red"), soft_wrap=True)
    _tell_standing(scan.digest, code_trust.doubt, out)


def _no_command(*, unread: bool, plugins_known: bool) -> str:
    """Return the sentence to print when no command was found. ``unread``: true when some files could not be examined."""
    if unread:
        return "no command was found in the files that could be examined"
    text = "read-only tasks execute no command of this project"
    return text if plugins_known else f"{text}: there is nothing to trust"


def _tell_standing(digest: str, doubt: str, out: Console) -> None:
    out.print(Text(f"digest {digest}"), soft_wrap=True)
    said = Text(f"not trusted: {one_line(doubt)}", style="yellow") if doubt else Text("✓ trusted", style="green")
    out.print(said, soft_wrap=True)


def _show_plugins(brought: Plugins, out: Console) -> None:
    if brought.skipped:
        out.print(Text(f"? not examined: {one_line(brought.skipped)}", style="yellow"), soft_wrap=True)
    if not brought.names:
        return
    out.print(
        Text(
            f"every task imports {count(len(brought.names), 'plugin')} of {brought.root}, {count(len(brought.files), 'file')}:"
        ),
        soft_wrap=True,
    )
    before = _plugins_before(brought)
    for path, held in brought.digests.items():
        mark = "•" if not before else "=" if before.get(path) == held else "~ changed:" if path in before else "+ new:"
        out.print(Text(f"{mark} {one_line(path)}  {held[:12]}", style="" if mark in "•=" else "bold yellow"), soft_wrap=True)
    for path in sorted(before.keys() - brought.files.keys()):
        out.print(Text(f"- gone: {one_line(path)}", style="red"), soft_wrap=True)
    _tell_standing(brought.digest, brought.doubt, out)
    for broken in discovery.broken():
        out.print(Text(f"? {one_line(broken)}", style="yellow"), soft_wrap=True)


def _plugins_before(brought: Plugins) -> dict[str, str]:
    try:
        kept = brought.record()
    except Unusable:
        return {}
    return {path: str(fields.get("digest", "")) for path, fields in kept.items.items()} if kept else {}


def _trust_plugins(brought: Plugins, out: Console | None) -> None:
    """Record the plugins as trusted, and import them."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    items = {path: {"text": path, "digest": held} for path, held in brought.digests.items()}
    path = trust_record.write(brought.root, Record(brought.digest, now, account.told(), items), plugins.FOLDER)
    if out is not None:
        out.print(Text(f"✓ the plugins are trusted; recorded in {path}", style="green"), soft_wrap=True)
    plugins.use(brought.root)
    _check_plugins()


def _check_plugins() -> None:
    """Import all modules of the project's plugins, and check what they declare.

    Raises PluginError for a mistake. When unusable plugins are skipped, the mistakes are listed with the plugins.
    """
    for system in discovery.systems():
        if system.package.startswith(f"{plugins.NAMESPACE}."):
            try:
                plugin_check.check(system)
            except PluginError as error:
                discovery.unused(error)


def _plugins_value(brought: Plugins) -> dict[str, object]:
    return {
        "names": brought.names,
        "digest": brought.digest,
        "trusted": not brought.doubt,
        "why": brought.doubt,
        "files": brought.digests,
        "links": [*brought.links],
    }


def _details(item: Item) -> list[str]:
    on = [f"{name + ': ' if name else ''}{place}" for name, places in item.on.items() for place in places]
    return [*(["on " + "; ".join(on)] if on else []), *(f"with the file {path}" for path in item.files)]


def _before(code_trust: Trust) -> Mapping[str, Mapping[str, str]]:
    try:
        return code_trust.record.items if code_trust.record else {}
    except Unusable:
        return {}


def _mark(item: Item, before: Mapping[str, Mapping[str, str]]) -> tuple[str, str]:
    """Return a mark for an item, and the style of the mark. The mark tells whether the item is new, changed or
    unchanged since the user last trusted the project. ``before``: the items that were trusted at that time. If the project
    was never trusted, all items have the same mark.
    """
    if not before:
        return "•", ""
    known = before.get(_key(item))
    return (
        ("+ new:", "bold yellow")
        if known is None
        else (("~ changed:", "bold yellow") if known.get("digest") != item.digest else ("=", ""))
    )


def _key(item: Item) -> str:
    return " ".join(item.key)


def _record(code_trust: Trust) -> Record:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    kept = {_key(item): {"text": told(item), "digest": item.digest} for item in code_trust.scan.items}
    return Record(code_trust.scan.digest, now, account.told(), kept)


def _value(code_trust: Trust) -> dict[str, object]:
    return {
        "schema": "drillbook/trusted/1",
        "project": str(code_trust.project.root),
        "digest": code_trust.scan.digest,
        "trusted": not code_trust.doubt,
        "why": code_trust.doubt,
        "unread": list(code_trust.scan.unread),
        "items": [
            {
                "where": item.where,
                "kind": item.kind,
                "text": item.text,
                "on": item.on,
                "files": item.files,
                "digest": item.digest,
            }
            for item in code_trust.scan.items
        ],
    }


def _agreed(question: str) -> bool:
    """Ask for confirmation. Raises UsageError when there is nobody to ask."""
    if not sys.stdin.isatty():
        raise UsageError(
            "trusting this project needs a confirmation, but there is no terminal to ask at",
            hint=(f"read the items above, then: {program()} trust --yes; in CI set {VARIABLE} to the digest"),
        )
    stdout().write(f"{question} [y/N] ")
    stdout().flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
