"""This machine with sandboxes and backup sources, whose actions are executed as by the runner."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from drillbook.errors import StepFailed
from drillbook.hosts.local import LocalHost
from drillbook.inventory.inventory import Inventory
from drillbook.sdk.action import Action, Context, Facts, find
from drillbook.sdk.host import Deadline
from drillbook.sdk.sandbox import sandbox_folder

HERE = "here"


class Estate:
    """Inventory with this machine as its only host; each sandbox has its folder below ``root``."""

    def __init__(
        self,
        root: Path,
        *,
        services: dict[str, Any],
        backups: dict[str, Any],
        manager: dict[str, Any] | None = None,
        **inventory: Any,
    ) -> None:
        self.root = root
        (root / "scratch").mkdir()
        hosts: dict[str, dict[str, Any]] = {HERE: {"local": True, "scratch": str(root / "scratch")}}
        if manager:
            hosts[HERE]["manager"] = manager
        for name, service in services.items():
            if "sandbox" in service:
                given = {"data_may_leave": True, "folder": str(root / f"box-{name}"), **service["sandbox"]}
                service["sandbox"] = given
        places = [{"host": HERE, **source} for source in backups.values()]
        self.inventory = Inventory.model_validate(
            {
                "environment": "lab",
                "hosts": hosts,
                "services": {name: {"host": HERE, **service} for name, service in services.items()},
                "backups": dict(zip(backups, places, strict=True)),
                **inventory,
            }
        )
        self.host = LocalHost(HERE, target=self.inventory.target(HERE))
        self.run_id = uuid.uuid4().hex[:12]

    def ctx(self, step: str = "restore.1", seconds: float = 120, run: str = "") -> Context:
        return Context(
            run_id=run or self.run_id,
            step=step,
            host=self.host,
            services=self.inventory.services,
            host_named=lambda name: self.host,
            deadline=Deadline.after(seconds),
            folder=self.root / "run",
            hosts=self.inventory.hosts,
        )

    def action(self, name: str, **fields: Any) -> Action:
        action: Action = find(name).model_validate(fields)
        return action

    def run(self, name: str, *, ctx: Context | None = None, **fields: Any) -> Facts:
        """Run the check of the action, then the action."""
        action, ctx = self.action(name, **fields), ctx or self.ctx()
        action.ready(ctx)
        return action.run(ctx)

    def restore(self, source: str, box: str, **fields: Any) -> Facts:
        return self.run("backup.restore", service=box, **{"from": source}, **fields)

    def remove(self, source: str, box: str, run: str = "") -> None:
        """Undo a restore as the host of a dead controller does: with plain commands."""
        ctx = self.ctx(run=run)
        undo = self.action("backup.restore", service=box, **{"from": source}).undo(ctx)
        assert undo.kind == "commands"
        for argv in undo.commands:
            subprocess.run(argv, env={"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"}, check=True, timeout=60)

    def folder(self, box: str) -> Path:
        service = self.inventory.services[box]
        return Path(sandbox_folder(box, service.sandbox))  # type: ignore[attr-defined]

    @property
    def source(self) -> str:
        """Name of its first backup source."""
        return next(iter(self.inventory.backups))

    def found_by_check(self) -> list[str]:
        """Codes of the findings in the newest backup, without the check of the hosts that precedes a drill."""
        return self._found(lambda: self.action("backup.check", service=self.source).run(self.ctx()))

    def found_by_restore(self) -> list[str]:
        """Codes of the findings of a restore into the sandbox `copy`, which is removed afterwards."""
        try:
            return self._found(lambda: self.restore(self.source, "copy"))
        finally:
            self.remove(self.source, "copy")
            assert not self.folder("copy").exists()

    @staticmethod
    def _found(action: Callable[[], Facts]) -> list[str]:
        try:
            action()
        except StepFailed as failure:
            return [finding.code for finding in failure.findings]
        return []


def codes(failure: Any) -> list[str]:
    """Codes of the findings of a failed step."""
    return [finding.code for finding in failure.value.findings]
