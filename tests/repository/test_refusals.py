"""Refusals before a drill: each has a hint, and a test sees both the refusal and the success of the same check after
its cause was removed.
"""

import ast
import functools
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from drillbook.sdk.action import Action, find, known_names
from tests.repository import refusal_tests

SOURCE = Path(__file__).parents[2] / "src" / "drillbook"
TESTS = Path(__file__).parents[1]
RUN, SHORT = 4, 3
"""Number of consecutive words that identify a reason, and the number for reasons with fewer constant words."""
FORWARDED: dict[str, tuple[str, ...]] = {
    "engine/leases/script.py: _refused": ("PID 1 is not systemd",),
    "sdk/backup_source.py: need_programs": ("has no tar",),
    "sdk/record_canary.py: RecordCanary.prepare": ("cannot write: status 1", "cannot remove: here:"),
    "sdk/record_canary.py: RecordCanary._tried": ("cannot read: here:",),
    "sdk/sandbox.py: Sandbox._refuse_taken": ("it is not known which run created it",),
    "sdk/store.py: Store.check": ("could not show the bucket",),
    "sdk/target_folders.py: refuse": ("open to others",),
    "sdk/temporary_unit.py: TemporaryUnit.ready": ("does not report the state",),
    "systems/docker/actions/fields.py: examined": ("there is no container 'drillbook-test-gone'",),
    "systems/docker/actions/fields.py: lasting": ("was created with --rm",),
    "systems/docker/compose_actions.py: _can_ask": ("has more than one container",),
    "systems/docker/compose_actions.py: Stop.ready": ("was created with --rm",),
    "systems/docker/volumes.py: Volume.of": ("there is no container",),
    "systems/files/actions/faults/loss_and_damage.py: Corrupt.ready": ("is not a file, or is empty",),
    "systems/files/actions/fields.py: need_harmless": ("a drill does not remove top-level",),
    "systems/files/actions/faults/reversible.py: Replace.ready": ("is in a folder that this user may not write to",),
    "systems/files/actions/faults/reversible.py: Chmod._was": ("does not exist, or is a symbolic link",),
    "systems/files/actions/faults/reversible.py: FillDisk.ready": ("filler already exists",),
    "systems/files/archives.py: need_tar": ("has a tar other than GNU tar",),
    "systems/files/rights.py: need_mode": ("a write would remove this mode bit",),
    "systems/files/rights.py: _refused": ("cannot be written by nobody",),
    "systems/http/actions/reading/logged_requests.py: _OfLog.ready": ("access.log cannot be read",),
    "systems/http/probes/http/canary.py: Canary.reach": ("cannot read: .*503",),
    "systems/linux/actions/net.py: Filters.ready": ("neither iptables-save nor",),
    "systems/linux/actions/network/faults/filtered.py: _Filtered._filter": ("not installed: iptables, nft",),
    "systems/linux/actions/network/faults/filtered.py: _Filtered.ready": ("the rules drillbook-.* already exist",),
    "systems/linux/actions/network/reading.py: Capture.ready": ("may not capture packets",),
    "systems/linux/actions/network/reading.py: Capture._port": ("is reached by its Unix socket",),
    "systems/linux/actions/process/faults.py: Limit._soft": ("the limit nofile of process .* is already 8",),
    "systems/linux/fault_helper.py: Helper.ready": ("inject.1 already exists",),
    "systems/linux/process_lookup.py: of_unit": ("does not report the state",),
    "systems/linux/process_lookup.py: need": ("here: not installed: prlimit",),
    "systems/manual/actions.py: Confirm.ready": ("but must be yes or no",),
    "systems/mariadb/actions/faults.py: LoseData.ready": ("database contains no tables",),
    "systems/mariadb/ownership.py: ready": ("is not the server that uses",),
    "systems/mariadb/disposable_server.py: _no_program": ("has no .*/bin/mariadb",),
    "systems/postgres/actions/faults/server.py: LoseData.ready": ("which a dump of shop cannot restore",),
    "systems/postgres/actions/fields.py: need_unit": ("does not report the state of 'nosuch-database'",),
    "systems/postgres/actions/fields.py: need_start": ("cannot be queried for its command line",),
    "systems/postgres/actions/fields.py: need_ownership": ("the answering server has the cluster",),
    "systems/postgres/actions/fields.py: examined": ("db-1: cannot examine",),
    "systems/postgres/actions/planning.py: DropIndex._definition": ("goods_pkey is needed by a constraint",),
    "systems/postgres/preflight.py: ask": ("extension amcheck is not installed",),
    "systems/postgres/reader_version.py: need_format": ("has no pg_restore",),
    "systems/postgres/programs.py: Tools.version": ("has no /nowhere/pg_dump",),
    "systems/prometheus/actions/alertmanager.py: Received.ready": ("does not answer: .*refused",),
    "systems/prometheus/actions/prometheus.py: _askable": ("does not answer: .*refused",),
    "systems/prometheus/actions/prometheus.py: _OfAlert.ready": ("did you mean 'FileThere'",),
    "systems/qdrant/actions/source_rows.py: need_database": ("the query on rows failed",),
    "systems/qdrant/client.py: need_collection": ("[Errno 111] Connection refused",),
    "systems/redis/actions/backup.py: _can_be_saved": ("invalid username-password pair",),
    "systems/redis/actions/backup.py: Matches.ready": ("Error 111 connecting",),
    "systems/postgres/actions/backup/table_restores.py: RestoreTable.ready": ("has a foreign key to public.whole",),
    "systems/redis/actions/faults.py: Flush.ready": ("Error 111 connecting",),
    "systems/redis/preflight.py: need_mark.question": ("its master overwrites every change",),
    "systems/redis/verification.py: need_checker": ("has no redis-check-rdb, valkey-check-rdb or server",),
    "systems/redis/disposable_server/sandboxed.py: need_server": ("has no /nowhere/redis-server",),
    "systems/redis/ownership.py: ready": ("does not belong to the unit cache",),
    "systems/s3/actions/faults.py: LoseObjects._unversioned": ("refused to show the versioning",),
    "systems/s3/actions/fields.py: need_versions": ("refused to show the versioning",),
    "systems/sql/probes.py: Canary.reach": ("unable to open database file",),
    "systems/sql/probes.py: Canary.prepare": ("attempt to write a readonly database",),
    "systems/units/actions/env.py: Matches.ready": ("template .* does not exist",),
    "systems/units/actions/service.py: _can_ask": ("does not report the state",),
    "systems/units/actions/service.py: _Down.ready": ("the container was created with --rm",),
    "systems/units/actions/settings.py: _Settings._need_running": ("does not report the state",),
}
"""Reasons without three constant words in a row; most of them pass on the message of another error.

Words of such a message, one for each reason in the order of the code.
"""
UNSEEN: dict[str, str] = {}
"""Reasons that no test can see, each with the explanation."""
SUCCEEDS_IN: dict[str, str] = {
    "systems/content/actions.py: Take.ready": (
        "systems/command/test_preflight.py::test_what_is_missing_refuses_a_step_that_works_with_it"
    ),
    "systems/prometheus/actions/prometheus.py: _OfAlert.ready": (
        "systems/prometheus/test_alerts.py::test_an_alert_that_fires_and_clears_passes_and_measures_the_detection"
    ),
}
"""Reasons whose check succeeds in another test than the one that sees the refusal, or in that of another system: this
test.
"""
_UNDO = "is the undo of another action, whose check covers both"
_AFTER = "is needed only after another step of the drill, which prepares it"
_NETWORK = "asks over the network, and an absent answer is what it measures"
_EVERYBODY = "reads what every account of a host may read"
UNCHECKED: dict[str, str] = {
    "content.matches": _AFTER,
    "diagnosis.finds": "uses checks of which each may be without an answer",
    "host.memory": _EVERYBODY,
    "http.flow": _NETWORK,
    "http.load": _NETWORK,
    "http.responds": _NETWORK,
    "postgres.admit": _AFTER,
    "postgres.admit_table": _AFTER,
    "postgres.clear_restore": _UNDO,
    "postgres.remove_cluster": _UNDO,
    "postgres.stop_wal": _UNDO,
    "qdrant.put_back": _UNDO,
    "qdrant.remove_copy": _UNDO,
    "qdrant.remove_strays": _UNDO,
    "redis.unmark": _UNDO,
    "s3.undelete": _UNDO,
    "s3.unwrite": _UNDO,
    "tcp.open": _NETWORK,
}
"""Actions without a check before the drill, each with the reason."""

