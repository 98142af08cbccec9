"""Action `manual.confirm`, which asks a person at the terminal."""

from __future__ import annotations

import os
import select
import sys
import threading
import time
from contextlib import suppress
from typing import Annotated

from pydantic import Field

from drillbook.errors import Cancelled, CouldNotVerify, NotReady, StepFailed
from drillbook.events.steps import Waited
from drillbook.findings import finding
from drillbook.sdk.action import Context, Facts, Place, Read
from drillbook.sdk.host import printable
from drillbook.sdk.host_needs import HostNeeds
from drillbook.signing import account
from drillbook.values import Duration

ASSUME = "DRILLBOOK_ASSUME"
"""Environment variable that holds an answer, ``yes`` or ``no``. When it is set, the step uses this answer and asks nobody.
`invoke drill --assume` sets it.
"""

ANSWERS = {"yes": "yes", "y": "yes", "no": "no", "n": "no", "abort": "abort"}
_ONE_AT_A_TIME = threading.Lock()


class Confirm(Read):
    """Ask the person at the terminal, and continue when the answer is yes. The waiting time is measured separately."""

    PLACE = Place.CONTROLLER
    TIMEOUT = 86400.0
    ANY_DATA = True
    NEEDS = HostNeeds(rights="a person at the controller's terminal, or the option `--assume`")
    EXAMPLE = """
        restore:
          - manual.confirm:
              prompt: "Point api.example.org to the other site, as page 12 of the handbook describes. Does it answer?"
              timeout: 20m
    """

    prompt: Annotated[
        str, Field(min_length=1, max_length=2000, description="Instruction for the person, and the question to answer.")
    ]
    timeout: Annotated[
        Duration,
        Field(
            gt=0, description="Time limit for the answer. When nobody has answered by then, the step counts as not verified."
        ),
    ] = Duration(900)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``answer``, ``by`` (the person), ``assumed`` (true when nobody was asked), ``seconds`` (waiting time).

        When the answer was assumed, there is also the fact ``findings``.
        """
        assumed = _assumed()
        begun = time.monotonic()
        try:
            answer = assumed or self._ask(ctx)
        finally:
            waited = round(time.monotonic() - begun, 3)
            if assumed is None:
                ctx.note(Waited(seconds=waited, why=printable(self.prompt, limit=200)))
        by = f"assumed by {ASSUME}, {_person()}" if assumed else _person()
        facts: Facts = {"answer": answer, "by": by, "assumed": assumed is not None, "seconds": 0.0 if assumed else waited}
        if assumed:
            problem = finding(
                "assumed-answer",
                title=printable(self.prompt, limit=80),
                wanted="a person's answer",
                measured=f"{assumed}, {by}",
            )
            facts["findings"] = [problem.model_dump(mode="json")]
        if answer == "abort":
            ctx.deadline.cancel.set()
            raise Cancelled(f"{by} answered `abort` to the question: {printable(self.prompt, limit=200)}")
        if answer == "no":
            raise StepFailed(
                f"{by} answered `no` to the question: {printable(self.prompt, limit=200)}",
                facts=facts,
                findings=[
                    finding("not-confirmed", title=printable(self.prompt, limit=80), wanted="yes", measured=f"no, {by}")
                ],
            )
        return facts

    def ready(self, ctx: Context) -> None:
        """Check that the question can be answered: by a person at the terminal, or by an environment variable."""
        try:
            answered = _assumed() is not None
        except CouldNotVerify as error:
            raise NotReady(error.message, hint=error.hint) from None
        if not answered and not sys.stdin.isatty():
            raise NotReady("the step asks a person at the terminal, but this run has no terminal", hint=_HINT)

    def _ask(self, ctx: Context) -> str:
        """Ask at the terminal and return the answer. Raises CouldNotVerify when nobody answers in time or there is no
        terminal, and Cancelled when the run is stopped.
        """
        if not sys.stdin.isatty():
            raise CouldNotVerify("the step asks a person at the terminal, but this run has no terminal", hint=_HINT)
        with _ONE_AT_A_TIME:
            until = time.monotonic() + float(self.timeout)
            _show(f"\n{printable(self.prompt, limit=2000)}\nyes, no or abort, within {self.timeout}: ")
            while time.monotonic() < until:
                ctx.deadline.check()
                if not select.select([sys.stdin], [], [], 0.1)[0]:
                    continue
                line = os.read(sys.stdin.fileno(), 4096)
                if not line:
                    raise CouldNotVerify("the terminal was closed before anybody answered")
                word = ANSWERS.get(line.decode("utf-8", "replace").strip().lower())
                if word is not None:
                    return word
                _show("please answer yes, no or abort: ")
            raise CouldNotVerify(f"nobody answered within {self.timeout}: {printable(self.prompt, limit=200)}")


_HINT = "run the drill at a terminal, or use `--assume yes`; the report then says that the answer was assumed"


def _assumed() -> str | None:
    """Return the answer that an environment variable (``ASSUME``) sets in place of a person's answer. Returns None when the
    variable is not set. Raises CouldNotVerify when its value is invalid.
    """
    said = os.environ.get(ASSUME, "")
    if said in ("", "yes", "no"):
        return said or None
    raise CouldNotVerify(
        f"{ASSUME} is {printable(said, limit=40)!r}, but must be yes or no", hint="set this variable to yes or no"
    )


def _show(text: str) -> None:
    """Write ``text`` to the terminal from which standard input reads. This works even if standard output is redirected."""
    with suppress(OSError):
        os.write(sys.stdin.fileno(), text.encode("utf-8", "replace"))


def _person() -> str:
    name = os.environ.get("DRILLBOOK_OPERATOR") or account.name()
    with suppress(OSError):
        return f"{name} at {os.ttyname(sys.stdin.fileno())}"
    return name
