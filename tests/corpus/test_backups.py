"""Corpus of broken backups as a whole: its size, its drivers, and the part that CI selects for each commit."""

import os
import re
import subprocess
import sys
from collections import Counter

import pytest

from drillbook.sdk import discovery
from drillbook.sdk.backup_source import BackupSource
from tests import artefacts, tiers, turns
from tests.artefacts import BROKEN_AT_LEAST, DAMAGES, WHOLE, WHOLE_AT_LEAST

CORPORA = artefacts.corpora()
FOLDERS = sorted({f"tests/systems/{name.partition('.')[0]}" for name in artefacts.MODULES})
KINDS = [kind for kind in discovery.service_kinds() if issubclass(discovery.service_class(kind), BackupSource)]


def counted(*damages: str) -> Counter:
    """Number of artefacts with these kinds of damage, by driver."""
    return Counter(corpus.driver for corpus in CORPORA for one in corpus.artefacts if one.damage in damages)


def test_it_is_as_large_as_it_must_be():
    assert counted(*DAMAGES).total() >= BROKEN_AT_LEAST
    assert counted(WHOLE).total() >= WHOLE_AT_LEAST


@pytest.mark.parametrize("kind", KINDS)
def test_each_driver_is_in_it_with_whole_and_broken_backups(kind):
    assert counted(WHOLE)[kind] >= 1
    assert counted(*DAMAGES)[kind] >= 5


@pytest.mark.parametrize("damage", DAMAGES)
def test_each_kind_of_damage_is_in_it(damage):
    assert counted(damage).total() >= 2


def test_each_artefact_has_a_name_of_its_own_and_a_finding_if_it_is_broken():
    for corpus in CORPORA:
        names = [one.name for one in corpus.artefacts]
        assert len(set(names)) == len(names)
        for one in corpus.artefacts:
            assert (one.damage == WHOLE) is (one.findings == ()), one.name
            assert one.damage in (WHOLE, *DAMAGES), one.name


def collected(**environment: str) -> Counter:
    """Number of tests of the corpus that pytest collects, by file."""
    argv = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "corpus", "-p", "no:cacheprovider", *FOLDERS]
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("DRILLBOOK_", "PYTEST_"))}
    done = subprocess.run(argv, cwd=tiers.ROOT, env={**kept, **environment}, capture_output=True, text=True, check=False)
    return Counter(re.findall(r"^(tests/\S+\.py)::", done.stdout, re.MULTILINE))


@pytest.mark.long(30)
def test_ci_takes_a_part_at_each_commit_and_all_tests_take_all():
    every = counted(WHOLE, *DAMAGES).total()
    whole = collected(DRILLBOOK_MATRIX="all")
    assert whole.total() == every
    for seed in ("one", "other"):
        part = collected(DRILLBOOK_REQUIRE="all", DRILLBOOK_SEED=seed, DRILLBOOK_SINCE="HEAD")
        assert part == {file: -(-count // turns.CORPUS_TURNS) for file, count in whole.items()}
