"""Host requirements of actions: declared for every action, and complete for the commands in recorded runs."""

import json
from pathlib import Path

import pytest

from drillbook.sdk import host_needs
from drillbook.sdk.action import Place, find, known_names
from drillbook.sdk.host_needs import BASE, BySudo

ROOT = Path(__file__).parents[2]
CUSTOM = ("command.", "ansible.", "diagnosis.", "backup.", "content.", "docker.exec")
"""Actions whose commands depend on a drill, a tree or the kind of a backup."""
JOURNALS = sorted((ROOT / "tests" / "golden").rglob("journal.jsonl"))


@pytest.mark.parametrize("name", known_names())
def test_every_action_declares_its_needs(name):
    needs = host_needs.of(name)
    assert needs is not None
    assert needs.programs or needs.rights or needs.ports
    assert not needs.programs & (set(BASE) - {"sh", "dd"})
    if find(name).PLACE is Place.HOSTS and not name.startswith(CUSTOM):
        assert needs.rights


@pytest.mark.parametrize("name", known_names())
def test_the_rights_say_what_the_action_starts_by_sudo(name):
    """The page documents the questions that the check before the drill asks sudo."""
    needs = host_needs.of(name)
    assert ("`run_as`" in needs.rights) is (BySudo.RUN_AS in needs.by_sudo)
    assert ("`manager: {sudo: true}`" in needs.rights) is bool(needs.by_sudo & (BySudo.UNIT | BySudo.ROOT))


def programs(argv):
    """Programs of a command, without wrappers that only start another program."""
    words = list(argv)
    while words:
        name = Path(words[0]).name
        if name not in ("sudo", "env", "nice"):
            return {name}
        words = words[1:]
        while words and (words[0].startswith("-") or "=" in words[0]):
            words = words[2:] if words[0] == "-u" else words[1:]
    return set()


def ran(path):
    """Action and program of each command in a journal."""
    actions = {}
    for line in path.read_text(errors="replace").splitlines():
        event = json.loads(line)
        if event["kind"] == "step.started":
            actions[event["step"]] = event["data"]["action"]
        elif "argv" in event["data"] and event.get("step") in actions:
            for program in programs(event["data"]["argv"]):
                yield actions[event["step"]], program


def test_recorded_runs_executed_nothing_that_is_not_declared():
    found = {pair for path in JOURNALS for pair in ran(path) if not pair[0].startswith(CUSTOM)}
    known = set(known_names())
    checked = {(action, program) for action, program in found if action in known}
    assert checked
    assert {pair for pair in checked if pair[1] not in {*BASE} | host_needs.of(pair[0]).programs} == set()
