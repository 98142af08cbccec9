# shellcheck shell=sh disable=SC2154 # shared_functions.sh sets up, boot and state; script.py watchers and boot_hooks
# leases/RUN has the files of the watcher (watch.sh): armed/SEQ/N are undo commands, each a line of sh; beat is the last
# renewal; `durable` tells that these files are on the disk; exactly one of claim.open, claim.reverting, claim.reverted and
# claim.ended exists. It changes only by renaming:
# of two processes that rename it one succeeds, and renaming needs no disk space.

has() { command -v "$1" >/dev/null 2>&1; }

leased() { # FUNCTION ROOT STATE RUN ARGUMENT... ; calls FUNCTION with the folder where the lease is, or is to be made
  function=$1 its_run=$4
  at_state "$2" "$3" "$its_run"
  shift 4
  "$function" "$state" "$its_run" "$@"
}

resolve() { # KIND BOOT MANAGER ; sets kind and hook to usable backends, or fails with the reason
  # shellcheck disable=SC2034 # backends use it
  manager=$3
  # shellcheck disable=SC2086 # names without spaces
  choose watch "$1" $watchers
  kind=$chosen hook=none
  [ "$2" != none ] || return 0
  # shellcheck disable=SC2086 # names without spaces
  choose boot "$2" $boot_hooks
  hook=$chosen
}

choose() { # ROLE NAME BACKEND... ; sets chosen: to NAME or, for auto, to the first usable backend
  role=$1 wanted=$2
  shift 2
  for chosen; do
    case $wanted in
      auto) if "${role}_${chosen}_usable" auto; then return; fi ;;
      "$chosen") if "${role}_${chosen}_usable" named; then return; else fail 90 "$why"; fi ;;
    esac
  done
  [ "$wanted" = auto ] || fail 90 "this version of Drillbook does not know $wanted: it knows $*"
  fail 90 "$why"
}

unusable() { # REASON ; called by a backend that cannot be used on this host
  why=$1
  return 1
}

# The boot hook runs watch.sh only from a private folder of its own user: another user may have made a folder of that name.
# shellcheck disable=SC2034 # backends that revert at boot use it
at_boot='cd -P -- "$1" && test -O . && test -O watch.sh && ls -ld . | grep -q ^drwx------ && exec /bin/sh ./watch.sh "$1" boot'

hook_clear() { # RUN MANAGER ; removes the boot hook of any backend, also when the lease's folder is gone
  # shellcheck disable=SC2034 # backends use it
  manager=$2
  for each in $boot_hooks; do "boot_${each}_clear" "$1"; done
}

alive() { # in the lease's folder; succeeds while the watcher runs; sets pid
  pid='' begun=''
  { read -r pid begun < watcher; } 2>/dev/null || return 1
  { read -r line < "/proc/$pid/stat"; } 2>/dev/null || return 1
  # shellcheck disable=SC2086 # split into the fields of the line
  set -- ${line##*) }
  case $1 in [ZXTt]) return 1 ;; esac
  shift 19
  [ "$1" = "$begun" ]
}

nobody() { printf '%-12d %-24d\n' 0 0; } # placeholder as long as a watcher's entry

persist() { # PATH... ; writes the files to disk before it returns
  sync "$@" 2>/dev/null || sync
}

launch() { # RUN ; in the lease's folder; starts the watcher, which is alive on return
  folder=$PWD
  nobody 1<> watcher || fail 92 "cannot write $folder/watcher"
  "watch_${kind}_start" "$1"
  tries=0
  until alive; do
    tries=$((tries + 1))
    [ "$tries" -lt 150 ] || fail 93 "the watcher did not start within 15 s"
    pause_briefly "$tries"
  done
}

relaunch() { # in the lease's folder; starts the watcher with the backend stored in the file place
  { read -r _ && read -r its_kind && read -r _ && read -r its_manager; } < place
  resolve "$its_kind" none "$its_manager"
  launch "${PWD##*/}"
}

