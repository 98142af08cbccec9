"""Problems that would end a drill later are reported before: `drill.check` fails, and the drill itself is refused and
changes nothing.
"""

import re
import shutil

import pytest

from tests.systemd.test_become import DRILL
from tests.systemd.test_become import site as site
from tests.systemd.test_debian import project as project

ALL = "ops ALL=(ALL) NOPASSWD: ALL\n"
STOP = DRILL.partition("  - files.replace")[0] + "  - service.stop: {service: it}\n" + DRILL[DRILL.index("restore:") :]
DIGEST = DRILL + "  - files.digest: {path: /etc/site/site.conf}\n    hosts: far\n"
READ = DRILL + "  - command.run: {argv: [cat, site.conf], effect: read, cwd: /etc/site}\n    hosts: far\n"


def refused(folder, *words):
    """Assert that check and drill refuse with the same reason, and change nothing."""
    for command in ("drill.check", "drill"):
        done = folder.invoke(command, "site", check=False)
        said = " ".join((done.stdout + done.stderr).split())
        assert done.returncode == 4, said
        for word in words:
            assert word in said, (command, said)
    assert folder.whole()
    assert folder.machine.left() == ""


def wrong_tries(site):
    """Numbers of wrong passwords that each command gave to sudo, from the journal of the machine."""
    said = site.machine.root("journalctl --quiet --no-pager")
    return [int(number) for number in re.findall(r"(\d+) incorrect password attempts?", said)]


@pytest.fixture
def ruled(site):
    """Function that installs sudo rules for the user `ops`."""

    def install(rules):
        site.machine.root(f"cat > /etc/sudoers.d/ops <<'END'\n{rules}END\nchmod 440 /etc/sudoers.d/ops; visudo -cq")

    yield install
    install(ALL)


NOT_ALLOWED = "would not be started as root: the sudoers file of the host does not allow this command"


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        (f"{ALL}ops ALL=(ALL) !/usr/bin/systemctl stop steady\n", f"`systemctl stop steady` {NOT_ALLOWED}"),
        (f"{ALL}ops ALL=(ALL) !/usr/bin/sh -c unit*steady*\n", NOT_ALLOWED),
        (f"{ALL}ops ALL=(ALL) PASSWD: /usr/bin/systemctl stop steady\n", "sudo asks for a password"),
        ("ops ALL=(ALL) NOPASSWD: /usr/bin/true\n", "was not started as root"),
        ("ops ALL=(root) NOPASSWD: ALL\n", ""),
    ],
    ids=["fault", "undo", "password", "checks", "all"],
)
def test_each_later_command_is_asked_for(site, ruled, rules, words):
    ruled(rules)
    if not words:
        assert site.invoke("drill.check", "site").returncode == 0
        return
    refused(site, words)


def test_a_service_manager_with_sudo_is_asked_too(site, ruled):
    site.as_user("ops", "    manager: {sudo: true}")
    (site.root / "drills" / "site.yml").write_text(STOP)
    site.invoke("drill.check", "site")
    ruled(f"{ALL}ops ALL=(ALL) !/usr/bin/systemctl start steady\n")
    refused(site, f"`systemctl start steady` {NOT_ALLOWED}")


def test_commands_of_the_last_passed_run_are_asked_for(site, ruled):
    (site.root / "drills" / "site.yml").write_text(READ)
    site.invoke("drill", "site")
    ruled(f"{ALL}ops ALL=(ALL) !/usr/bin/sh * cat site.conf\n")
    refused(site, NOT_ALLOWED, "drill.sudoers site")


def test_commands_that_are_known_only_when_they_start_are_refused(site, ruled):
    """The file by `drill.sudoers` suffices for a controller without any report; a list of unknown origin does not."""
    (site.root / "drills" / "site.yml").write_text(DIGEST)
    site.as_user("ops", "    become: true\n    lease: {kind: watcher, boot: none}")
    site.invoke("drill", "site")
    rules = site.invoke("drill.sudoers", "site").stdout
    shutil.rmtree(site.root / "reports")
    ruled(rules)
    for command in ("drill.check", "drill"):
        site.invoke(command, "site")
    shutil.rmtree(site.root / "reports")
    ruled("".join(f"{line}\n" for line in rules.splitlines() if "drillbook-plan-" not in line))
    refused(site, "the commands of files.digest are known only when they start", "drill.sudoers site")


