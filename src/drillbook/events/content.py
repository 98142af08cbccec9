"""Content of an event: the base class of all kinds, and the content of unknown kinds."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

RUN_FINISHED, RECOVERY_FINISHED = "run.finished", "recovery.finished"
ENDS = (RUN_FINISHED, RECOVERY_FINISHED)
"""Kinds of events that end a run or its recovery. They are written here as plain texts, for code that must not load the models
of these events.
"""
Json = dict[str, Any]
"""A JSON object whose format is defined elsewhere, such as a plan, a finding or the facts of an action."""


class Content(BaseModel):
    """Base of all kinds of events.

    Unknown fields, which a newer version of Drillbook wrote, are preserved. A field of a wrong type is an error.
    """

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True, defer_build=True, hide_input_in_errors=True)

    KIND: ClassVar[str] = ""
    """Name of this kind of event in the journal."""
    PLACE: ClassVar[str] = ""
    """Words that tell to what events of this kind belong, such as `step and host`: a step and a host. `docs/journal.md` shows
    these words. The id of the step and the name of the host are in fields of the event, outside of the content.
    """
    DECISIVE: ClassVar[bool] = False
    """True when later work needs events of this kind. Either an undo needs them, or a person needs them to close the run: to
    declare that its remaining changes need no undo.

    Such events are also kept in memory, because the disk may be full or fail.
    """
    STAMPED: ClassVar[bool] = False
    """True when the journal adds a field to the content of these events: the number of seconds for which the controller was
    suspended so far.
    """
    BULK: ClassVar[bool] = False
    """True when events of this kind are the first to be dropped on a full disk."""

    def kind_name(self) -> str:
        """Name of the event's kind in the journal."""
        return self.KIND

    def data(self) -> Json:
        """Content in the form in which the journal stores it.

        It has the fields that were set, and the unknown fields that newer versions wrote.
        """
        fields = type(self).model_fields
        return {
            (fields[name].serialization_alias or name) if name in fields else name: getattr(self, name)
            for name in self.model_fields_set
        }


class Unknown(Content):
    """Content of an unknown kind, written by another version of Drillbook. It is preserved unchanged."""

    name: str
    content: Json

    def kind_name(self) -> str:
        """Name of the event's kind in the journal."""
        return self.name

    def data(self) -> Json:
        """Content in the form in which the journal stores it."""
        return self.content
