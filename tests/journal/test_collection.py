"""The garbage collector is off during a pause, and has its previous state afterwards."""

import gc

import pytest

from drillbook.journal.collection import last_work, paused


def test_the_collector_is_off_during_pauses_and_on_after_the_last():
    first, second = paused(), paused()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert not gc.isenabled(), "the second pause, of another thread, goes on"
    second.__exit__(None, None, None)
    assert gc.isenabled()


def test_an_error_ends_a_pause():
    with pytest.raises(RuntimeError), paused():
        raise RuntimeError
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off():
    gc.disable()
    try:
        with paused(), paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_what_the_last_work_leaves_is_not_searched():
    before = gc.get_freeze_count()
    try:
        with last_work():
            assert not gc.isenabled()
            kept = [[] for _ in range(1000)]
        assert gc.isenabled()
        assert gc.get_freeze_count() >= before + len(kept)
    finally:
        gc.unfreeze()
