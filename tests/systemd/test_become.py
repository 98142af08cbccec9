"""Files and units that only root may change, in drills by an account with sudo: the key `become`, with a real sudo."""

import json
import signal

import pytest

from drillbook.errors import CommandTimedOut, PrivilegeRefused
from drillbook.hosts.privileged import PrivilegedHost
from drillbook.sdk.become import Become
from drillbook.sdk.host import CAPTURE_LIMIT, Deadline, ManagerConfig
from drillbook.values import Secret
from tests.e2e.controllers import PROGRAM
from tests.systemd.conftest import PATIENCE, until
from tests.systemd.test_drill import program

CONF = "/etc/site/site.conf"
INVENTORY = """
environment: lab
hosts:
  far:
    address: 127.0.0.1
    port: {port}
    user: {user}
    identity: {identity}
    known_hosts: {known_hosts}
{become}
services:
  it: {{kind: http, host: far, url: "http://127.0.0.1:1", unit: steady}}
"""
DRILL = """
drill: site
title: The configuration of the site is broken, and its unit is stopped
service: it
guard:
  environments: [lab]
  lease: 10s
inject:
  - files.replace: {path: /etc/site/site.conf, content: "broken;\\n"}
    hosts: far
  - service.stop: {service: it}
restore:
  - service.start: {service: it}
verify:
  - service.status: {service: it}
"""


@pytest.fixture
def site(machine, tmp_path):
    """Project with the drill, and a machine with a folder that only root may enter."""
    machine.root(f"mkdir -p -m 700 /etc/site; echo 'right;' > {CONF}; chmod 600 {CONF}; systemctl start steady")
    yield Site(machine, tmp_path)
    machine.root("rm -rf /etc/site; userdel -f second 2>/dev/null; rm -f /etc/sudoers.d/second")


class Site:
    def __init__(self, machine, root):
        self.machine, self.root = machine, root
        for name in ("drills", "inventory"):
            (root / name).mkdir()
        (root / "drills" / "site.yml").write_text(DRILL)
        self.as_user("ops", "    become: true")

    def as_user(self, user, become):
        machine = self.machine
        (self.root / "inventory" / "lab.yml").write_text(
            INVENTORY.format(
                port=machine.port,
                user=user,
                identity=machine.client_key,
                known_hosts=machine.known_hosts,
                become=become,
            )
        )

    def invoke(self, *words, check=True):
        return program("-c", PROGRAM, *words, root=self.root, check=check)

    def events(self, kind):
        lines = next(iter(self.root.glob("reports/*/journal.jsonl"))).read_text().splitlines()
        return [event for event in map(json.loads, lines) if event["kind"] == kind]

    def whole(self):
        return self.machine.root(f"cat {CONF}; systemctl is-active steady || true").split() == ["right;", "active"]


def test_a_drill_changes_files_of_root_by_sudo_and_leaves_nothing(site):
    assert "far as root (sudo)" in " ".join(site.invoke("drill.plan", "site").stdout.split())
    site.invoke("drill.check", "site")
    site.invoke("drill", "site")
    assert {event["data"]["become"] for event in site.events("intent")} == {"root"}
    assert site.whole()
    assert site.machine.left() == ""


def test_without_sudo_the_check_refuses_and_says_which_account(site):
    site.as_user("app", "    become: true")
    said = site.invoke("drill.check", "site", check=False)
    assert said.returncode == 4
    assert "was not started as root" in " ".join((said.stdout + said.stderr).split())
    site.as_user("ops", "    become: nobody-there")
    said = site.invoke("drill.check", "site", check=False)
    assert said.returncode == 4
    assert "unknown user nobody-there" in " ".join((said.stdout + said.stderr).split())


def test_a_killed_controller_leaves_a_machine_that_puts_back_what_root_changed(site):
    ended = program(
        "-m", "tests.matrix.dying", "drills/site.yml", "fault.active", "inject.2", "1", root=site.root, check=False
    )
    assert ended.returncode == -signal.SIGKILL, ended.stdout + ended.stderr
    until(site.whole, "what the machine puts back by itself")
    site.invoke("drill.recover")
    assert site.whole()
    assert site.machine.left() == ""


