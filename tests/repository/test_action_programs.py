"""Programs in the scripts of actions: the page of needs lists each, for the actions of the module or of the system."""

import re
from pathlib import Path

import pytest

from drillbook.sdk import host_needs
from drillbook.sdk.action import find, known_names
from drillbook.sdk.host_needs import BASE, MANAGERS
from tests.repository.test_backup_programs import PACKAGE, SANDBOX, SOURCES, started

FUNCTIONS = re.compile(r"(?m)^\s*([a-z_]+) ?\(\) ?[{(]")
OTHERWISE = {
    "systems/docker/volumes.py": {"tar": "of the image, which the page of the action demands"},
    "systems/files/rights.py": {"getcap": "without it, no capabilities are looked for"},
    "systems/linux/fault_helper.py": {"not": "a word of a message"},
    "systems/linux/actions/net.py": {"timeout": "with bash, which is declared"},
    "systems/linux/actions/network/fields.py": {"timeout": "with bash; without both, the rules themselves are looked at"},
    "systems/postgres/cluster.py": {
        "pg_ctlcluster": "of Debian, beside pg_lsclusters",
        "pg_lsclusters": "only where it exists, on Debian",
    },
    "systems/postgres/command_line.py": {"pg_lsclusters": "only where it exists, on Debian"},
    "systems/linux/actions/network/faults/shaping.py": {
        "modprobe": "only where the host forbids the trial; without it the check is not green",
        "unshare": "tried by the check itself, which is not green without it",
    },
    "systems/redis/restore.py": {"sudo": "the rights tell it"},
    "sdk/backup_beginning.py": {
        "age": "`need_decryption` asks for it",
        "timeout": "without it, a command that prints little and then waits is not verified",
    },
    "sdk/download.py": {
        "curl": "`need_way` asks for it, or for python3",
        "raise": "a word of the Python program for a host without curl",
        "wanted": "a name in the same program",
        "with": "a word of the same program",
    },
    "sdk/host.py": {"setpriv": "of the user `become`, which the check tries", "sudo": "the rights tell it"},
    "sdk/host_encryption.py": {"age": "`need_age` asks for it"},
    "sdk/sudo_question.py": {"sudo": "the rights tell it"},
    "sdk/unix_socket.py": {"nc": "each action with a socket declares it", "socat": "each action with a socket declares it"},
    "hosts/privileged.py": {"sudo": "the rights tell it"},
}
"""Programs that a module starts without a declaration by an action, each with the reason."""


def of_sources():
    """Modules whose programs the test of backup sources compares."""
    parts = [part.partition(": ") for modules in SOURCES.values() for part in modules.split("; ")]
    return {PACKAGE / "systems" / system / f"{name}.py" for system, _, names in parts for name in names.split()}


def modules():
    """Modules with scripts that are neither of a backup source nor of a sandbox, and are not typed by a person."""
    found = {path for room in ("systems", "sdk", "hosts") for path in (PACKAGE / room).rglob("*.py")}
    found -= {path for path in found if path.name == "manual_restore.py"}
    return sorted(found - of_sources() - {PACKAGE / "sdk" / f"{name}.py" for name in SANDBOX})


def declared():
    """Return the declared programs by module, and by system for the modules without actions."""
    found: dict[Path, set[str]] = {}
    for name in known_names():
        place = Path(*find(name).__module__.split(".")[1:])
        needs = host_needs.of(name)
        for key in {place.with_suffix(".py"), Path(*place.parts[:2])}:
            found.setdefault(key, set()).update(needs.programs if needs else ())
    return found


OWN = {name for end in ("py", "sh") for path in PACKAGE.rglob(f"*.{end}") for name in FUNCTIONS.findall(path.read_text())}
"""Functions of scripts, which other scripts may include."""
STARTED = {path.relative_to(PACKAGE): started(path) - OWN - {*BASE} - MANAGERS for path in modules()}


def test_the_programs_of_actions_are_found():
    assert "prlimit" in STARTED[Path("systems/linux/actions/process/faults.py")]
    assert "tc" in STARTED[Path("systems/linux/actions/network/faults/shaping.py")]


@pytest.mark.parametrize("path", [path for path, found in STARTED.items() if found], ids=str)
def test_the_programs_of_an_action_are_declared(path):
    known = declared()
    needed = known.get(path, known.get(Path(*path.parts[:2]), set()))
    assert STARTED[path] - needed - OTHERWISE.get(str(path), {}).keys() == set()


def test_no_reason_is_given_for_a_program_that_nothing_starts():
    gone = {path: programs.keys() - STARTED[Path(path)] for path, programs in OTHERWISE.items()}
    assert {path: names for path, names in gone.items() if names} == {}
