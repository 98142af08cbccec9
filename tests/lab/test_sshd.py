"""The lab's SSH server behaves like any other SSH server."""

import asyncio
import concurrent.futures
import socket
from pathlib import Path

import asyncssh
import paramiko
import pytest

from drillbook.lab.layout import ADDRESS, USER, Lab
from tests.waiting import nothing_happens_for

from .conftest import connect, run


@pytest.mark.parametrize("status", [0, 1, 7, 255])
def test_exit_status_is_that_of_the_command(lab: Lab, status: int) -> None:
    assert run(lab, "db-2", f"exit {status}").status == status


def test_output_and_errors_are_apart(lab: Lab) -> None:
    done = run(lab, "db-2", "echo good; echo bad >&2")
    assert (done.out, done.err) == (b"good\n", b"bad\n")


def test_standard_input_arrives_and_ends(lab: Lab) -> None:
    data = bytes(range(256)) * 4000
    assert run(lab, "db-2", "cat", stdin=data).out == data


def test_a_command_that_does_not_read_its_input_ends_all_the_same(lab: Lab) -> None:
    assert run(lab, "db-2", "exec 0<&-; sleep 0.2; echo done", stdin=b"x" * 3_000_000).out == b"done\n"


def test_bytes_that_are_no_text_pass_unchanged(lab: Lab) -> None:
    assert run(lab, "db-2", r"printf '\377\376\000\200'").out == b"\xff\xfe\x00\x80"


def test_large_output_to_a_slow_reader_is_complete_and_held_back(lab: Lab) -> None:
    with connect(lab, "db-2") as client:
        _, out, _ = client.exec_command("head -c 30000000 /dev/zero; touch tmp/written; echo end")
        nothing_happens_for(1, (lab.home("db-2") / "tmp" / "written").exists)
        data = out.read()
    assert len(data) == 30_000_004
    assert data.endswith(b"end\n")


def test_many_channels_at_once_on_one_connection(lab: Lab) -> None:
    with connect(lab, "db-2") as client, concurrent.futures.ThreadPoolExecutor(30) as pool:

        def one(number: int) -> tuple[bytes, int]:
            _, out, _ = client.exec_command(
                f"touch tmp/here.{number}; until [ $(ls tmp/here.* | wc -l) = 30 ]; do sleep 0.2; done; echo {number}; exit {number}"
            )
            return out.read(), out.channel.recv_exit_status()

        results = list(pool.map(one, range(30)))  # each waits for all others
        client.exec_command("rm tmp/here.*")[1].channel.recv_exit_status()
    assert results == [(f"{number}\n".encode(), number) for number in range(30)]


def test_only_accepted_environment_is_set(lab: Lab) -> None:
    with connect(lab, "db-2") as client:
        _, out, _ = client.exec_command(
            "echo $LC_TEST,$DRILLBOOK_TEST,$OTHER", environment={"LC_TEST": "a b", "DRILLBOOK_TEST": "'$x", "OTHER": "no"}
        )
        assert out.read() == b"a b,'$x,\n"


def test_nothing_of_the_controllers_environment_leaks_in(lab: Lab) -> None:
    names = {line.split(b"=")[0] for line in run(lab, "app-1", "env").out.splitlines()}
    assert names <= {
        b"PATH",
        b"HOME",
        b"USER",
        b"LOGNAME",
        b"SHELL",
        b"LANG",
        b"TZ",
        b"PWD",
        b"SHLVL",
        b"_",
        b"SSH_CONNECTION",
        b"DRILLBOOK_LAB_FOLDER",
        b"PYTHONDONTWRITEBYTECODE",
    }


def test_each_command_has_a_session_of_its_own(lab: Lab) -> None:
    pid, group, session = run(lab, "db-2", "ps -o pid=,pgid=,sid= -p $$").out.split()
    assert pid == group == session


def test_a_command_left_with_nohup_survives_the_connection(lab: Lab) -> None:
    pid = int(run(lab, "db-2", "nohup sleep 300 >/dev/null 2>&1 </dev/null & echo $!").out)
    assert run(lab, "db-2", f"kill -0 {pid} && kill {pid}").status == 0
    # the daemon reaps it at once, although its parent is gone
    assert run(lab, "db-2", f"sleep 0.1; test -e /proc/{pid}").status == 1


