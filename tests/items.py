"""Tests as pytest collects them, as far as ``tests.tiers`` uses them."""

from types import SimpleNamespace

from tests import tiers


class Item:
    """A collected test with one mark, such as `corpus`; with ``seconds`` the mark is `long`."""

    def __init__(self, nodeid, mark=None, seconds=0.0):
        self.nodeid, self.mark, self.seconds = nodeid, "long" if seconds else mark, seconds
        self.name = nodeid.rpartition("::")[2]

    def get_closest_marker(self, name):
        return SimpleNamespace(args=(self.seconds,)) if name == self.mark else None


def taken(monkeypatch, items, number):
    """Tests that CI selects at a run."""
    monkeypatch.setattr(tiers, "number", lambda: number)
    left = list(tiers.for_others(items))
    assert len(set(left)) == len(left), "each is left out once"
    return set(items) - set(left)


NAMED = [Item(f"tests/e2e/test_hold.py::test_recovery_is_complete_and_idempotent[{number}]") for number in range(9)]
"""The parameters of a test that the safety page names."""
OTHERS = [Item(f"tests/e2e/test_x.py::test_nobody_names_me[{number}]") for number in range(500)]
BACKUPS = [Item(f"tests/systems/x/test_artefacts.py::test_a_backup[{number}]", "corpus") for number in range(13)]
