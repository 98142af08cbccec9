"""Messages to contacts about runs that did not take place: missed drills, and scheduled runs that could not begin."""

from __future__ import annotations

from collections.abc import Iterator

from drillbook.installation.program_name import program
from drillbook.inventory.inventory import Inventory
from drillbook.notify import sending
from drillbook.notify.sending import NotDelivered
from drillbook.notify.wording import Message
from drillbook.project.schedule_record import NOT_BEGUN, Entry
from drillbook.sdk.host import printable

OCCASION = "missed"


def message(entry: Entry) -> Message:
    """Return the message about one entry of the record ``schedule.jsonl``."""
    what = "scheduled run could not begin" if entry.kind == NOT_BEGUN else "missed"
    lines = [
        entry.message,
        f"service: {entry.service or 'unknown'}",
        f"due since: {entry.due}" if entry.due else "due: it has never passed",
        f"to see what is due: {program()} drill.due",
    ]
    title = f"[{entry.environment or 'any environment'}] drill {entry.drill}: {what}"
    return Message(printable(title[:150]), printable("\n".join(lines)), "failure")


def tell(inventory: Inventory, entry: Entry) -> Iterator[str]:
    """Send the message about ``entry`` to each contact who wants such messages. Yields the reason for each failed
    delivery.
    """
    for name, contact in inventory.contacts.items():
        for number, way in enumerate(contact.notify if OCCASION in contact.on else (), 1):
            try:
                sending.deliver(way, message(entry))
            except NotDelivered as error:
                yield f"the message to {name} was not delivered (service URL {number}): {error}"
