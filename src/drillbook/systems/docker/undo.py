"""Undo of a change to a container.

If the program ``docker`` on the host controls the container, the undo is a command that the host can run without the
controller. Otherwise, the undo is an action that the controller runs.
"""

from __future__ import annotations

from drillbook.sdk.action import Context, Undo
from drillbook.systems.docker.client import Place, engine

Argv = tuple[str, ...]


def tool(ctx: Context) -> Argv:
    """Return the first words of a ``docker`` command for the host.

    If the inventory sets `sudo`, the command begins with ``sudo -n``.
    """
    return (*(("sudo", "-n") if ctx.host.target.manager.sudo else ()), "docker")


def put_back(ctx: Context, where: Place, script: str, words: Argv, otherwise: Undo) -> Undo:
    """Return an undo that runs ``script`` on the host, if the program ``docker`` there controls the container. If that
    program does not control the container, return ``otherwise``: an undo that runs an action from the controller. In
    ``script``, the word TOOL is replaced by the command ``docker``. The arguments of ``script`` are the container's name
    and ``words``.
    """
    with engine(ctx, where) as connection:
        number = connection.container(where.container).id
    seen = ctx.run(*tool(ctx), "inspect", "--type", "container", "--format", "{{.Id}}", "--", where.container)
    if not seen.ok or seen.text.strip() != number:
        return otherwise
    return Undo.by_commands(("sh", "-c", script.replace("TOOL", " ".join(tool(ctx))), "sh", where.container, *words))
