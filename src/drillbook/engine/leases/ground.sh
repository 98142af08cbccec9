# shellcheck shell=sh
# What locks and leases on a target have in common. POSIX sh with flock (util-linux or busybox), on Linux.
# Time is the uptime of this boot: the wall clock decides nothing. All that changes the folder happens under a kernel lock
# on it, which ends with the process that holds it.
set -u
# shellcheck disable=SC2034 # lease.sh writes it down for the undo commands
mask=$(umask)
umask 077
boot_file=${DRILLBOOK_BOOT_ID:-/proc/sys/kernel/random/boot_id}
uptime_file=${DRILLBOOK_UPTIME:-/proc/uptime}

now() { # sets up (whole seconds) and boot
  { read -r up _ < "$uptime_file" && read -r boot < "$boot_file"; } 2>/dev/null ||
    fail 90 "cannot read $uptime_file and $boot_file"
  up=${up%%.*}
}

pause() { sleep 0.1 2>/dev/null || sleep 1; }

# A beat has a fixed length and is written over in place: that needs no space on a full disk.
beat() { printf '%-40.40s %12d\n' "$boot" "$up"; }

enter() { # ROOT [make] ; goes there and locks it; status 1 when it is not there
  root=$1 barred=0
  command -v flock >/dev/null || fail 90 "flock is missing (package util-linux, or busybox)"
  while :; do
    if [ "${2:-}" = make ] && ! [ -d "$root" ]; then
      make "$root"
      [ -d "$root" ] || fail 92 "cannot make $root"
    fi
    if ! cd -- "$root" 2>/dev/null; then
      if [ -e "$root" ]; then # or it was made just now
        barred=$((barred + 1))
        [ "$barred" -lt 10 ] || fail 91 "$root cannot be entered"
        continue
      fi
      [ "${2:-}" = make ] || return 1
      continue
    fi
    { command exec 9<. && flock 9; } 2>/dev/null || fail 92 "cannot lock $root"
    # Somebody may have removed the folder, as its last user, while this waited.
    ! [ . -ef "$root" ] || break
  done
  ours "$root"
}

# What lies in /var/tmp for long is removed, and then anybody may make it: leases are where that does not happen.
at_state() { # ROOT STATE RUN ; sets state: the folder that the lease of RUN is in, or belongs into
  state=$2
  if [ -z "$state" ]; then
    if [ "$(id -u)" = 0 ]; then state=/var/lib/drillbook; else
      case ${HOME:-} in /?*) ;; *) fail 90 "no lease can be kept: this user has no home folder" ;; esac
      state=$HOME/.local/state/drillbook
    fi
  fi
  if [ -n "$3" ] && [ -d "$1/leases/$3" ]; then state=$1; fi # of a version before this one
}

leave() { # removes what is empty; the kernel lock ends with this process
  cd -- "$root" && rmdir locks leases runs 2>/dev/null
  cd / && rmdir -- "$root" 2>/dev/null
  return 0
}