lease_ready() { # ROOT RUN KIND BOOT MANAGER
  has flock || fail 90 "flock is missing (package util-linux, or busybox)"
  now
  at=$1
  while ! [ -d "$at" ] && [ -n "$at" ]; do at=${at%/*}; done
  { [ -w "${at:-/}" ] && [ -x "${at:-/}" ]; } || fail 90 "no lease can be kept in $1: this user may not write in ${at:-/}"
  [ "$at" != "$1" ] || (cd -- "$1" && ours "$1" leave) || exit $?
  resolve "$3" "$4" "$5"
  echo "$kind $hook"
}

lease_arm() { # ROOT RUN LEASE KIND BOOT MANAGER WATCH SEQ WHAT LINE...
  mask=077 # of the undo commands; asking for it starts a process
  [ -d "$1/leases/$2" ] || mask=$(umask)
  enter "$1" make "leases/$2/durable"
  now
  run=$2
  { [ -d leases ] || mkdir -p leases; } && cd leases || fail 92 "cannot make $1/leases"
  if ! [ -d "$run" ]; then
    resolve "$4" "$5" "$6"
    rm -rf ".$run"
    { mkdir ".$run" ".$run/armed" ".$run/reverted" && printf '%s\n' "$7" > ".$run/watch.sh" && beat > ".$run/beat" &&
      printf '%s\n' "$3" "$kind" "$hook" "$6" "$PATH" "$HOME" "$mask" > ".$run/place" && nobody > ".$run/watcher" &&
      : > ".$run/claim.open" && : > ".$run/log" && mv ".$run" "$run"; } || {
      rm -rf ".$run"
      leave
      fail 92 "cannot write in $1/leases"
    }
    [ "$hook" = none ] || (cd "$run" && "boot_${hook}_set" "$run" "$PWD") || {
      status=$?
      rm -rf "$run"
      leave
      exit "$status"
    }
    cd "$run" || fail 92 "cannot enter $1/leases/$run"
  else
    cd "$run" || fail 92 "cannot enter $1/leases/$run"
    lease_alive || return 0
  fi
  lease_write "$8" "$9" "$@"
  beat 1<> beat
  alive || relaunch
  # The watcher may have begun to revert right before the beat was written.
  [ -e claim.open ] && echo "armed $PWD" || echo lapsed
}

lease_write() { # SEQ WHAT, then all arguments of lease_arm
  seq=$1
  [ ! -e .new ] || rm -rf .new
  { mkdir .new && printf '%s\n' "$2" > .new/what; } || fail 92 "cannot write in $PWD"
  shift 11
  number=10
  for line; do
    number=$((number + 1))
    printf 'exec %s\n' "$line" > ".new/$number" || fail 92 "cannot write in $PWD"
  done
  # The first undo flushed the watcher and its files to the disk, so later undos need not; `beat` is overwritten in place.
  if [ -e durable ]; then persist .new/* .new; else persist .new/* .new watch.sh place beat; fi
  [ ! -e "armed/$seq" ] || rm -rf "armed/$seq"
  mv .new "armed/$seq" || fail 92 "cannot write in $PWD"
  if [ -e durable ]; then
    persist armed
  else
    persist armed . .. ../..
    { true > durable; } 2>/dev/null
  fi
}

lease_alive() { # prints lapsed when the target has begun to revert, or was rebooted
  read -r its_boot _ < beat
  if ! [ -e claim.open ]; then
    echo lapsed
    return 1
  fi
  if [ "$its_boot" != "$boot" ]; then
    alive || relaunch
    echo lapsed
    return 1
  fi
}

lease_beat() { # RUN ; in the root folder
  cd "leases/$1" 2>/dev/null || {
    echo lapsed
    return
  }
  lease_alive || return 0
  beat 1<> beat || fail 92 "cannot write $1/beat"
  alive || relaunch
  [ -e claim.open ] || echo lapsed
}

lease_disarm() { # ROOT RUN SEQ...
  enter "$1" '' "leases/$2/durable" || return 0
  cd "leases/$2" 2>/dev/null || return 0
  shift 2
  count=$#
  for seq; do
    [ ! -d "armed/$seq" ] || set -- "$@" "armed/$seq"
  done
  shift "$count"
  [ ! -e .gone ] || rm -rf .gone
  [ $# != 0 ] || return 0
  { mkdir .gone && mv -- "$@" .gone; } 2>/dev/null || {
    rm -rf .gone
    fail 92 "cannot disarm in $PWD"
  }
  rm -rf .gone
}

reverting() { # in the lease's folder; succeeds while a process reverts, which locks beat, or is about to
  if [ -e claim.reverting ] && alive; then return 0; fi
  { command exec 8< beat; } 2>/dev/null || return 1
  if flock -n 8; then
    exec 8<&-
    return 1
  fi
  exec 8<&-
}

lease_end() { # ROOT RUN SECONDS MANAGER
  enter "$1" '' "leases/$2/durable" || {
    hook_clear "$2" "$4"
    return 0
  }
  if cd "leases/$2" 2>/dev/null; then
    tries=0
    while mv claim.open claim.ended 2>/dev/null; reverting; do
      exec 9<&-
      tries=$((tries + 1))
      [ "$tries" -lt "$((10 * $3))" ] || fail 93 "the target is still reverting"
      pause
      { enter "$1" && cd "leases/$2"; } || {
        hook_clear "$2" "$4"
        return 0
      }
    done
    { read -r _ && read -r _ && read -r hook; } 2>/dev/null < place || hook=unknown
    lease_stop "$2" "$4"
    tail -c 65536 log
    cd ..
    rm -rf "$2" || fail 92 "cannot remove $1/leases/$2"
  else
    hook=unknown
  fi
  [ "$hook" = none ] || hook_clear "$2" "$4"
  leave
}

lease_stop() { # RUN MANAGER ; stops the watcher, which is gone on return
  if alive; then
    # The watcher leads its own process group; without setsid it has none, and is killed by its pid alone.
    kill -TERM "-$pid" 2>/dev/null || kill -TERM "$pid" 2>/dev/null
  fi
  tries=0
  while alive; do
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || fail 93 "the watcher $pid does not end"
    [ "$tries" != 20 ] || kill -KILL "-$pid" 2>/dev/null || kill -KILL "$pid" 2>/dev/null
    pause_briefly "$tries"
  done
}

lease_state() { # ROOT RUN
  enter "$1" || return 0
  cd "leases/$2" 2>/dev/null || return 0
  now
  read -r its_boot its_up < beat
  { read -r lease && read -r kind && read -r hook; } < place
  for claim in claim.*; do :; done
  echo "claim ${claim#claim.}"
  echo "lease $lease"
  echo "kind $kind"
  echo "boot $hook"
  [ "$its_boot" = "$boot" ] && echo "age $((up - its_up))"
  if alive; then echo "watcher $pid"; fi
  if reverting; then echo "busy"; fi
  for one in armed/* reverted/*; do
    if [ -d "$one" ]; then echo "${one%/*} ${one#*/} $(cat "$one/what" 2>/dev/null)"; fi
  done
  echo log
  tail -c 65536 log
}

lease_revert() { # ROOT RUN ; makes the target revert at once, and waits until it has finished
  enter "$1" || return 0
  cd "leases/$2" 2>/dev/null || return 0
  exec 9<&-
  sh ./watch.sh "$PWD" now </dev/null >/dev/null 2>&1
}
