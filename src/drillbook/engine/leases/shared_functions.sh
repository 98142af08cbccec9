# shellcheck shell=sh
# Functions that locks and leases on a target share. POSIX sh with flock (util-linux or busybox), on Linux.
# Times are the uptime of this boot; the wall clock is not used. Every change in the folder happens under a kernel lock on
# the folder, which the kernel releases when the process that holds it exits.
set -u
boot_file=${DRILLBOOK_BOOT_ID:-/proc/sys/kernel/random/boot_id}
uptime_file=${DRILLBOOK_UPTIME:-/proc/uptime}

now() { # sets up (whole seconds) and boot
  { read -r up _ < "$uptime_file" && read -r boot < "$boot_file"; } 2>/dev/null ||
    fail 90 "cannot read $uptime_file and $boot_file"
  up=${up%%.*}
}

pause() { sleep 0.1 2>/dev/null || sleep 1; }

pause_briefly() { # TRIES ; the first pauses are short
  if [ "$1" -lt 6 ]; then sleep "0.0$1" 2>/dev/null || pause; else pause; fi
}

# A beat has a fixed length and is overwritten in place, which needs no space on a full disk.
beat() { printf '%-40.40s %12d\n' "$boot" "$up"; }

# The check of the folder and its parents starts several processes. If this user owns a folder, the folder in it and so on down to
# a file that was made after an earlier check, nobody else can have put another folder in the place of one of them since then.
checked_before() { # FILE of the working directory, or an empty text
  { [ -n "$1" ] && [ -O . ] && ! [ -h "$root" ]; } || return 1
  part='' rest=$1/
  while [ -n "$rest" ]; do
    part=$part${rest%%/*}
    rest=${rest#*/}
    { [ -O "$part" ] && ! [ -h "$part" ]; } || return 1
    part=$part/
  done
}

enter() { # ROOT [make] [FILE] ; enters ROOT and locks it; status 1 when it does not exist. FILE was made in it after a check
  umask 077
  root=$1 barred=0
  command -v flock >/dev/null || fail 90 "flock is missing (package util-linux, or busybox)"
  while :; do
    if [ "${2:-}" = make ] && ! [ -d "$root" ]; then
      make "$root"
      [ -d "$root" ] || fail 92 "cannot make $root"
    fi
    if ! cd -- "$root" 2>/dev/null; then
      if [ -e "$root" ]; then # or it was made after the failed cd
        barred=$((barred + 1))
        [ "$barred" -lt 10 ] || fail 91 "$root cannot be entered"
        continue
      fi
      [ "${2:-}" = make ] || return 1
      continue
    fi
    { command exec 9<. && flock 9; } 2>/dev/null || fail 92 "cannot lock $root"
    # The last user of the folder may have removed it while this process waited for the lock.
    ! [ . -ef "$root" ] || break
  done
  checked_before "${3:-}" || ours "$root"
}

# Systems remove old files in /var/tmp, and any user may then create them again; so leases are stored in another folder.
at_state() { # ROOT STATE RUN ; sets state to the folder where the lease of RUN is, or is to be made
  state=$2
  if [ -z "$state" ]; then
    if [ "$(id -u)" = 0 ]; then state=/var/lib/drillbook; else
      case ${HOME:-} in /?*) ;; *) fail 90 "no lease can be kept: this user has no home folder" ;; esac
      state=$HOME/.local/state/drillbook
    fi
  fi
  if [ -n "$3" ] && [ -d "$1/leases/$3" ]; then state=$1; fi # a lease of an older version
}

leave() { # removes empty folders; the kernel lock ends with this process
  cd -- "$root" || return 0
  for each in locks/* leases/* runs/*; do [ ! -e "$each" ] || return 0; done
  rmdir locks leases runs 2>/dev/null
  cd / && rmdir -- "$root" 2>/dev/null
  return 0
}
