"""Actions on ledgers."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from drillbook.sdk import NotReady, StepFailed, finding
from drillbook.sdk.action import Context, Facts, Fault, Read, Undo, Write

from .service import Ledger, ServiceName


class Check(Read):
    """Check that the ledger answers, and that no number occurs twice."""

    service: ServiceName

    def run(self, ctx: Context) -> Facts:
        """Facts: ``lines``, the number of lines."""
        numbers = [number for number, _ in ctx.service(self.service, Ledger).lines()]
        twice = sorted({number for number in numbers if numbers.count(number) > 1})
        if twice:
            raise StepFailed(
                f"{len(twice)} numbers stand twice",
                findings=[finding("ledger-twice", wanted="each number once", measured=f"{twice[0]} twice")],
            )
        return {"lines": len(numbers)}


class State(Read):
    """Check that the ledger accepts lines."""

    service: ServiceName

    def run(self, ctx: Context) -> Facts:
        """Facts: ``status`` of its health."""
        return {"status": ctx.service(self.service, Ledger).ask("/health").status}


class Note(Write):
    """Write a line, and remove it at the end."""

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
        """Remove the line from the file."""
        return Undo.by_commands(("sed", "-i", f"/^[0-9]* {self.text}$/d", ctx.service(self.service, Ledger).file))

    def active(self, ctx: Context) -> bool:
        """Return True when the line exists."""
        return any(text == self.text for _, text in ctx.service(self.service, Ledger).lines())


class Freeze(Fault):
    """Freeze the ledger: it accepts no lines any more."""

    UNDO = ("commands",)

    service: ServiceName

    def ready(self, ctx: Context) -> None:
        """Require that the ledger accepts lines."""
        if self.active(ctx):
            raise NotReady(f"{self.service} is frozen before the drill", hint="thaw it")

    def inject(self, ctx: Context) -> Facts:
        """Facts: ``flag``, the file that freezes the ledger."""
        ctx.run("touch", "--", self._flag(ctx)).check()
        return {"flag": self._flag(ctx)}

    def undo(self, ctx: Context) -> Undo:
        """Remove the file, which ends the freeze."""
        return Undo.by_commands(("rm", "-f", "--", self._flag(ctx)))

    def active(self, ctx: Context) -> bool:
        """Return True when the ledger is frozen."""
        return ctx.run("test", "-e", self._flag(ctx)).exit == 0

    def _flag(self, ctx: Context) -> str:
        return f"{ctx.service(self.service, Ledger).file}.frozen"


class Thaw(Write):
    """End the freeze of the ledger."""

    UNDO = ("nothing",)

    service: ServiceName

    def run(self, ctx: Context) -> Facts:
        """No facts."""
        ctx.run("rm", "-f", "--", f"{ctx.service(self.service, Ledger).file}.frozen").check()
        return {}

    def undo(self, ctx: Context) -> Undo:
        """Nothing to undo: the ledger should accept lines."""
        return Undo.nothing("a ledger that takes lines is the wanted state")
