"""Transport of all channels: exchanges of keys, and channels of a lost connection."""

from concurrent.futures import ThreadPoolExecutor

from drillbook.hosts.ssh.session import open_session
from drillbook.hosts.ssh.transport import close_channel
from tests.hosts.suite import soon


def test_a_channel_of_a_lost_connection_is_closed_without_an_error(server, opened, monkeypatch):
    """An error of closing a channel would replace the result of the command, or end the thread that kills it."""

    def broken(data):
        raise EOFError

    link = opened(server.target()).link(soon())
    channel = open_session(link, soon(), host="far")
    with monkeypatch.context() as patch:
        patch.setattr(link.transport.packetizer, "write_all", broken)
        close_channel(channel)
    assert channel.closed


def test_commands_end_while_keys_are_exchanged(openssh, opened):
    """New keys are exchanged after every half gigabyte: a command that ends during the exchange must not wait for
    itself.
    """
    host = opened(openssh.target())
    transport = host.link(soon()).transport
    exchanges = []
    send = transport._send_kex_init
    transport._send_kex_init = lambda: (exchanges.append(1), send())
    transport.packetizer.REKEY_BYTES = 1_000_000
    with ThreadPoolExecutor(8) as pool:
        for number in range(60):  # how much of the input is sent before a command ends differs
            if number >= 6 and len(exchanges) > 10:
                break
            assert all(
                one.ok for one in pool.map(lambda _: host.run(["true"], stdin=bytes(300_000), deadline=soon()), range(14))
            )
    assert len(exchanges) > 10
    assert host.link(soon()).transport is transport
