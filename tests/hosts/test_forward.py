"""Forwarded connections: the end of the forwarding ends everything that it started."""

import socket
import threading

from drillbook.hosts.forward import FarSocket, forwarded


class Slow(FarSocket):
    """Remote end that closes slowly, as on a busy machine."""

    def __init__(self, sock, closing, close):
        super().__init__(sock)
        self.closing, self.may_close = closing, close

    def close(self):
        self.closing.set()
        self.may_close.wait(60)
        super().close()


def test_the_end_waits_for_a_connection_that_is_just_ending():
    closing, close, dialled = threading.Event(), threading.Event(), threading.Semaphore(0)
    others = []

    def dial():
        near, far = socket.socketpair()
        others.append(far)
        dialled.release()
        return FarSocket(near) if others[1:] else Slow(near, closing, close)

    with forwarded(dial) as port:
        with socket.create_connection(("127.0.0.1", port), timeout=60):
            dialled.acquire()
            others[0].close()
        assert closing.wait(60)
        with socket.create_connection(("127.0.0.1", port), timeout=60) as second:
            dialled.acquire()
            others[1].sendall(b"x")
            assert second.recv(1) == b"x"
            threading.Timer(0.3, close.set).start()
            threads = [thread for thread in threading.enumerate() if thread.name.startswith("drillbook-forward-")]
    others[1].close()
    assert len(threads) >= 3, "one of the first connection, two of the second"
    assert [thread.name for thread in threads if thread.is_alive()] == []
