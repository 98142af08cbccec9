"""The channel of the next command is opened in advance, and data that is sent together arrives together."""

import threading

import pytest
from paramiko.message import Message

from drillbook.hosts import open_host
from drillbook.hosts.ssh import early_channels
from drillbook.hosts.ssh.packets import Packets
from tests.hosts.servers import OpenSsh
from tests.hosts.suite import soon


@pytest.fixture
def host(openssh):
    host = open_host(openssh.target(), targets={})
    yield host
    host.close()


def _transport(host):
    return host.link(soon()).transport


def _asked_for(transport):
    """Number of requested channels."""
    return len(transport.channels_seen)


def test_a_command_uses_the_channel_that_was_opened_with_the_one_before(host):
    for ended in range(1, 6):
        assert host.run(["echo"], deadline=soon()).ok
        assert _asked_for(_transport(host)) == ended + 1
    assert _transport(host)._ahead.answered.wait(20)


def test_the_first_channel_is_opened_with_the_connection(host):
    host.open()
    assert _asked_for(_transport(host)) == 1
    assert host.run(["echo"], deadline=soon()).ok
    assert _asked_for(_transport(host)) == 2


def test_a_server_that_allows_one_channel_is_asked_ahead_once(tmp_path):
    server = OpenSsh(tmp_path)
    server.extra += "MaxSessions 1\n"
    server.start()
    host = open_host(server.target(), targets={})
    try:
        assert host.run(["sleep", "0.3"], deadline=soon()).ok
        assert not _transport(host).opens_ahead
        assert all(host.run(["echo"], deadline=soon()).ok for _ in range(3))
    finally:
        host.close()
        server.stop()


def test_a_channel_of_a_server_that_was_silent_is_closed_and_not_used(host, monkeypatch):
    monkeypatch.setattr(early_channels, "FRESH_S", 0.0)
    for _ in range(15):  # sshd allows 10 channels at once
        assert host.run(["echo"], deadline=soon()).ok
        assert not _transport(host)._ahead or _transport(host)._ahead.answered.wait(20)


def test_a_channel_that_the_server_closed_is_not_used(host):
    host.run(["echo"], deadline=soon())
    ahead = _transport(host)._ahead
    assert ahead.answered.wait(20)
    ahead.channel.close()
    assert host.run(["echo", "said"], deadline=soon()).text == "said"


def test_many_commands_leave_no_room_for_a_channel_ahead(host, monkeypatch):
    monkeypatch.setattr(early_channels, "FEW", 1)
    host.run(["echo"], deadline=soon())
    assert _transport(host)._ahead is None


class Wire:
    """Socket that records the data of each call of ``send``."""

    def __init__(self):
        self.sent = []

    def send(self, data):
        self.sent.append(bytes(data))
        return len(data)


def _message(number):
    message = Message()
    message.add_byte(bytes([number]))
    return message


def test_messages_of_a_tuple_are_sent_in_one_call():
    apart, together = Wire(), Wire()
    for number in (1, 2, 3):
        packets = Packets(apart)
        packets.send_message(_message(number))
    packets = Packets(together)
    packets.send_message(tuple(_message(number) for number in (1, 2, 3)))
    assert together.sent == [b"".join(apart.sent)]
    packets.send_message(_message(1))
    assert together.sent[1:] == apart.sent[:1]


class Slow:
    """Message during whose encryption another thread sends."""

    def __init__(self, number, beside):
        self.number, self.beside = number, beside

    def asbytes(self):
        self.beside.start()
        self.beside.join(0.2)
        return _message(self.number).asbytes()


def test_a_message_of_another_thread_comes_after_a_tuple():
    wire = Wire()
    packets = Packets(wire)
    beside = threading.Thread(target=packets.send_message, args=(_message(7),))
    packets.send_message((_message(5), Slow(6, beside)))
    beside.join()
    assert [len(data) for data in wire.sent] == [32, 16]


def test_a_command_whose_channel_was_closed_before_it_was_sent_uses_another(host, monkeypatch):
    transport, opened = _transport(host), []
    open_session = transport.open_session

    def closing(**options):
        opened.append(open_session(**options))
        if len(opened) == 1:
            opened[0].close()
        return opened[-1]

    monkeypatch.setattr(transport, "open_session", closing)
    assert host.run(("echo", "here"), deadline=soon()).text == "here"
    assert len(opened) == 2
