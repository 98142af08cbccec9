"""Interface of lease backends: each backend is one file, and the first usable backend is selected."""

import subprocess
from typing import get_args

import pytest

from drillbook.engine.leases import backends
from drillbook.engine.leases.script import program_of
from drillbook.sdk.host import BootHook, LeaseConfig, Watcher

STEPS = {"watch": ("usable", "start"), "boot": ("usable", "set", "clear")}
WORDS = {"watch": backends.WATCHERS, "boot": backends.BOOT_HOOKS}

ANOTHER = """watchers="another $watchers" boot_hooks="another $boot_hooks"
watch_another_usable() { [ -e "$CAN" ] || unusable "no $1 watcher"; }
boot_another_usable() { [ -e "$CAN" ] || unusable "no $1 hook at boot"; }
"""


def shell(program, *words, **env):
    return subprocess.run(
        ["sh", "-c", program, "drillbook", *words],
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "DRILLBOOK_SYSTEMD": "/nonexistent", **env},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(("role", "word"), [(role, word) for role, words in WORDS.items() for word in words])
def test_a_backend_has_every_function_of_its_role(role, word):
    for step in STEPS[role]:
        done = shell(program_of("leased"), "type", f"{role}_{word}_{step}")
        assert (done.returncode, "function" in done.stdout) == (0, True), (step, done.stdout, done.stderr)


def test_an_inventory_names_the_backends_that_there_are():
    kind, boot = (LeaseConfig.model_fields[name].annotation for name in ("kind", "boot"))
    assert get_args(Watcher) == tuple(backends.WATCHERS)
    assert get_args(kind) == ("auto", *backends.WATCHERS)
    assert get_args(BootHook) == tuple(backends.BOOT_HOOKS)
    assert get_args(boot) == ("auto", *backends.BOOT_HOOKS, "none")


@pytest.fixture
def ready(scratch):
    """Return the selected backend when there is an additional one, which is usable while the file `can` exists."""
    program = program_of("leased").removesuffix('"$@"\n') + ANOTHER + '"$@"\n'

    def ask(kind, boot):
        return shell(
            program, "lease_ready", f"{scratch}/state", "run-1", kind, boot, "system", CAN=str(scratch.parent / "can")
        )

    return ask


def test_the_first_backend_that_can_be_used_is_taken(ready, scratch):
    assert ready("auto", "none").stdout == "watcher none\n"
    (scratch.parent / "can").touch()
    assert ready("auto", "auto").stdout == "another another\n"
    assert ready("watcher", "another").stdout == "watcher another\n"
    assert ready("another", "none").stdout == "another none\n"


def test_a_backend_that_is_named_and_cannot_be_used_is_refused_with_its_reason(ready):
    for kind, boot, why in (("another", "none", "no named watcher"), ("auto", "another", "no named hook at boot")):
        done = ready(kind, boot)
        assert (done.returncode, done.stdout, done.stderr) == (90, "", f"drillbook: {why}\n")


def test_a_backend_of_another_version_is_refused(ready):
    done = ready("newer", "none")
    assert (done.returncode, done.stdout) == (90, "")
    assert "this version of Drillbook does not know newer: it knows another systemd watcher" in done.stderr
    done = ready("watcher", "none")
    assert done.returncode == 0, done.stderr
