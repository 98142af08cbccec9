# shellcheck shell=sh disable=SC2154 # follows cli/templates/look/look.sh, which sets root, user, tab and holders
# Lists the PostgreSQL clusters of this host, and the databases of those that run. Only reads.
cluster() { # VERSION NAME PORT STATUS OWNER DATA PID
  bin=/usr/lib/postgresql/$1/bin
  test -d "$bin" || bin=$(privileged readlink "/proc/$7/exe" 2>/dev/null | sed 's|/[^/]*$||')
  socket=$(privileged sed -n 5p "$6/postmaster.pid" 2>/dev/null)
  printf 'cluster\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$4" "$5" "$6" "$bin" "$socket" "$7"
  test "$4" = online || return 0
  test "$root" != none || test "$5" = "$user" || return 0
  program=psql
  test ! -x "$bin/psql" || program=$bin/psql
  as_owner "$5" "$program" -XAtw -F "$tab" -h "${socket:-/var/run/postgresql}" -p "$3" -d postgres -c \
    "SELECT 'database', $3, datname, pg_get_userbyid(datdba) FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres' ORDER BY 3" \
    2>/dev/null </dev/null
}
if command -v pg_lsclusters >/dev/null; then
  pg_lsclusters --no-header 2>/dev/null | while read -r version name port status owner data _; do
    cluster "$version" "$name" "$port" "${status%%,*}" "$owner" "$data" "$(privileged sed -n 1p "$data/postmaster.pid" 2>/dev/null)"
  done
fi
printf '%s\n' "$holders" | awk 'NF && !seen[$1]++ { print $1 }' | while read -r pid; do
  name=$(cat "/proc/$pid/comm" 2>/dev/null) || continue
  case $name in postgres | postmaster) ;; *) continue ;; esac
  # The server's working directory is its data directory; -D may name another one, and is missing where PGDATA is set.
  data=$(privileged readlink "/proc/$pid/cwd" 2>/dev/null)
  privileged test -f "$data/PG_VERSION" || data=$(tr '\000' '\n' <"/proc/$pid/cmdline" 2>/dev/null | sed -n '/^-D$/{n;p;q;}')
  test -n "$data" || continue
  version=$(privileged cat "$data/PG_VERSION" 2>/dev/null) || continue
  cluster "$version" "" "$(privileged sed -n 4p "$data/postmaster.pid" 2>/dev/null)" online "$(stat -c %U "/proc/$pid")" "$data" "$pid"
done
