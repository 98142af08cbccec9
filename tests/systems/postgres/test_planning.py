"""Indexes that are dropped and made again, and statements that use one, or do not."""

import contextlib
import threading

import psycopg
import pytest

from drillbook.errors import StepFailed
from drillbook.sdk.probe import find_probe
from tests.systems.postgres import fixtures
from tests.waiting import lasts

place, small = fixtures.place, fixtures.small


def test_an_index_is_gone_until_it_is_made_again(place, small):
    ctx = place.context(step="inject.1")
    query = "SELECT count(*) FROM goods WHERE code = 'x'"
    fault = place.action("postgres.drop_index", service="small", index="goods_code")
    fault.ready(ctx)
    way_back = fault.undo(ctx)
    assert place.run("postgres.explain", service="small", query=query, index="goods_code")["indexes"] == ["goods_code"]
    facts = fault.run(ctx)
    assert (facts["table"], fault.active(ctx)) == ("public.goods", True)
    with pytest.raises(StepFailed, match="does not use goods_code") as told:
        place.run("postgres.explain", service="small", query=query, index="goods_code")
    assert told.value.facts["scanned"] == ["goods"]
    made = place.run(way_back.action, **way_back.params)
    assert (made["already"], fault.active(ctx)) == (False, False)
    assert place.run(way_back.action, **way_back.params)["already"] is True
    assert place.run("postgres.analyze", service="small", table="goods")["rows"] == 20000
    assert small.sql("SELECT indexdef FROM pg_indexes WHERE indexname = 'goods_code'") == [(facts["definition"],)]


def test_a_probe_sees_that_a_statement_lost_its_index_however_quick_it_still_is(place, small):
    """Twenty thousand rows are read in a few milliseconds, so that a time limit would not detect this."""
    ctx = place.context(step="probe.1")
    probe = find_probe("postgres.planned").model_validate(
        {"service": "small", "query": "SELECT count(*) FROM goods WHERE code = 'x'", "index": "goods_code"}
    )
    assert probe.check(ctx) is None
    fault = place.action("postgres.drop_index", service="small", index="goods_code")
    way_back = fault.undo(ctx)
    fault.run(ctx)
    try:
        assert probe.check(ctx) == "the plan does not use goods_code; sequential scans: goods"
    finally:
        place.run(way_back.action, **way_back.params)
    assert probe.check(ctx) is None
    broken = probe.model_copy(update={"query": "SELECT 1; DROP TABLE goods"})
    assert "multiple commands" in broken.check(ctx)
    assert "does not exist" in probe.model_copy(update={"query": "SELECT 1 FROM nothing"}).check(ctx)
    assert small.sql("SELECT count(*) FROM goods") == [(20000,)]


ROUNDS = 12


def test_an_index_is_made_beside_a_session_that_still_makes_it(place, small):
    """A recovery was killed while the server created the index: the server continues, and the next recovery creates
    it, too.
    """
    definition = "CREATE INDEX goods_both ON public.goods USING btree (code, shelf)"
    for number in range(ROUNDS):
        small.sql("DROP INDEX IF EXISTS goods_both")
        session = small.connect(user="clerk")
        session.autocommit = True

        def build(session=session):
            with contextlib.suppress(psycopg.Error), session:
                session.execute(definition.replace("INDEX", "INDEX CONCURRENTLY", 1).encode())

        thread = threading.Thread(target=build)
        thread.start()
        lasts(number * 0.01)  # in the middle of the build, each time a bit later
        try:
            place.run("postgres.create_index", service="small", definition=definition)
        finally:
            thread.join(60)
        valid = small.sql("SELECT indisvalid FROM pg_index WHERE indexrelid = 'goods_both'::regclass")
        assert valid == [(True,)]
    small.sql("DROP INDEX goods_both")
