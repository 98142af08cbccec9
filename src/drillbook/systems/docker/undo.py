"""How a change of a container is put back: by the ``docker`` of its host, which needs nobody, or from here."""

from __future__ import annotations

from drillbook.sdk.action import Context, Undo
from drillbook.systems.docker.engine import Place, engine

Argv = tuple[str, ...]


def tool(ctx: Context) -> Argv:
    """What a command of the host's own ``docker`` begins with."""
    return (*(("sudo", "-n") if ctx.host.target.manager.sudo else ()), "docker")


def put_back(ctx: Context, where: Place, script: str, words: Argv, otherwise: Undo) -> Undo:
    """``script`` with the container's name and ``words``, on the host when its ``docker`` rules this very container.

    TOOL in the script stands for ``docker``. Where the host does not rule the container it is ``otherwise``, an action,
    which only a controller can carry out: nothing puts it back by itself while there is none.
    """
    with engine(ctx, where) as found:
        number = found.container(where.container).id
    seen = ctx.run(*tool(ctx), "inspect", "--type", "container", "--format", "{{.Id}}", "--", where.container)
    if not seen.ok or seen.text.strip() != number:
        return otherwise
    return Undo.by_commands(("sh", "-c", script.replace("TOOL", " ".join(tool(ctx))), "sh", where.container, *words))