Run = tuple[str, ...]


class Words:
    """Sequences of words in tests, by the system under test; those of no single system have the key ``""``."""

    def __init__(self, by_system: dict[str, set[Run]]) -> None:
        self.by_system = by_system
        self.all = set().union(*by_system.values())

    def near(self, system: str) -> set[Run]:
        """Return the words of the tests that may be about this system; with ``""`` of all tests."""
        return self.by_system.get("", set()) | self.by_system.get(system, set()) if system else self.all


@dataclass(frozen=True)
class Reason:
    """One ``NotReady`` in the source: the function that raises it, and the constant parts of its message."""

    path: Path
    line: int
    function: str
    parts: tuple[str, ...]
    hinted: bool

    @property
    def place(self) -> str:
        return f"{self.path.relative_to(SOURCE)}: {self.function}"

    @functools.cached_property
    def runs(self) -> frozenset[Run]:
        """Sequences of its constant words: of four words, or of three if there is none of four."""
        every = frozenset().union(*(runs(part) for part in self.parts))
        return frozenset(run for run in every if len(run) == RUN) or every

    @property
    def family(self) -> str:
        """The system whose tests see this reason; empty for a reason outside the systems."""
        room = self.path.relative_to(SOURCE).parts
        return room[1] if room[0] == "systems" else ""


