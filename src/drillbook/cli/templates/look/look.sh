#!/bin/sh
# Lists the services of this host: sockets that listen, their processes, PostgreSQL clusters. Only reads.
# Each line: a word for its kind, then fields separated by tabs. Uses sudo only if it asks for no password.
LC_ALL=C
export LC_ALL
user=$(id -un)
root=none
if test "$(id -u)" = 0; then
  root=self
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
  root=sudo
fi
privileged() { if test "$root" = sudo; then sudo -n "$@"; else "$@"; fi; }
as_owner() {
  owner=$1
  shift
  if test "$owner" = "$user"; then
    "$@"
    return
  fi
  case $root in
    sudo) sudo -n -u "$owner" -- "$@" ;;
    self) runuser -u "$owner" -- "$@" ;;
    *) return 1 ;;
  esac
}
tab=$(printf '\t')
printf 'root\t%s\n' "$root"
printf 'user\t%s\n' "$user"
sed -n "s/^PRETTY_NAME=\"\{0,1\}\([^\"]*\)\"\{0,1\}\$/os$tab\1/p" /etc/os-release 2>/dev/null
cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk '$4 == "0A" { print "listen\t" $2 "\t" $10 }'
inodes=$(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk '$4 == "0A" { printf " %s", $10 }')
holders=$(privileged ls -l /proc/[0-9]*/fd 2>/dev/null | awk -v wanted="$inodes " '
  /^\/proc\/[0-9]+\/fd:$/ { split($0, part, "/"); pid = part[3] }
  / -> socket:\[[0-9]+\]$/ {
    inode = $NF
    gsub(/[^0-9]/, "", inode)
    if (index(wanted, " " inode " ") && !seen[pid, inode]++) print pid, inode
  }')
test -z "$holders" || printf '%s\n' "$holders" | awk '{ print "holds\t" $1 "\t" $2 }'

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
  group=$(sed -n -e 's/^0:://p' -e 's/^1:name=systemd://p' "/proc/$pid/cgroup" 2>/dev/null | sed -n '/\.service/{p;q;}')
  folder=$(privileged readlink "/proc/$pid/cwd" 2>/dev/null)
  printf 'process\t%s\t%s\t%s\t%s\n' "$pid" "$name" "$group" "$folder"
  case $name in postgres | postmaster) ;; *) continue ;; esac
  # The server's working directory is its data directory; -D may name another one, and is missing where PGDATA is set.
  data=$folder
  privileged test -f "$data/PG_VERSION" || data=$(tr '\000' '\n' <"/proc/$pid/cmdline" 2>/dev/null | sed -n '/^-D$/{n;p;q;}')
  test -n "$data" || continue
  version=$(privileged cat "$data/PG_VERSION" 2>/dev/null) || continue
  cluster "$version" "" "$(privileged sed -n 4p "$data/postmaster.pid" 2>/dev/null)" online "$(stat -c %U "/proc/$pid")" "$data" "$pid"
done
exit 0
