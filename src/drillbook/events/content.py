"""Content of an event: the base class of all kinds, and the content of unknown kinds."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

RUN_FINISHED, RECOVERY_FINISHED = "run.finished", "recovery.finished"
ENDS = (RUN_FINISHED, RECOVERY_FINISHED)
"""Kinds that end a run or its recovery, as constants for code that does not load the models."""
Json = dict[str, Any]
"""A JSON object with a format of its own, such as a plan, a finding or the facts of an action."""


class Content(BaseModel):
    """Base of all kinds of events. Unknown fields, written by newer versions, are preserved; a field of a wrong type is an error."""

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True, defer_build=True, hide_input_in_errors=True)

    KIND: ClassVar[str] = ""
    """Name of the event's kind in the journal."""
    PLACE: ClassVar[str] = ""
    """Names of the event's fields outside its content that locate it, such as `step and host`, for `docs/journal.md`."""
    DECISIVE: ClassVar[bool] = False
    """True when an undo depends on events of this kind. These are also held in memory, in case the disk is full or fails."""
    STAMPED: ClassVar[bool] = False
    """True when the journal adds a field to the content: the seconds for which the controller was suspended so far."""
    BULK: ClassVar[bool] = False
    """True when events of this kind are the first to be dropped on a full disk."""

    def kind_name(self) -> str:
        """Name of the event's kind in the journal."""
        return self.KIND

    def data(self) -> Json:
        """Content as stored in the journal: the fields that were set, and unknown fields of newer versions."""
        fields = type(self).model_fields
        return {
            (fields[name].serialization_alias or name) if name in fields else name: getattr(self, name)
            for name in self.model_fields_set
        }


class Unknown(Content):
    """Content of a kind that this version does not know, preserved unchanged."""

    name: str
    content: Json

    def kind_name(self) -> str:
        """Name of the event's kind in the journal."""
        return self.name

    def data(self) -> Json:
        """Content as stored in the journal."""
        return self.content