def runs(text: str) -> frozenset[Run]:
    """Return each run of three and of four words in ``text``, without the marks of quotations, patterns and calls."""
    words = [word.strip(".,:;[]`*+?^$").lower() for word in re.split(r"[\s\"'()=]+", text.replace("\\", ""))]
    words = [word for word in words if word]
    return frozenset(tuple(words[at : at + size]) for size in (SHORT, RUN) for at in range(len(words) - size + 1))


def constants(message: ast.expr) -> Iterator[str]:
    match message:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=values):
            yield from (part.value for part in values if isinstance(part, ast.Constant) and isinstance(part.value, str))
        case ast.BinOp(left=left, right=right):
            yield from constants(left)
            yield from constants(right)
        case ast.IfExp(body=body, orelse=orelse):
            yield from constants(body)
            yield from constants(orelse)


def reasons_in(path: Path, tree: ast.AST, function: str = "") -> Iterator[Reason]:
    for node in ast.iter_child_nodes(tree):
        inner = function
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            inner = f"{function}.{node.name}".lstrip(".")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "NotReady":
            hinted = any(keyword.arg == "hint" for keyword in node.keywords)
            yield Reason(path, node.lineno, inner, tuple(constants(node.args[0])), hinted)
        yield from reasons_in(path, node, inner)


SHELL = re.compile(r'\b(?:unusable|fail 9[01]) "([^"]*)"')
"""Modules with refusals by a script of a lease or a lock; ``engine/leases/script.py`` raises NotReady with the words
of the script and a hint.
"""


def shell_reasons() -> Iterator[Reason]:
    """Return the refusals of the scripts that have words of their own."""
    for path in sorted(SOURCE.rglob("*.sh")):
        for line, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            for said in SHELL.findall(text):
                reason = Reason(path, line, said, tuple(re.split(r"\$(?:\{[^}]*\}|\w+|\*)", said)), hinted=True)
                if reason.runs:
                    yield reason


@functools.cache
def reasons() -> list[Reason]:
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(SOURCE.rglob("*.py"))}
    raised = [one for path, text in texts.items() if "NotReady(" in text for one in reasons_in(path, ast.parse(text))]
    return [*raised, *shell_reasons()]


@functools.cache
def seen() -> Words:
    """Return the words in all tests."""
    found = defaultdict(set)
    for path in files():
        found[system(path)] |= runs(path.read_text(encoding="utf-8"))
    return Words(found)


def files() -> list[Path]:
    return [path for path in sorted(TESTS.rglob("test_*.py")) if path != Path(__file__)]


def system(path: Path) -> str:
    """Return the system that a file of tests is about; empty for several or none."""
    room = path.relative_to(TESTS).parts
    return room[1] if len(room) > 2 and room[0] == "systems" and room[1] != "backup" else ""