def test_a_user_without_any_privilege_is_told_by_systemd(site):
    site.as_user("ops", "")
    (site.root / "drills" / "site.yml").write_text(STOP)
    refused(site, "steady cannot be started or stopped: systemd lets only root start and stop units", "become: true")


@pytest.mark.long(100)
def test_a_password_is_asked_for_later_commands_too(site, ruled, monkeypatch):
    site.machine.root("echo 'ops:correct horse' | chpasswd")
    monkeypatch.setenv("SUDO_PASSWORD", "correct horse")
    site.as_user("ops", "    become: {password: !env SUDO_PASSWORD}")
    try:
        ruled("ops ALL=(ALL) ALL\n")
        site.invoke("drill.check", "site")
        ruled("ops ALL=(ALL) ALL, !/usr/bin/sh * systemctl stop steady\n")
        refused(site, f"`systemctl stop steady` {NOT_ALLOWED}")
        (site.root / "drills" / "site.yml").write_text(
            DRILL.replace("inject:", "ready:\n  - service.status: {service: it}\ninject:", 1)
        )
        ruled("ops ALL=(ALL) ALL\nops ALL=(ALL) NOPASSWD: /usr/bin/id\n")  # then sudo lists the rules without a password
        monkeypatch.setenv("SUDO_PASSWORD", "wrong horse")
        before = len(wrong_tries(site))
        refused(site, "incorrect password")
        assert wrong_tries(site)[before:] == [1, 1], "an account that is locked after several wrong passwords stays open"
    finally:
        site.machine.root("usermod -p '*' ops")


@pytest.mark.parametrize(
    ("user", "become", "words"),
    [
        ("app", "    become: true", "was not started as root"),
        ("ops", "    become: nobody-there", "unknown user nobody-there"),
        ("ops", "    become: {user: nobody}\n    lease: {boot: cron}", "lease"),
    ],
    ids=["no right", "no account", "no lease"],
)
def test_an_account_that_cannot_be_used(site, user, become, words):
    site.as_user(user, become)
    if "lease" in become:
        site.machine.root("chmod 755 /etc/site; chown -R nobody /etc/site")
        (site.root / "drills" / "site.yml").write_text(DRILL.replace("  - service.stop: {service: it}\n", ""))
    refused(site, words)


@pytest.mark.parametrize(
    ("was", "now", "words"),
    [
        ("path: /etc/site/site.conf", "path: /etc/site/other.conf", "/etc/site/other.conf is not a file"),
        (
            "{service: it}\nverify",
            "{service: it}\n  - command.run: {argv: [no-such], effect: write}\n    hosts: far\nverify",
            "no-such",
        ),
    ],
    ids=["path", "tool"],
)
def test_a_path_and_a_tool_that_are_missing(site, was, now, words):
    assert was in DRILL
    (site.root / "drills" / "site.yml").write_text(DRILL.replace(was, now))
    refused(site, words)


@pytest.mark.parametrize(
    ("was", "now", "words"),
    [
        ("unit: postgresql@17-main", "unit: postgresql", "set `unit` of the service to postgresql@17-main"),
        ("user: ops", "user: app", "would not be started as postgres: a password is required"),
        ("/usr/lib/postgresql/17/bin", "/usr/lib/postgresql/16/bin", "/usr/lib/postgresql/16/bin"),
        ("/var/lib/postgresql/17/main", "/var/lib/postgresql/17/other", "/var/lib/postgresql/17/other"),
    ],
    ids=["unit", "account", "tool", "path"],
)
def test_what_postgresql_lacks(debian, project, was, now, words):
    folder = project()
    inventory = folder.root / "inventory" / "lab.yml"
    assert was in inventory.read_text()
    inventory.write_text(inventory.read_text().replace(was, now))
    for command in ("drill.check", "drill"):
        done = folder.run(command, "lost", timeout=120)
        said = " ".join((done.stdout + done.stderr).split())
        assert (done.returncode, words in said) == (4, True), said
    assert debian.root("systemctl is-active postgresql@17-main").strip() == "active"
