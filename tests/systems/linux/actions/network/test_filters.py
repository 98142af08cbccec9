"""Rules of a fault in the packet filter: their undo, and rules that are only partly there."""

import pytest

from drillbook.errors import CommandFailed, CouldNotVerify
from tests.systems.linux.actions.network.machines import PEER, PORT, carry_out, make


def test_an_undo_without_the_right_fails_instead_of_saying_that_it_is_gone(far):
    fault, ctx = make("drop", peer=PEER, peer_port=PORT), far.context()
    for tool in ("iptables", "nft"):
        argv = make("drop", peer=PEER, peer_port=PORT, tool=tool).undo(ctx).commands[0]
        with pytest.raises(CommandFailed):
            ctx.run("setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin", *argv).check()
    assert fault.active(ctx) is False


def test_rules_that_somebody_took_apart_are_neither_active_nor_gone(far):
    fault, ctx = make("drop", peer=PEER, peer_port=PORT, tool="iptables"), far.context()
    try:
        name = fault.inject(ctx)["rules"]
        comment = f"drillbook {ctx.run_id} {ctx.step}"
        for hook in ("INPUT", "OUTPUT"):
            far.target.sh(
                "iptables",
                "-D",
                hook,
                "-m",
                "comment",
                "--comment",
                comment,
                "-j",
                f"{name}-{'in' if hook == 'INPUT' else 'out'}",
            )
        with pytest.raises(CouldNotVerify, match="only partly set"):
            fault.active(ctx)
    finally:
        carry_out(ctx, fault.undo(ctx))
