# shellcheck shell=sh
# The watcher of a lease: watch.sh FOLDER MODE. `watch` reverts when the last beat is older than the lease, `boot` is
# started at boot, `now` reverts at once. It exits by itself, and leaves the folder with its log to the controller.
# Undo commands run newest first; those that fail or hang do not stop the others.
set -u
folder=$1 mode=$2
cd -- "$folder" 2>/dev/null || exit 0
boot_file=${DRILLBOOK_BOOT_ID:-/proc/sys/kernel/random/boot_id}
uptime_file=${DRILLBOOK_UPTIME:-/proc/uptime}
patience=3 limit=20 rounds=4 nap=5
trap 'exit 0' TERM INT
{ read -r lease && read -r _ && read -r _ && read -r _ && read -r PATH && read -r HOME && read -r mask; } < place || exit 1
export PATH HOME
umask "$mask"

now() {
  read -r up _ < "$uptime_file"
  read -r boot < "$boot_file"
  up=${up%%.*}
}

say() { # the log is evidence; lines are lost when the disk is full
  printf '%s up=%s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$up" "$*" 2>/dev/null >> log
}

pause() { sleep "0.$1" 2>/dev/null || sleep 1; }

record() { # stores pid and start time, so that others can tell that this process is alive
  read -r line < "/proc/$$/stat"
  pid=$$
  # shellcheck disable=SC2086 # split into the fields of the line
  set -- ${line##*) }
  shift 19
  printf '%-12d %-24d\n' "$pid" "$1" 1<> watcher
}

stale() { # succeeds when there was no beat within the lease, or none since the boot
  now
  read -r its_boot its_beat < beat
  case $its_beat in '' | *[!0-9]*) its_boot=$boot ;; *) its_up=$its_beat ;; esac
  [ "$its_boot" != "$boot" ] || [ "$((up - its_up))" -gt "$lease" ]
}

command_of() { # FILE ; starts an undo command in its own process group; sets child
  if command -v setsid >/dev/null; then
    (cd -- "$HOME" 2>/dev/null || cd /; exec setsid sh "$folder/$1") </dev/null >> log 2>&1 8<&- &
  else
    (cd -- "$HOME" 2>/dev/null || cd /; exec sh "$folder/$1") </dev/null >> log 2>&1 8<&- &
  fi
  child=$!
}

one() { # SEQ ; runs the commands of one undo in order, each with a deadline
  for file in "armed/$1"/[0-9]*; do
    [ -e "$file" ] || continue
    now
    ends=$((up + limit))
    command_of "$file"
    while kill -0 "$child" 2>/dev/null; do
      now
      if [ "$up" -ge "$ends" ]; then
        kill -KILL "-$child" 2>/dev/null || kill -KILL "$child" 2>/dev/null
        wait "$child" 2>/dev/null
        say "undo $1 (${file##*/}) failed: it was ended after $limit s"
        return 1
      fi
      pause 1
    done
    wait "$child"
    status=$?
    if [ "$status" != 0 ]; then
      say "undo $1 (${file##*/}) failed: status $status"
      return 1
    fi
  done
  say "undo $1 done"
  mv "armed/$1" "reverted/$1" 2>/dev/null
}

pass() { # runs each armed undo once
  started=
  # shellcheck disable=SC2012 # their names are numbers
  for seq in $(ls armed | sort -rn); do
    one "$seq" &
    job=$!
    started="$started $job"
    now
    ends=$((up + patience))
    while kill -0 "$job" 2>/dev/null && [ "$up" -lt "$ends" ]; do
      pause 1
      now
    done
  done
  for job in $started; do wait "$job" 2>/dev/null; done
}

revert() {
  exec 8< beat
  flock -n 8 || return 0 # another process is reverting; the kernel releases this lock when its holder exits
  mv claim.open claim.reverting 2>/dev/null || mv claim.reverted claim.reverting 2>/dev/null
  round=0
  while :; do
    round=$((round + 1))
    pass
    if [ -z "$(ls armed)" ]; then
      say "all reverted"
      break
    fi
    if [ "$round" -ge "$rounds" ]; then
      # shellcheck disable=SC2012 # their names are numbers
      say "not reverted after $rounds rounds: $(ls armed | tr '\n' ' ')"
      break
    fi
    sleep "$round"
  done
  mv claim.reverting claim.reverted
}

now
its_up=$up
case $mode in
  now)
    say "reverting, as asked"
    revert
    exit 0
    ;;
  boot)
    ! [ -e claim.ended ] || exit 0
    ! [ -e claim.reverted ] || [ -n "$(ls armed)" ] || exit 0
    stale || exit 0 # cron was restarted, not the host
    record
    say "the host was started again: reverting"
    revert
    exit 0
    ;;
esac
record
say "watching, lease $lease s"
while [ . -ef "$folder" ] && [ -e claim.open ]; do
  if stale; then
    mv claim.open claim.reverting 2>/dev/null || exit 0
    if stale; then
      say "no renewal since up=$its_up: reverting"
      revert
      exit 0
    fi
    mv claim.reverting claim.open
  fi
  left=$((lease - up + its_up))
  if [ "$lease" -lt 20 ]; then pause 5; elif [ "$left" -gt "$nap" ]; then sleep "$nap"; else sleep 1; fi
done
