"""Certificates of the lab's object store: without them, its inner ports answer nobody."""

import socket
import ssl
import urllib.error
import urllib.request

import pytest

from drillbook.lab.layout import ADDRESS, Lab

INNER = ("master", "volume", "filer", "admin")


@pytest.mark.parametrize("part", INNER)
def test_the_parts_of_the_store_ask_for_credentials(lab: Lab, part: str) -> None:
    """Any local user could otherwise read, write and delete every backup through a loopback port."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for scheme in ("http", "https"):
        for method, path in (
            ("GET", "/buckets/"),
            ("GET", "/dir/assign"),
            ("GET", "/dir/status"),
            ("DELETE", "/buckets/"),
            ("PUT", "/buckets/dr-backups/forged"),
            ("POST", "/1,01637037d6"),
            ("POST", "/col/delete"),
        ):
            # Without a body: the server closes the connection before it reads one, and may so reset it under its answer.
            request = urllib.request.Request(f"{scheme}://{ADDRESS}:{lab.port(part)}{path}", method=method)
            handlers = [urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)]
            with pytest.raises(OSError) as refused:
                urllib.request.build_opener(*handlers).open(request, timeout=10)
            if isinstance(refused.value, urllib.error.HTTPError):
                said = refused.value.read()
                refused.value.close()
                assert (refused.value.code, b"HTTPS server" in said) == (400, True), (scheme, method, path, said)


@pytest.mark.parametrize("part", [*INNER, "s3"])
def test_nobody_without_a_certificate_speaks_grpc_to_the_store(lab: Lab, part: str) -> None:
    """Connections without TLS get no answer, and connections with TLS are closed unless the client has a certificate."""
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000")
    with socket.create_connection((ADDRESS, lab.port(f"{part}.grpc")), timeout=10) as plain:
        plain.sendall(preface)
        assert _answer(plain)[3:4] != b"\x04", "it took the connection: these are its settings"
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection((ADDRESS, lab.port(f"{part}.grpc")), timeout=10) as plain,
        pytest.raises(ssl.SSLError, match="certificate required"),
        context.wrap_socket(plain) as secured,
    ):
        secured.sendall(preface)
        _answer(secured)


def _answer(connection: socket.socket) -> bytes:
    try:
        return connection.recv(4096)
    except ConnectionResetError:
        return b""


def test_no_other_user_reads_the_stores_certificate(lab: Lab) -> None:
    folder = lab.home("store-1") / "certificates"
    assert folder.stat().st_mode & 0o077 == 0
    assert [one.name for one in folder.iterdir() if one.stat().st_mode & 0o077] == []
