"""Lock files: the users' one is the part of CI's lock that Drillbook and its extras need."""

from __future__ import annotations

import importlib.metadata
import re

from bench import lock

OWN = ("dev", "docs", "mutants")
"""Extras for people who work on Drillbook."""


def pinned(path):
    """Hashes by pinned package, such as ``anyio==4.16.0``."""
    blocks = re.findall(r"^(\S+==\S+)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$", path.read_text(), re.MULTILINE)
    return {name: set(re.findall(r"sha256:(\w+)", hashes)) for name, hashes in blocks}


def test_users_get_the_versions_and_hashes_that_ci_has_tested():
    tested, users = pinned(lock.CI), pinned(lock.USERS)
    assert {name.partition("==")[0] for name in users} == lock.needed(lock.EXTRAS)
    assert {name: tested.get(name) for name in users} == users


def test_each_line_has_a_version_and_a_hash():
    for path in (lock.CI, lock.USERS):
        lines = [line for line in path.read_text().splitlines() if line and not line.startswith(("#", " "))]
        assert sorted(pinned(path)) == sorted(line.removesuffix(" \\") for line in lines), path.name


def test_the_extras_of_the_lock_are_those_that_users_may_choose():
    declared = {extra for extra in importlib.metadata.metadata(lock.OURS).get_all("Provides-Extra") if extra not in OWN}
    assert set(lock.EXTRAS) == declared
