#!/bin/sh
# Begin a machine: take the keys and settings that the lab made for it, then be its service manager.
set -eu
install -m 0600 /run/lab/host_key /etc/ssh/lab_host_key
install -m 0644 /run/lab/authorized_keys /etc/ssh/lab_authorized_keys
for file in /run/lab/settings/*; do # only what is not there: a drill may have changed it, and has to put it back itself
  test ! -f "$file" || test -e "/srv/api/${file##*/}" || install -o drill -g drill -m 0600 "$file" /srv/api/
done
test ! -x /usr/local/sbin/postgresql || postgresql
exec supervisord -n -c /etc/supervisor/supervisord.conf
