"""The part of a journal that a process itself wrote, which is all that it may sign."""

import threading

from drillbook.events.event import Event
from drillbook.journal.own_writes import Written


def event(seq):
    return Event.model_construct(seq=seq, hash=f"sha256:{seq}")


def test_a_process_vouches_from_its_first_event_to_its_last():
    written = Written()
    assert (written.first, written.now()) == (-1, (0, ""))
    for seq in (5, 6):
        written(event(seq))
    assert (written.first, written.now()) == (5, (7, "sha256:6"))
    written(event(4))
    assert written.now() == (7, "sha256:6"), "an older one changes nothing"
    written(Event.model_construct(seq=6, hash="sha256:again"))
    assert written.now() == (7, "sha256:again"), "one that found no room has the number of the one after it"


def test_several_threads_lose_nothing():
    written = Written()
    threads = [threading.Thread(target=lambda: [written(event(seq)) for seq in range(500)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (written.first, written.events) == (0, 500)
