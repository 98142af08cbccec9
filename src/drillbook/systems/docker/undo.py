"""Undo of a change to a container: by ``docker`` on its host, which works without the controller, or from the controller."""

from __future__ import annotations

from drillbook.sdk.action import Context, Undo
from drillbook.systems.docker.engine import Place, engine

Argv = tuple[str, ...]


def tool(ctx: Context) -> Argv:
    """Return the first words of a ``docker`` command line for the host; with ``sudo -n`` if the inventory sets `sudo`."""
    return (*(("sudo", "-n") if ctx.host.target.manager.sudo else ()), "docker")


def put_back(ctx: Context, where: Place, script: str, words: Argv, otherwise: Undo) -> Undo:
    """Return an undo by ``script`` on the host; if the host's ``docker`` does not control the container, return
    ``otherwise``.

    In ``script``, TOOL is replaced by the command ``docker``. The arguments of ``script`` are the container's name and
    ``words``. ``otherwise`` is an undo by an action, which needs the controller.
    """
    with engine(ctx, where) as found:
        number = found.container(where.container).id
    seen = ctx.run(*tool(ctx), "inspect", "--type", "container", "--format", "{{.Id}}", "--", where.container)
    if not seen.ok or seen.text.strip() != number:
        return otherwise
    return Undo.by_commands(("sh", "-c", script.replace("TOOL", " ".join(tool(ctx))), "sh", where.container, *words))
