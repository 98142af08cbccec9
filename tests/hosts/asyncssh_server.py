"""The lab's SSH server as a separate program: PORT HOST_KEY CLIENT_KEY HOME."""

import asyncio
import os
import sys
from pathlib import Path

import asyncssh

from drillbook.lab.sshd import Account, listen


async def serve(port: int, host_key: str, client_key: str, home: str) -> None:
    account = Account(Path(home), dict(os.environ), asyncssh.read_private_key(client_key))
    await listen(port, asyncssh.read_private_key(host_key), account)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), *sys.argv[2:5]))
