"""Actions on things of a simulated system; a thing is an entry in a host's memory."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from drillbook.errors import StepFailed
from drillbook.sdk.action import Context, Facts, Fault, Place, Read, Undo, Write
from drillbook.sdk.identity import Identity
from drillbook.sdk.object_reference import Reference

Thing = Annotated[str, Field(description="What it does it to.")]
How = Annotated[Literal["commands", "action"], Field(description="How it is put back.")]
Trouble = Annotated[Literal["", "before", "after"], Field(description="Whether it fails, before or after its act.")]


def _act(ctx: Context, word: str, thing: str, trouble: str) -> Facts:
    if trouble != "before":
        ctx.run("half" if trouble == "half" else word, thing).check()
    if trouble:
        raise StepFailed(f"{word} {thing} fails {trouble} its act")
    return {"thing": thing}


def _host(ctx: Context) -> Identity:
    """All things of a host, as one service: a backup contains all of them."""
    return Identity(kind="pretend", of={"at": ctx.host.name})


def _undo(how: str, thing: str) -> Undo:
    return Undo.by_commands(("mend", thing)) if how == "commands" else Undo.by_action("pretend.mend", thing=thing)


class Break(Fault):
    """Break a thing in a way that commands can undo."""

    PLACE = Place.HOSTS
    UNDO = ("commands", "action")

    thing: Thing
    how: How
    trouble: Trouble = ""

    def inject(self, ctx: Context) -> Facts:
        return _act(ctx, "make", self.thing, self.trouble)

    def undo(self, ctx: Context) -> Undo:
        return _undo(self.how, self.thing)

    def active(self, ctx: Context) -> bool:
        return ctx.run("is", self.thing).exit == 0


class Lose(Fault):
    """Lose a thing for good."""

    PLACE = Place.HOSTS
    UNDO = ("restore",)
    RESTORE_ONLY = True
    PROVEN_BY = ("pretend.prove",)
    RESTORED_BY = {"pretend.prove": "pretend.restore"}

    thing: Thing
    trouble: Annotated[
        Literal["", "before", "half", "after"],
        Field(description="Whether it fails: before its act, when half of it is done, or after it."),
    ] = ""

    def inject(self, ctx: Context) -> Facts:
        return _act(ctx, "make", self.thing, self.trouble)

    def subject(self, ctx: Context) -> Identity | None:
        return _host(ctx)

    def undo(self, ctx: Context) -> Undo:
        return Undo.by_restore("only a restore brings it back")

    def active(self, ctx: Context) -> bool:
        return ctx.run("is", self.thing).exit == 0

    def untouched(self, ctx: Context) -> bool:
        return ctx.run("is", self.thing).exit == 1

    def interrupted(self, ctx: Context) -> None:
        ctx.run("start", self.thing).check()


class Change(Write):
    """Change a thing on purpose, and undo this at the end."""

    PLACE = Place.HOSTS
    UNDO = ("commands", "action")

    thing: Thing
    how: How
    trouble: Trouble = ""

    def run(self, ctx: Context) -> Facts:
        return _act(ctx, "make", self.thing, self.trouble)

    def undo(self, ctx: Context) -> Undo:
        return _undo(self.how, self.thing)

    def active(self, ctx: Context) -> bool:
        return ctx.run("is", self.thing).exit == 0


class Keep(Write):
    """Create something that stays, as a backup does."""

    PLACE = Place.HOSTS
    UNDO = ("nothing",)

    from_: Annotated[str, Field(alias="from", description="What it is made of.")] = ""

    def run(self, ctx: Context) -> Facts:
        return {}

    def undo(self, ctx: Context) -> Undo:
        return Undo.nothing("it is kept")


class Mend(Write):
    """Repair a thing."""

    PLACE = Place.HOSTS
    UNDO = ("nothing",)

    thing: Thing

    def run(self, ctx: Context) -> Facts:
        ctx.run("mend", self.thing).check()
        return {}

    def undo(self, ctx: Context) -> Undo:
        return Undo.nothing("it is an undo itself")


class Restore(Write):
    """Restore the lost things of a host, behind a closed door that is opened at the end."""

    PLACE = Place.HOSTS
    UNDO = ("action",)

    from_: Annotated[str, Field(alias="from", description="The backup.")] = ""

    def run(self, ctx: Context) -> Facts:
        ctx.run("make", "door").check()
        ctx.run("restore").check()
        return {}

    def subject(self, ctx: Context) -> Identity | None:
        return _host(ctx)

    def undo(self, ctx: Context) -> Undo:
        return Undo.by_action("pretend.mend", thing="door")

    def active(self, ctx: Context) -> bool:
        return ctx.run("is", "door").exit == 0


class Prove(Read):
    """Verify that the backup is intact."""

    PLACE = Place.HOSTS
    PROVES_BACKUP = True
    RESTORES_WITH = ("pretend.restore",)

    from_: Annotated[str, Field(alias="from", description="The backup.")] = ""
    of: Annotated[Literal["itself", "elsewhere", "unknown", "nothing"], Field(description="What the backup is of.")] = (
        "itself"
    )

    def run(self, ctx: Context) -> Facts:
        if self.of == "nothing":
            raise StepFailed("the backup is not whole")
        if self.of == "unknown":
            return {}
        found = _host(ctx) if self.of == "itself" else Identity(kind="pretend", of={"at": "elsewhere"})
        return {"identity": found.saved(Reference.parse(self.from_).sha256 if self.from_ else "").model_dump()}

    def subject(self, ctx: Context) -> Identity | None:
        return _host(ctx)


class Whole(Read):
    """Verify that nothing is lost."""

    PLACE = Place.HOSTS

    def run(self, ctx: Context) -> Facts:
        ctx.run("whole").check()
        return {}
