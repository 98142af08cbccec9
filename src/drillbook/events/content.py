"""The content of an event: the base of all models, and the content of kinds that this version does not know."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

RUN_FINISHED, RECOVERY_FINISHED = "run.finished", "recovery.finished"
ENDS = (RUN_FINISHED, RECOVERY_FINISHED)
"""Kinds by which a run or its recovery ended; their names are here for those who look for them without the models."""
Json = dict[str, Any]
"""A JSON object whose own form is described elsewhere, such as a plan, a finding or the facts of an action."""


class Content(BaseModel):
    """Base of all kinds of events. Fields that a newer version added are kept; a field of a wrong type is an error."""

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True, defer_build=True, hide_input_in_errors=True)

    KIND: ClassVar[str] = ""
    """Name of the kind in the journal."""
    PLACE: ClassVar[str] = ""
    """Fields beside the content that its events name: `step`, `host`."""
    DECISIVE: ClassVar[bool] = False
    """True when it decides what is put back: it is kept in memory too, since the disk may fill up or be taken away."""
    STAMPED: ClassVar[bool] = False
    """True when the journal adds for how long the controller was suspended since it was opened."""
    BULK: ClassVar[bool] = False
    """True when it is left out first where there is no room for it on the disk."""

    def kind_name(self) -> str:
        """Name of the kind in the journal."""
        return self.KIND

    def data(self) -> Json:
        """The content as the journal holds it: the fields that were given, and those that a newer version added."""
        fields = type(self).model_fields
        return {
            (fields[name].serialization_alias or name) if name in fields else name: getattr(self, name)
            for name in self.model_fields_set
        }


class Unknown(Content):
    """Content of a kind that this version does not know: kept as it is, and handled by nobody."""

    name: str
    content: Json

    def kind_name(self) -> str:
        """Name of the kind in the journal."""
        return self.name

    def data(self) -> Json:
        """The content as the journal holds it."""
        return self.content
