"""The drill `rehearse-cache` on a real lab: the cache's own dump is restored in a sandbox; production is not written."""

from pathlib import Path

from drillbook.judge.result import Verdict


def test_the_cache_is_rehearsed_in_a_sandbox_and_nothing_is_left(bench):
    _, view = bench.run(bench.plan("rehearse-cache"))
    assert view.result.verdict is Verdict.PASSED, (view.result.reason, [one.measured for one in view.result.findings])
    assert view.result.residue == ()
    facts = {step.id: step.facts for step in view.result.steps}
    assert facts["backup.2"]["keys"] >= facts["backup.1"]["keys"] >= 800, "a page of a second may have expired since"
    restored = facts["restore.1"]
    assert restored["keys"] + restored["expired"] >= restored["keys_in_file"] >= 800
    assert any(address.startswith("127.0.0.1:") for address in restored["unreachable"])
    assert facts["verify.1"]["keys"] >= 800
    assert facts["verify.1"]["not_covered"] == ["settings", "users"]
    assert 0 <= facts["verify.2"]["loss_s"] < 3600, "no hour of a time zone"
    assert "header of the RDB" in facts["verify.2"]["basis"]
    assert not Path(bench.value("sandbox.cache")).exists()


def test_a_damaged_dump_fails_the_rehearsal_before_anything_is_restored(bench):
    """The dump that the cache has just written is damaged in place, as by a bad disk."""
    dump = Path(bench.value("redis.data")) / "dump.rdb"

    def act(event):
        if event.kind == "done" and event.step == "backup.1":
            data = bytearray(dump.read_bytes())
            data[len(data) // 2] ^= 0x40
            dump.write_bytes(data)

    _, view = bench.run(bench.plan("rehearse-cache"), observer=act)
    assert view.result.verdict is Verdict.FAILED
    assert [one.code for one in view.result.findings] == ["backup-damaged"]
    assert not Path(bench.value("sandbox.cache")).exists()