@functools.cache
def both_seen() -> list[tuple[Path, frozenset[Run]]]:
    """Return file and words of each test that sees a refusal, and the same check succeed."""
    return [(path, runs(text)) for path in files() for text in refusal_tests.both_seen(path).values()]


@functools.cache
def owners() -> dict[tuple[str, Run], set[tuple[str, ...]]]:
    """Return the reasons, by their parts, that have a run of words: of one system, and with the key ``""`` of all."""
    found = defaultdict(set)
    for reason in reasons():
        for run in reason.runs:
            found["", run].add(reason.parts)
            found[reason.family, run].add(reason.parts)
    return found


def is_in(reason: Reason, held: Words) -> bool:
    """Return True when ``held`` has words that no other reason has, or near the reason words that no other has in its system."""
    if any(run in held.all and len(owners()["", run]) == 1 for run in reason.runs):
        return True
    own = {run for run in reason.runs if len(owners()[reason.family, run]) == 1} or reason.runs
    return bool(own & held.near(reason.family))


def forwarding() -> dict[str, list[Reason]]:
    """Return the reasons without words of their own, by place."""
    found = defaultdict(list)
    for reason in reasons():
        if not reason.runs:
            found[reason.place].append(reason)
    return found


def test_every_action_has_a_check_before_the_drill_or_a_reason_for_none():
    kinds = {name: find(name) for name in known_names() if find(name).__module__.startswith("drillbook.")}
    assert {name for name, kind in kinds.items() if kind.ready is Action.ready} == UNCHECKED.keys()


def test_every_refusal_says_what_to_do():
    assert len(reasons()) > 200
    assert [f"{one.place}:{one.line}" for one in reasons() if not one.hinted] == []


def test_a_test_holds_the_words_of_every_refusal():
    unseen = [one for one in reasons() if one.runs and not is_in(one, seen())]
    assert {one.place for one in unseen} - UNSEEN.keys() == set(), "write a test that sees the refusal, and that it goes"
    assert UNSEEN.keys() - {one.place for one in unseen} == set(), "these are seen, or no longer exist"


def test_a_test_holds_words_of_every_message_that_a_refusal_passes_on():
    found = forwarding()
    assert found.keys() - UNSEEN.keys() == FORWARDED.keys()
    assert {place: len(said) for place, said in FORWARDED.items()} == {place: len(found[place]) for place in FORWARDED}
    assert [(place, said) for place, words in FORWARDED.items() for said in words if not runs(said) <= seen().all] == []


def test_a_test_sees_the_check_of_every_refusal_succeed_too():
    tests, held = both_seen(), defaultdict(set)
    for path, words in tests:
        held[system(path)] |= words
    proven = Words(held)
    alone = {one.place for one in reasons() if one.runs and not is_in(one, proven)}
    alone |= {
        place for place, texts in FORWARDED.items() for said in texts if not any(runs(said) <= words for _, words in tests)
    }
    assert alone - SUCCEEDS_IN.keys() - UNSEEN.keys() == set(), "let a test see the check succeed once the cause is gone"
    assert SUCCEEDS_IN.keys() - alone == set(), "one test sees both, or the reason no longer exists"


@pytest.mark.parametrize(("place", "test"), SUCCEEDS_IN.items())
def test_a_named_test_sees_a_check_succeed(place, test):
    path, _, name = test.partition("::")
    assert refusal_tests.sees_success(TESTS / path, name)


BOTH = """
def test_a(place):
    action = place.action("a.b", c=1)
    with pytest.raises(NotReady, match="words of a refusal"):
        action.ready(place.ctx())
    {more}
"""


@pytest.mark.parametrize(
    ("more", "both"),
    [
        ('assert "words of a refusal"', False),
        ("action.run(place.ctx())", False),
        ('place.action("a.other").ready(place.ctx())', False),
        ("with pytest.raises(NotReady): action.ready(place.ctx())", False),
        ("action.ready(place.ctx())", True),
        ('place.action("a.b", c=2).ready(place.ctx())', True),
        ("refused_until(check, said, mend)", True),
        ("ground.cycle(action)", True),
    ],
)
def test_words_alone_do_not_prove_that_a_check_succeeds(tmp_path, more, both):
    (tmp_path / "test_it.py").write_text(BOTH.format(more=more))
    assert ("test_a" in refusal_tests.both_seen(tmp_path / "test_it.py")) is both