def test_recovery_uses_the_account_of_the_intent(site):
    ended = program(
        "-m", "tests.matrix.dying", "drills/site.yml", "fault.active", "inject.2", "1", root=site.root, check=False
    )
    assert ended.returncode == -signal.SIGKILL, ended.stdout + ended.stderr
    site.invoke("drill.recover")
    assert site.whole()
    assert site.machine.left() == ""


def deadline():
    return Deadline.after(PATIENCE)


def test_a_privileged_host_keeps_environment_folder_and_input_of_a_command(site):
    host = PrivilegedHost(site.machine.host("ops"), Become())
    assert host.run(("id", "-un"), deadline=deadline()).text == "root"
    script = 'printf "%s:%s:" "$A" "$PWD"; cat'
    answer = host.run(("sh", "-c", script), deadline=deadline(), stdin=b"typed\n", env={"A": "it's\n$B"}, cwd="/etc/site")
    assert answer.stdout == b"it's\n$B:/etc/site:typed\n"
    assert host.run(("pwd",), deadline=deadline(), cwd="/missing").exit == 126
    assert host.run(("no-such-program",), deadline=deadline()).exit == 127
    assert host.run(("sh", "-c", "exit 1"), deadline=deadline()).exit == 1


def test_a_privileged_host_reads_and_writes_files_of_the_account(site):
    host = PrivilegedHost(site.machine.host("ops"), Become())
    host.put(b"new", "/etc/site/made", mode=0o640)
    assert host.get("/etc/site/made", limit=CAPTURE_LIMIT) == b"new"
    assert site.machine.root("stat -c '%U %a' /etc/site/made").split() == ["root", "640"]
    with pytest.raises(FileNotFoundError):
        host.get("/etc/site/missing")
    assert PrivilegedHost(site.machine.host("ops"), Become(user="app")).run(("id", "-un"), deadline=deadline()).text == "app"


@pytest.fixture
def password(site, monkeypatch):
    """The user `second`, for whom sudo requires a password."""
    site.machine.root(
        "useradd --create-home --shell /bin/bash second; echo 'second:correct horse' | chpasswd; "
        "mkdir -p -m 700 ~second/.ssh; cp /root/.ssh/authorized_keys ~second/.ssh/ 2>/dev/null; "
        "echo 'second ALL=(ALL) ALL' > /etc/sudoers.d/second"
    )
    monkeypatch.setenv("SUDO_PASSWORD", "correct horse")
    site.as_user("second", "    become: {password: !env SUDO_PASSWORD}")
    yield Become(password=Secret(source="env", name="SUDO_PASSWORD"))
    site.machine.root("pkill -u second; userdel -rf second; rm -f /etc/sudoers.d/second")


def test_a_password_reaches_sudo_by_standard_input_and_no_command_disk_or_journal(site, password):
    host = PrivilegedHost(site.machine.host("second", ManagerConfig()), password)
    answer = host.run(("sh", "-c", "id -un; cat; ps -ef"), deadline=deadline(), stdin=b"typed\n")
    assert answer.text.splitlines()[:2] == ["root", "typed"]
    assert "correct horse" not in answer.text
    assert host.run(("pwd",), deadline=deadline(), cwd="/etc/site").text == "/etc/site"
    with pytest.raises(CommandTimedOut, match="it was killed"):
        host.run(("sleep", "97531"), deadline=Deadline.after(1))
    assert "97531" not in site.machine.root("ps -ef")
    assert "as root (sudo with a password)" in " ".join(site.invoke("drill.plan", "site").stdout.split())
    site.invoke("drill", "site")
    assert site.whole()
    assert "correct horse" not in "".join(
        path.read_text(errors="replace") for path in site.root.rglob("*") if path.is_file()
    )
    assert site.machine.root("grep -rl 'correct horse' /etc /home /root /var /tmp /run 2>/dev/null; true") == ""
    assert site.machine.left() == ""