def test_a_client_that_leaves_does_not_end_its_command(lab: Lab) -> None:
    with connect(lab, "db-2") as client:
        _, out, _ = client.exec_command("trap '' PIPE; echo $$; exec sleep 300")
        pid = int(out.readline())
    nothing_happens_for(0.2, lambda: not Path(f"/proc/{pid}").exists())
    assert run(lab, "db-2", f"kill {pid}").status == 0


def test_ended_by_a_signal_is_reported_as_such(lab: Lab) -> None:
    async def main() -> None:
        async with _asyncssh(lab) as connection:
            done = await connection.run("kill -TERM $$")
            assert (done.exit_status, done.exit_signal[0]) == (-1, "TERM")

    asyncio.run(asyncio.wait_for(main(), 20))


def test_a_signal_of_the_client_reaches_the_whole_group(lab: Lab) -> None:
    async def main() -> None:
        async with _asyncssh(lab) as connection, connection.create_process("sleep 300 & echo $!; wait") as process:
            child = int(await process.stdout.readline())
            process.send_signal("KILL")
            done = await process.wait()
            assert done.exit_signal[0] == "KILL"
            assert (await connection.run(f"sleep 0.1; kill -0 {child}")).exit_status == 1

    asyncio.run(asyncio.wait_for(main(), 20))


def _asyncssh(lab: Lab) -> asyncssh.misc._ACMWrapper:
    return asyncssh.connect(
        ADDRESS,
        lab.port("ssh.db-2"),
        username=USER,
        client_keys=[str(lab.folder / "id")],
        known_hosts=str(lab.folder / "known_hosts"),
        config=None,
    )


def test_terminal(lab: Lab) -> None:
    with connect(lab, "db-2") as client:
        _, out, _ = client.exec_command("test -t 0 && stty size && echo err >&2", get_pty=True)
        assert out.read() == b"24 80\r\nerr\r\n"
        assert out.channel.recv_exit_status() == 0


def test_sftp_starts_at_home_and_keeps_modes(lab: Lab) -> None:
    with connect(lab, "db-2") as client, client.open_sftp() as sftp:
        assert sftp.normalize(".") == str(lab.home("db-2"))
        with sftp.open("tmp/file", "wb") as file:
            file.write(b"\xff" * 2_000_000)
        sftp.chmod("tmp/file", 0o600)
        sftp.posix_rename("tmp/file", str(lab.home("db-2") / "tmp" / "moved"))
        assert sftp.stat("tmp/moved").st_size == 2_000_000
        sftp.remove("tmp/moved")
        with pytest.raises(FileNotFoundError):
            sftp.stat("tmp/moved")


def test_forwarding_reaches_loopback_and_nothing_else(lab: Lab) -> None:
    with connect(lab, "db-1") as client:
        transport = client.get_transport()
        channel = transport.open_channel("direct-tcpip", (ADDRESS, lab.port("api")), (ADDRESS, 1))
        channel.sendall(b"GET /health HTTP/1.0\r\n\r\n")
        assert channel.recv(12) == b"HTTP/1.1 200"
        with socket.create_server(("127.0.0.2", 0)) as other, pytest.raises(paramiko.ChannelException):
            transport.open_channel("direct-tcpip", other.getsockname(), (ADDRESS, 1))


def test_another_user_or_key_is_refused(lab: Lab) -> None:
    with pytest.raises(paramiko.AuthenticationException):
        connect(lab, "db-1", user="root")
    client = paramiko.SSHClient()
    client.load_host_keys(str(lab.folder / "known_hosts"))
    with pytest.raises(paramiko.AuthenticationException):
        client.connect(
            ADDRESS, lab.port("ssh.db-1"), USER, pkey=paramiko.ECDSAKey.generate(), allow_agent=False, look_for_keys=False
        )
    client.close()


def test_each_host_has_a_key_of_its_own(lab: Lab) -> None:
    keys = set()
    for host in ("app-1", "db-1", "db-2", "store-1"):
        with socket.create_connection((ADDRESS, lab.port(f"ssh.{host}"))) as sock, paramiko.Transport(sock) as transport:
            transport.start_client(timeout=10)
            keys.add(transport.get_remote_server_key().asbytes())
    assert len(keys) == 4
