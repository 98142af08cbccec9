#!/bin/sh
# Make the cluster of a database machine, once: a data directory that is gone later is a loss, which no start may hide.
set -eu
if test "$POSTGRES_STARTS" != true || test -e /srv/db/made; then exit 0; fi
password=$(mktemp)
trap 'rm -f "$password"' EXIT
cat /run/lab/pg_admin > "$password"
chown drill "$password"
sudo -u drill /usr/lib/postgresql/17/bin/initdb --pgdata /srv/db/pgdata --username postgres --pwfile "$password" --no-sync \
  --data-checksums --encoding UTF8 --locale C --auth scram-sha-256 > /dev/null
cat >> /srv/db/pgdata/postgresql.conf << END
# --- Drillbook's lab ---
listen_addresses = '*'
port = $POSTGRES_PORT
unix_socket_directories = '/srv/db'
unix_socket_permissions = 0700
password_encryption = 'scram-sha-256'
max_connections = 100
shared_buffers = 64MB
max_wal_size = 512MB
timezone = 'UTC'
log_timezone = 'UTC'
END
echo 'host all all all scram-sha-256' >> /srv/db/pgdata/pg_hba.conf # the other machines, and the published port
touch /srv/db/made