def test_a_wrong_password_is_told_by_the_check(site, password, monkeypatch):
    monkeypatch.setenv("SUDO_PASSWORD", "wrong horse")
    said = site.invoke("drill.check", "site", check=False)
    assert said.returncode == 4
    text = " ".join((said.stdout + said.stderr).split())
    assert "incorrect password" in text
    assert "SUDO_PASSWORD" in text
    assert "wrong horse" not in text


def test_where_sudo_asks_the_watcher_is_root_and_puts_back_without_a_password(site, password):
    ended = program(
        "-m", "tests.matrix.dying", "drills/site.yml", "fault.active", "inject.2", "1", root=site.root, check=False
    )
    assert ended.returncode == -signal.SIGKILL, ended.stdout + ended.stderr
    assert "correct horse" not in site.machine.root(
        "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\000' ' '; true"
    )
    assert site.machine.root("ls -d /var/tmp/drillbook-as-root/leases/* /var/lib/drillbook/leases/* 2>/dev/null; true")
    until(site.whole, "what the machine puts back by itself")
    site.invoke("drill.recover")
    assert site.whole()
    assert site.machine.left() == ""


def test_an_account_that_cannot_have_a_watcher_is_refused_before_the_injection(site, password):
    site.as_user("second", "    become: {user: nobody, password: !env SUDO_PASSWORD}\n    lease: {boot: cron}")
    site.machine.root(f"chmod 755 /etc/site; chown -R nobody {CONF} /etc/site")
    said = site.invoke("drill", "site", check=False)
    assert said.returncode == 4, said.stdout + said.stderr
    assert "no lease can be kept in /nonexistent" in said.stdout + said.stderr
    assert site.whole()


@pytest.mark.long(110)
def test_with_only_the_generated_sudoers_file_the_drill_passes_and_one_more_command_is_denied(site):
    site.as_user("ops", "    become: true\n    lease: {kind: watcher, boot: none}")
    refused = site.invoke("drill.sudoers", "site", check=False)
    assert refused.returncode == 4
    assert "no recorded run of site in lab executed a command by sudo on" in " ".join(
        (refused.stdout + refused.stderr).split()
    )
    site.invoke("drill", "site")
    recorded = site.invoke("drill.sudoers", "site", check=False)
    assert recorded.returncode == 0
    rules = recorded.stdout
    whole = site.machine.root("cat /etc/sudoers.d/ops")
    try:
        site.machine.root(f"cat > /etc/sudoers.d/ops <<'END'\n{rules}END\nchmod 440 /etc/sudoers.d/ops; visudo -cq")
        site.invoke("drill.check", "site")
        site.invoke("drill", "site")
        assert site.whole()
        assert site.machine.left() == ""
        host = PrivilegedHost(site.machine.host("ops"), Become())
        host.run(("true",), deadline=deadline()).check()
        for more in (("true", "more"), ("id",), ("cat", CONF), ("sh", "-c", "true")):
            with pytest.raises(PrivilegeRefused):
                host.run(more, deadline=deadline())
        ended = program(
            "-m", "tests.matrix.dying", "drills/site.yml", "fault.active", "inject.2", "1", root=site.root, check=False
        )
        assert ended.returncode == -signal.SIGKILL, ended.stdout + ended.stderr
        until(site.whole, "what the machine puts back by itself")
        site.invoke("drill.recover")
        assert site.machine.left() == ""
        (site.root / "drills" / "site.yml").write_text(DRILL.replace("site.conf,", "other.conf,"))
        site.machine.root("cp -p /etc/site/site.conf /etc/site/other.conf")
        assert site.invoke("drill", "site", check=False).returncode == 4, "a file more is a command more"
        assert site.whole()
    finally:
        site.machine.root(f"cat > /etc/sudoers.d/ops <<'END'\n{whole}END\nchmod 440 /etc/sudoers.d/ops")
