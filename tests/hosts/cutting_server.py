"""The lab's SSH server, with commands that end without an exit status: PORT HOST_KEY CLIENT_KEY HOME."""

import asyncio
import sys

from drillbook.lab import sshd
from tests.hosts.asyncssh_server import serve


class Cutting(sshd.Session):
    """Ends the channel without a status while the number in the file ``cut`` is above 0, and decrements it."""

    def _report(self, status):
        left = self._account.home / "cut"
        times = int(left.read_text()) if left.exists() else 0
        if not times:
            super()._report(status)
            return
        left.write_text(str(times - 1))
        self._client.close()


if __name__ == "__main__":
    sshd.Session = Cutting
    asyncio.run(serve(int(sys.argv[1]), *sys.argv[2:5]))
