"""Host patterns as in Ansible, with one difference: a pattern that matches nothing is reported."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from drillbook.errors import PlanError
from drillbook.inventory.inventory import Inventory
from drillbook.language.patterns import PatternError, expand
from tests.needs import need

HOSTS = ["app-1", "app-2", "db-1", "db-2", "db-3", "spare", "web1.example.com", "web2.example.com"]
GROUPS = {
    "app": ["app-1", "app-2"],
    "db": ["db-1", "db-2", "db-3"],
    "web": ["web1.example.com", "web2.example.com"],
    "old": ["db-3", "app-2"],
    "db_all": ["db-1", "spare"],
}
GOOD = {
    "all": HOSTS,
    "*": HOSTS,
    "db": ["db-1", "db-2", "db-3"],
    "db:!db-2": ["db-1", "db-3"],
    "app[0]": ["app-1"],
    "db[0:1]": ["db-1", "db-2"],
    "db[1:]": ["db-2", "db-3"],
    "db[-1]": ["db-3"],
    "web*": ["web1.example.com", "web2.example.com"],
    "db:&old": ["db-3"],
    "app,db[0]": ["app-1", "app-2", "db-1"],
    "all:!db:!web": ["app-1", "app-2", "spare"],
    "!db": ["app-1", "app-2", "spare", "web1.example.com", "web2.example.com"],
    "&old": ["app-2", "db-3"],
    "~db-[12]": ["db-1", "db-2"],
    "~(app|spare).*": ["app-1", "app-2", "spare"],
    "db-?": ["db-1", "db-2", "db-3"],
    "app:db:&old:!db-3": ["app-2"],
    "web[12]*": ["web1.example.com", "web2.example.com"],
    "spare": ["spare"],
    "db*": ["db-1", "db-2", "db-3", "spare"],
    "old[0]": ["db-3"],
    "*.example.com": ["web1.example.com", "web2.example.com"],
}


@pytest.mark.parametrize("pattern", GOOD)
def test_a_pattern(pattern):
    assert sorted(expand(pattern, HOSTS, GROUPS)) == GOOD[pattern]


def test_the_same_as_ansible(tmp_path):
    """`ansible PATTERN --list-hosts` uses the same code as a play."""
    beside = Path(sys.executable).with_name("ansible")
    tool = str(beside) if beside.exists() else need("ansible")
    lines = [*HOSTS, *(line for name, members in GROUPS.items() for line in (f"[{name}]", *members))]
    (tmp_path / "hosts").write_text("\n".join(lines) + "\n")
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}
    for pattern in ("db:!db-2", "app[0]", "db[0:1]", "old[0]", "db*", "app:db:&old:!db-3", "~db-[12]", "web[12]*"):
        done = subprocess.run(
            [tool, pattern, "-i", "hosts", "--list-hosts"],
            capture_output=True,
            text=True,
            env=env,
            cwd=tmp_path,
            timeout=60,
            check=True,
        )
        assert sorted(done.stdout.split("\n", 1)[1].split()) == GOOD[pattern], json.dumps([pattern, done.stdout])


@pytest.mark.parametrize(
    ("pattern", "message", "hint"),
    [
        ("dbs", "there is no host or group 'dbs' in the inventory", "did you mean 'db'? hosts: app-1"),
        ("db:!db-22", "there is no host or group 'db-22' in the inventory", "did you mean 'db-2'?"),
        ("db:&dbs", "there is no host or group 'dbs' in the inventory", "did you mean 'db'?"),
        ("db:!db", "the pattern 'db:!db' selects no host", "groups: app, db"),
        ("app[7]", "the index in 'app[7]' is too large: the number of hosts in 'app' is 2", "the first host is app[0]"),
        ("app[-3]", "the index in 'app[-3]' is too large", ""),
        ("app[2:3]", "the index in 'app[2:3]' is too large", ""),
        ("~[", "'~[' is not a regular expression", "without the ~"),
        ("", "`hosts` names no host", ""),
        ("x[", "'x[' is not a host pattern", "write a pattern such as"),
        ([], "`hosts` names no host", ""),
    ],
)
def test_what_matches_nothing_is_told(pattern, message, hint):
    with pytest.raises(PatternError) as caught:
        expand(pattern, HOSTS, GROUPS)
    assert str(caught.value).startswith(message)
    assert hint in caught.value.hint


def test_the_inventory_expands_patterns_in_its_own_order():
    found = Inventory(environment="lab", hosts={name: {} for name in HOSTS}, groups=GROUPS)
    assert found.expand(["spare", "db:!db-2"]) == ("db-1", "db-3", "spare")
    assert found.expand(["controller", "app[0]"]) == ("app-1", "controller")
    assert found.expand("all") == tuple(HOSTS)
    assert found.expand(["db-1", "db-2", "!db-2"]) == ("db-1",)
    assert found.expand(("db", "controller", "!db-2")) == ("db-1", "db-3", "controller")
    with pytest.raises(PlanError, match="selects no host"):
        found.expand(["db-2", "!db-2"])
    with pytest.raises(PlanError, match="names no host"):
        found.expand([])
