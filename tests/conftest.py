"""Settings of all tests: separate signing key and anchors, tiers, and an order in which all workers end at about the
same time.
"""

import os

import pytest
from hypothesis import HealthCheck, settings

from drillbook.sdk import discovery
from tests import budget, machine, tiers

WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0"))
LEFT = pytest.StashKey[int]()
USUAL_S = pytest.StashKey[float]()
# How long Hypothesis takes to draw an example, or a test to run one, depends on what else the machine does.
settings.register_profile("drillbook", suppress_health_check=[HealthCheck.too_slow], deadline=None)
settings.load_profile("drillbook")


SLOW_FOLDERS = {"e2e": 40, "estate": 30, "docker": 30, "systemd": 25, "matrix": 30}
"""Folders below tests whose tests run whole drills, with the usual duration of one in seconds. A test with its own mark `long`
is known better.
"""


def pytest_ignore_collect(collection_path, config):
    """Skip files without tests of the fast tier for `-m fast`."""
    return None if tiers.may_hold(config, collection_path) else True


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    tiers.mark(items)
    config.stash[LEFT] = tiers.leave_to_the_night(config, items)
    config.stash[USUAL_S] = budget.total(items)
    estimate(items)
    order(items)


def estimate(items):
    """Mark the tests of slow folders as long, so that they come first, and no worker is left with one at the end."""
    for item in items:
        usual = SLOW_FOLDERS.get(item.path.relative_to(tiers.ROOT / "tests").parts[0])
        if usual and not item.get_closest_marker("long"):
            item.add_marker(pytest.mark.long(usual))


def pytest_sessionfinish(session):
    """Report the number of omitted tests, and the usual duration of the others, to the session that started this worker."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["nightly"] = session.config.stash.get(LEFT, 0)
        session.config.workeroutput["usual_s"] = session.config.stash.get(USUAL_S, 0.0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """Every worker collects all tests, so that each of them knows these numbers."""
    told = getattr(node, "workeroutput", {})
    node.config.stash[LEFT], node.config.stash[USUAL_S] = told.get("nightly", 0), told.get("usual_s", 0.0)


def pytest_terminal_summary(terminalreporter, config):
    if left := config.stash.get(LEFT, 0):
        terminalreporter.write_line(
            f"left to `invoke test --all`: {left} tests that are marked nightly, or whose turn is at another run"
        )
    if tiers.CI and not tiers.ALL and (usual_s := config.stash.get(USUAL_S, 0.0)):
        terminalreporter.write_line(budget.told(usual_s))


def order(items):
    """Sort the tests for several workers: long ones first, because only short tests may remain at the end.

    Each worker gets one part of the list, with the same number of tests, and starts at its beginning; a worker that
    is done takes tests from the ends of other parts. Tests of one folder stay together, so that their lab is started
    once and stops early. The thousands of tests of the fast tier take almost no time: each part ends with some of
    them, because otherwise two workers would have nothing else.
    """
    if WORKERS < 2:
        return
    shares = dealt([item for item in items if item.get_closest_marker("long")])
    others = [item for item in items if not item.get_closest_marker("long")]
    slow = [item for item in others if not item.get_closest_marker("fast")]
    quick = [item for item in others if item.get_closest_marker("fast")]
    left = len(items)
    items.clear()
    for number, share in enumerate(shares):
        # Divide as xdist does: with one test more or less, the longest test of a part would be the last of the previous part.
        size = left // (WORKERS - number)
        rest = max(size - len(share), 0)
        own = min(max(len(slow) // (WORKERS - number), rest - len(quick)), rest)
        items += [*share, *slow[:own], *quick[: rest - own]]
        del slow[:own], quick[: rest - own]
        left -= size


def dealt(long):
    """Return one list for each worker, all of about the same duration, each with its longest test first.

    A folder goes to one worker, which starts its lab; only the tests of a very long folder are distributed one by
    one.
    """
    folders = {}
    for item in long:
        folders.setdefault(str(item.path.parent), []).append(item)
    most = sum(map(seconds, long)) / WORKERS
    units = []
    for found in folders.values():
        units += [found] if sum(map(seconds, found)) <= most else [[item] for item in found]
    shares = [[] for _ in range(WORKERS)]
    for unit in sorted(units, key=lambda unit: sum(map(seconds, unit)), reverse=True):
        min(shares, key=lambda share: sum(map(seconds, share))).extend(unit)
    return [longest_first(share) for share in shares]


def longest_first(share):
    """Put the folder with the longest test first, and in each folder the longest test."""
    longest = {}
    for item in share:
        longest[item.path.parent] = max(seconds(item), longest.get(item.path.parent, 0))
    return sorted(share, key=lambda item: (-longest[item.path.parent], str(item.path.parent), -seconds(item)))


def seconds(item):
    return item.get_closest_marker("long").args[0]


@pytest.fixture(autouse=True, scope="session")
def config_home(tmp_path_factory):
    names = (
        "XDG_CONFIG_HOME",
        "XDG_STATE_HOME",
        "DRILLBOOK_SIGNING_KEY",
        "DRILLBOOK_ANCHOR",
        "DRILLBOOK_TIMESTAMP",
        "DRILLBOOK_TIMESTAMP_CA",
    )
    before = {name: os.environ.pop(name, None) for name in names}
    os.environ["XDG_CONFIG_HOME"] = str(tmp_path_factory.mktemp("config"))
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))
    yield
    for name in names:
        os.environ.pop(name, None)
    os.environ.update({name: value for name, value in before.items() if value is not None})


@pytest.fixture
def pretended():
    """The simulated system of ``tests.machine``, in addition to the built-in ones."""
    discovery.add(machine.SYSTEM)
    yield
    discovery.remove(machine.SYSTEM)
