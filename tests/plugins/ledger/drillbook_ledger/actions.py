"""Actions on ledgers."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from drillbook.sdk import NotReady, StepFailed, finding
from drillbook.sdk.action import Context, Facts, Fault, Read, Undo, Write

from .service import Ledger, ServiceName


class Check(Read):
    """Look that the ledger answers, and that no number stands twice."""

    service: ServiceName

    def run(self, ctx: Context) -> Facts:
        """Facts: ``lines``, how many there are."""
        numbers = [number for number, _ in ctx.service(self.service, Ledger).lines()]
        twice = sorted({number for number in numbers if numbers.count(number) > 1})
        if twice:
            raise StepFailed(
                f"{len(twice)} numbers stand twice",
                findings=[finding("ledger-twice", wanted="each number once", measured=f"{twice[0]} twice")],
            )
        return {"lines": len(numbers)}


class State(Read):
    """Ask whether the ledger takes lines."""

    service: ServiceName

    def run(self, ctx: Context) -> Facts:
        """Facts: ``status`` of its health."""
        return {"status": ctx.service(self.service, Ledger).ask("/health").status}


class Note(Write):
    """Write a line, and take it back at the end."""

    UNDO = ("commands",)

    service: ServiceName
    text: Annotated[str, Field(pattern=r"^[a-z ]+$", description="The line.")]

    def run(self, ctx: Context) -> Facts:
        """Facts: ``number``."""
        answer = ctx.service(self.service, Ledger).ask("/lines", method="POST", body=self.text.encode())
        if answer.status != 201:
            raise StepFailed(f"the ledger answers {answer.status}")
        return {"number": int(answer.body)}

    def undo(self, ctx: Context) -> Undo:
        """Take the line out of the file."""
        return Undo.by_commands(("sed", "-i", f"/^[0-9]* {self.text}$/d", ctx.service(self.service, Ledger).file))

    def active(self, ctx: Context) -> bool:
        """Return True when the line exists."""
        return any(text == self.text for _, text in ctx.service(self.service, Ledger).lines())


class Freeze(Fault):
    """Freeze the ledger: it takes no lines any more."""

    UNDO = ("commands",)

    service: ServiceName

    def ready(self, ctx: Context) -> None:
        """It must take lines now."""
        if self.active(ctx):
            raise NotReady(f"{self.service} is frozen before the drill", hint="thaw it")

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``flag``, the file that says so."""
        ctx.run("touch", "--", self._flag(ctx)).check()
        return {"flag": self._flag(ctx)}

    def undo(self, ctx: Context) -> Undo:
        """Thaw it."""
        return Undo.by_commands(("rm", "-f", "--", self._flag(ctx)))

    def active(self, ctx: Context) -> bool:
        """Return True when the ledger is frozen."""
        return ctx.run("test", "-e", self._flag(ctx)).exit == 0

    def _flag(self, ctx: Context) -> str:
        return f"{ctx.service(self.service, Ledger).file}.frozen"


class Thaw(Write):
    """Thaw the ledger."""

    UNDO = ("nothing",)

    service: ServiceName

    def run(self, ctx: Context) -> Facts:
        """No facts."""
        ctx.run("rm", "-f", "--", f"{ctx.service(self.service, Ledger).file}.frozen").check()
        return {}

    def undo(self, ctx: Context) -> Undo:
        """It is to take lines."""
        return Undo.nothing("a ledger that takes lines is the wanted state")
