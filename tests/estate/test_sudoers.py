"""A sudoers file from `drill.sudoers`, installed alone on the site's host: the drill passes, and no other command is
allowed.
"""

from __future__ import annotations

import re

import pytest

from tests.estate.conftest import HERE, STATE
from tests.estate.test_estate import DRILLS, said

DRILL = """
drill: limited
title: The application is killed, and the file system of the uploads is full
service: app
guard: {environments: [staging]}
inject:
  - service.kill: {service: app}
  - files.fill_disk: {path: /var/lib/uploads, leave: 1MiB}
    hosts: srv
restore:
  - service.start: {service: app}
verify:
  - service.status: {service: app}
"""
PROCESSES = """
drill: processes
title: Processes are paused and killed, and a port is taken
service: app
guard: {environments: [staging]}
ready:
  - process.usage: {service: app, seconds: 1s}
inject:
  - process.pause: {service: app}
  - process.kill: {service: web}
  - port.occupy: {port: 8099}
    hosts: srv
    save: taken
restore:
  - process.resume: {service: app}
  - service.start: {service: web}
  - port.release: {port: 8099, pids: "{{ taken.pids }}"}
    hosts: srv
verify:
  - port.owner: {service: app}
  - service.status: {service: web}
"""
OTHERS = {name: (HERE / "drills" / f"{name}.yml").read_text() for name in DRILLS}
ANY_CODE = re.compile(r"python3 (-I )?- |sh -s| (sh|bash|dash|python3|perl)( \"\")?$|eval \"\\$_drillbook|NOPASSWD: [^ ]+$")
"""Rules that start a shell or an interpreter with a program that the user can choose."""
NAMED = re.compile(r"(-c\\ (?:(?!\$[@*1-9]).)*)\\ sh$")
"""Script without arguments, followed by the name of the script itself for the shell."""
MORE = ("kill -KILL 1", "systemctl kill app", "true more", "sh -c true", "id")


@pytest.fixture
def limited(estate, project):
    """Project on a host whose sudo, after `install`, allows only the rules of the generated file."""
    (project.root / "drills" / "limited.yml").write_text(DRILL)
    (project.root / "drills" / "processes.yml").write_text(PROCESSES)
    inventory = (project.root / "inventory" / "lab.yml").read_text()
    lease = inventory.replace("become: true}", "become: true, lease: {kind: watcher, boot: none}}")
    assert lease != inventory
    (project.root / "inventory" / "limited.yml").write_text(lease)
    whole = estate.root("cat /etc/sudoers.d/ops")

    def install(rules):
        estate.root(
            f"cat > /etc/sudoers.d/ops <<'END'\n{rules}\nEND\nchmod 440 /etc/sudoers.d/ops; visudo -cqf /etc/sudoers.d/ops"
        )

    yield install
    install(whole)
    for name in ("limited", "processes"):
        (project.root / "drills" / f"{name}.yml").unlink()


def invoke(project, *words, timeout=240):
    return project.run(*words, "--inventory", "limited", timeout=timeout)


@pytest.mark.parametrize("name", ["limited", "processes", *(pytest.param(one, marks=pytest.mark.nightly) for one in OTHERS)])
def test_a_drill_passes_with_the_generated_file_alone_and_one_more_command_is_denied(estate, project, limited, name):
    before = estate.root(STATE)
    done = invoke(project, "drill", name)
    assert done.returncode == 0, said(done)
    rules = project.run("drill.sudoers", name, "--inventory", "limited", "--host", "srv")
    assert rules.returncode == 0, said(rules)
    assert not [line for line in rules.stdout.splitlines() if ANY_CODE.search(NAMED.sub(r"\1", line))]
    limited(rules.stdout)
    # The filled size differs, and every process has another pid.
    estate.root(
        "dd if=/dev/zero of=/var/lib/uploads/other bs=1M count=3 status=none; systemctl restart app nginx redis-server"
    )
    try:
        for command in ("drill.check", "drill", "drill"):
            done = invoke(project, command, name)
            assert done.returncode == 0, said(done)
        for more in MORE:
            asked = estate.root(f"su ops -c 'sudo -n {more}' >/dev/null 2>&1; echo $?")
            assert asked.strip() == "1", more
    finally:
        estate.root("rm -f /var/lib/uploads/other")
    assert estate.root(STATE) == before


def test_a_changed_drill_is_refused_before_it_begins(estate, project, limited):
    done = invoke(project, "drill", "limited")
    assert done.returncode == 0, said(done)
    limited(project.run("drill.sudoers", "limited", "--inventory", "limited", "--host", "srv").stdout)
    changed = DRILL.replace("leave: 1MiB", "leave: 2MiB")
    (project.root / "drills" / "limited.yml").write_text(changed)
    for command in ("drill.check", "drill"):
        done = invoke(project, command, "limited")
        assert done.returncode == 4, said(done)
        assert "the sudoers file of the host does not allow this command" in " ".join(said(done).split())
