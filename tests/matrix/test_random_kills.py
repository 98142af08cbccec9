"""A controller, a recovery or a server is killed at a random time of a random drill; one recovery restores everything.

CI fires 4 shots (10 after a change of packages that undo faults), `invoke test --all` 300, over all shipped drills;
each commit draws others. DRILLBOOK_SEED repeats those of another commit, DRILLBOOK_SHOTS sets their number.
`.cache/random-kills/SEED.jsonl` contains the results; with one of these settings, an interrupted run of the same code
continues there, and repeats failed shots.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from dataclasses import replace

import pytest

from tests import tiers
from tests.matrix.ground import ROOT, shipped
from tests.matrix.random_kills import SERVERS, Hit, Range, Results, digest
from tests.matrix.shots import KINDS, drawn
from tests.matrix.test_kill_matrix import note

COUNT = int(os.environ.get("DRILLBOOK_SHOTS") or (300 if tiers.ALL else 4 if tiers.killing() else 2))
GOES_ON = tiers.ALL or "DRILLBOOK_SHOTS" in os.environ
SEED = tiers.seed()
SHARES = 4 if tiers.ALL else 2
"""Number of tests among which the shots are divided, for several workers."""
ALERTS = shutil.which("prometheus") and shutil.which("prometheus-alertmanager")
DRILLS = sorted(path.stem for path in shipped() if ALERTS or "prometheus." not in path.read_text(encoding="utf-8"))


@pytest.mark.long(35 * COUNT // SHARES)
@pytest.mark.parametrize("share", range(SHARES))
def test_whoever_is_killed_whenever_everything_comes_back(ground, share):
    results = Results(ROOT / ".cache" / "random-kills", SEED, digest(ROOT))
    firing = Range(ground, SEED, results.path.parent / "kept")
    done = {number: hit for number, hit in results.known().items() if GOES_ON and not hit.wrong}
    shots = drawn(SEED, COUNT, DRILLS, [name for name in SERVERS if name in DRILLS])[share::SHARES]
    for shot in shots:
        if shot.number in done:
            continue
        hit = done[shot.number] = firing.fire(shot)
        results.add(hit)
        note(
            f"seed {SEED}, shot {hit.number}: {hit.whom} of {hit.drill} after {hit.after_s:.2f} s, attempt {hit.attempt + 1}, "
            f"{hit.seconds:.0f} s: {list(hit.wrong) or 'as before'}"
        )
        if hit.wrong:
            ground.rebuild()
    hits = [done[shot.number] for shot in shots]
    killed = Counter(hit.whom for hit in hits if not hit.wrong)
    note(f"seed {SEED}, share {share}: " + ", ".join(f"{killed[kind]} x {kind}" for kind in KINDS))
    wrong = [
        f"shot {hit.number}, {hit.whom} of {hit.drill} after {hit.after_s} s: {'; '.join(hit.wrong)}"
        for hit in hits
        if hit.wrong
    ]
    assert not wrong, f"seed {SEED}, {len(wrong)} of {len(hits)} shots:\n" + "\n".join(wrong)


def test_the_same_seed_draws_the_same_shots_and_every_drill_has_its_turn():
    served = [name for name in SERVERS if name in DRILLS]
    shots = drawn("a seed", 300, DRILLS, served)
    assert shots == drawn("a seed", 300, DRILLS, served) != drawn("another", 300, DRILLS, served)
    assert Counter(shot.whom for shot in shots) == dict.fromkeys(KINDS, 100)
    assert {shot.drill for shot in shots if shot.whom == "controller"} == set(DRILLS)
    assert {shot.drill for shot in shots if shot.whom == "server"} == set(served)
    assert shots[0].part("a seed", 0) != shots[0].part("a seed", 1), "one that missed has another time"


def test_what_was_carried_out_is_known_afterwards_of_the_same_code(tmp_path):
    results = Results(tmp_path / "made", "a", "this code")
    assert results.known() == {}
    first, second = Hit(0, "x", "server", 0, 1.0, 5, 2.0, ("residue",)), Hit(0, "x", "server", 1, 1.5, 5, 2.0, ())
    results.add(first)
    results.add(second)
    assert Results(tmp_path / "made", "a", "this code").known() == {0: replace(second, code="this code")}
    assert Results(tmp_path / "made", "a", "other code").known() == {}
    assert Results(tmp_path / "made", "b", "this code").known() == {}


def test_other_code_has_another_digest(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").write_text("A = 1")
    before = digest(tmp_path)
    assert digest(tmp_path) == before
    (tmp_path / "src" / "a.py").write_text("A = 2")
    assert digest(tmp_path) != before
