"""The collector is off during a pause, and afterwards as it was before."""

import gc

import pytest

from drillbook.journal.collection import paused


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
