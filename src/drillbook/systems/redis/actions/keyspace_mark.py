"""Actions on the mark of a run, a key in the keyspace, for drills that restore from a team's own backup."""

from __future__ import annotations

from drillbook.sdk.action import Context, Facts, Place, Undo, Write
from drillbook.systems.redis import content, identity, preflight, server_state
from drillbook.systems.redis.actions.fields import ServiceName
from drillbook.systems.redis.connection import connected
from drillbook.systems.redis.in_place import MARKED
from drillbook.systems.redis.service import Redis


class Mark(Write):
    """Write the mark of this run, a key in the keyspace. `redis.flush` refuses to run without this key.

    Drills that restore from a team's own backup need this action.

    `redis.save` writes the mark itself. After a restore, `backup.restore` writes the mark again. The mark is removed at the
    end of the run.
    """

    SERVICE = Redis
    PLACE = Place.CONTROLLER
    UNDO = ("action",)
    UNDO_ACTIONS = ("redis.unmark",)

    service: ServiceName

    def run(self, ctx: Context) -> Facts:
        """Facts: ``key`` (name of the key that was written)."""
        ctx.evidence(MARKED, self.service, sync=True)
        with connected(ctx, ctx.service(self.service, Redis)) as session:
            server_state.must_be_master(session, ctx.service(self.service, Redis))
            identity.mark(session, ctx.run_id)
        return {"key": content.mark_of(ctx.run_id)}

    def ready(self, ctx: Context) -> None:
        """Check that the server is a master. Also check that the user may write, read and remove the mark of this run, which
        is a key in the keyspace.
        """
        preflight.need_mark(ctx, ctx.service(self.service, Redis))

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that removes the mark of this run, which is a key in the keyspace."""
        return Undo.by_action("redis.unmark", service=self.service)

    def active(self, ctx: Context) -> bool:
        """Return True while the keyspace contains the mark of this run, a key that this action wrote."""
        return identity.marked(ctx, self.service)


class Unmark(Write):
    """Remove the mark (a key) that this run left in the keyspace. Do nothing when there is no mark."""

    SERVICE = Redis
    PLACE = Place.CONTROLLER
    UNDO = ("nothing",)

    service: ServiceName

    def run(self, ctx: Context) -> Facts:
        """Facts: ``removed`` (number of removed keys, 0 or 1)."""
        with connected(ctx, ctx.service(self.service, Redis)) as session:
            return {"removed": session.ask("DEL", content.mark_of(ctx.run_id))}

    def undo(self, ctx: Context) -> Undo:
        """Return an undo that changes nothing: the mark existed only for the drill."""
        return Undo.nothing("the removed mark was needed only during this run")
