"""The service kind `ledger`, and questions to such a server."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from drillbook.sdk import CouldNotVerify, Secret
from drillbook.sdk.service import Service
from drillbook.sdk.web import Answer, ask

ServiceName = Annotated[str, Field(description="The ledger in the inventory.")]


class Ledger(Service):
    """A ledger."""

    kind: Literal["ledger"] = "ledger"
    url: str = Field(description="Root URL, as seen from the controller, without a slash at the end.")
    file: str = Field(pattern=r"^/", description="Path on its host of the file that holds the lines.")
    token: Secret | None = Field(default=None, description="Token that a writer shows.")

    def ask(self, path: str, timeout: float = 5.0, method: str = "GET", body: bytes = b"") -> Answer:
        """One request. Raises OSError."""
        headers = {"Authorization": f"Bearer {self.token.reveal()}"} if self.token else {}
        return ask(f"{self.url}{path}", timeout=timeout, method=method, body=body, headers=headers)

    def lines(self) -> list[tuple[int, str]]:
        """All lines with their numbers. Raises CouldNotVerify."""
        try:
            answer = self.ask("/lines")
        except OSError as error:
            raise CouldNotVerify(f"the ledger at {self.url} does not answer: {error}") from None
        if answer.status != 200:
            raise CouldNotVerify(f"the ledger at {self.url} answers {answer.status}")
        split = (line.partition(" ") for line in answer.body.decode().splitlines())
        return [(int(number), text) for number, _, text in split]
