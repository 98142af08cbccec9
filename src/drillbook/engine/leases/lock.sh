# shellcheck shell=sh disable=SC2154 # shared_functions.sh, which comes first, sets up, boot, root and state
# locks/NAME/N is an entry, made by a hard link: "BOOT UPTIME LEASE RUN", then the owner as one line of JSON. The highest
# N is the holder's. N.beat is its last renewal, N.stop a request to stop.

highest() { # sets top to the highest entry, empty when there is none
  top=
  for entry in [0-9]*; do
    case $entry in *[!0-9]*) continue ;; esac
    if [ -z "$top" ] || [ "$entry" -gt "$top" ]; then top=$entry; fi
  done
}

look() { # N ; sets since, lease, run, age (seconds since the last renewal) and left
  { read -r its_boot since lease run < "$1"; } 2>/dev/null || return 1
  its_beat=$its_boot its_up=$since
  { read -r its_beat its_up < "$1.beat"; } 2>/dev/null
  age=$((up - its_up)) since=$((up - since)) left=0
  if [ "$its_beat" = "$boot" ] && [ "$age" -le "$lease" ]; then left=$((lease - age + 1)); fi
}

show() { # N
  printf '%s %s %s %s %s\n' "$1" "$age" "$left" "$since" "$lease"
  sed -n 2p "$1"
  if [ -e "$1.stop" ]; then cat "$1.stop"; else echo; fi
}

lock_take() { # ROOT NAME RUN LEASE SEED OVER OWNER
  enter "$1" make
  now
  { { [ -d "locks/$2" ] || mkdir -p "locks/$2"; } && cd "locks/$2"; } || fail 92 "cannot make $1/locks/$2"
  highest
  new=$5
  if [ -n "$top" ] && look "$top"; then
    if [ "$left" -gt 0 ] && [ "$run" != "$6" ]; then
      echo locked
      show "$top"
      return
    fi
  fi
  if [ -n "$top" ] && [ "$top" -ge "$new" ]; then new=$((top + 1)); fi
  { printf '%s %s %s %s\n%s\n' "$boot" "$up" "$4" "$3" "$7" > .new && beat > "$new.beat" && ln .new "$new"; } || {
    rm -f .new "$new.beat"
    cd ..
    rmdir "$2" 2>/dev/null
    leave
    fail 92 "cannot write in $1/locks/$2"
  }
  echo "taken $new"
  if [ -n "$top" ]; then sed -n 2p "$top"; fi
  rm -f .new .stop
  for entry in [0-9]*; do
    case $entry in "$new" | "$new".*) ;; *) rm -f "$entry" ;; esac
  done
}

lock_beat() { # NAME TOKEN ; in the root folder
  cd "locks/$1" 2>/dev/null || {
    echo "fenced $1"
    return
  }
  highest
  if [ "$top" = "$2" ]; then
    beat 1<> "$2.beat" || fail 92 "cannot write $1/$2.beat"
    if [ -e "$2.stop" ]; then echo "stop $(cat "$2.stop")"; fi
  else
    echo "fenced $1"
  fi
  cd -- "$root" || fail 92 "cannot go back to $root"
}

lock_release() { # ROOT NAME TOKEN
  enter "$1" '' "locks/$2/$3" || return 0
  if cd "locks/$2" 2>/dev/null; then
    highest
    if [ "$top" = "$3" ]; then
      # Remove the highest entry last, so that no older entry ever becomes the highest.
      for entry in [0-9]*; do
        case $entry in "$3" | "$3".*) ;; *) rm -f "$entry" ;; esac
      done
    fi
    rm -f "$3" "$3.beat" "$3.stop"
    cd ..
    rmdir "$2" 2>/dev/null
  fi
  leave
}

lock_stop() { # ROOT NAME WHO
  enter "$1" || return 0
  cd "locks/$2" 2>/dev/null || return 0
  highest
  [ -n "$top" ] || return 0
  { printf '%s\n' "$3" > .stop && mv -f .stop "$top.stop"; } || fail 92 "cannot write in $1/locks/$2"
  sed -n 2p "$top"
}

lock_state() { # ROOT NAME
  enter "$1" || return 0
  now
  cd "locks/$2" 2>/dev/null || return 0
  highest
  if [ -n "$top" ] && look "$top"; then show "$top"; fi
}

lock_list() { # ROOT STATE ; prints lines "lock NAME" and "lease RUN"
  at_state "$1" "$2" ''
  for folder in "$1" "$state"; do
    enter "$folder" || continue
    for entry in locks/* leases/*; do
      if [ -d "$entry" ]; then
        case $entry in locks/*) echo "lock ${entry#locks/}" ;; *) echo "lease ${entry#leases/}" ;; esac
      fi
    done
    [ "$state" != "$1" ] || return 0
  done
}

beat_all() { # ROOT STATE RUN [NAME TOKEN]... ; RUN is empty without a lease
  its_root=$1 its_state=$2 its_run=$3 there=
  shift 3
  if [ $# -gt 0 ] && enter "$its_root" '' "locks/$1/$2"; then
    there=yes
    now
  fi
  while [ $# -gt 0 ]; do
    if [ -n "$there" ]; then lock_beat "$1" "$2"; else echo "fenced $1"; fi
    shift 2
  done
  [ -n "$its_run" ] || return 0
  at_state "$its_root" "$its_state" "$its_run"
  if [ -n "$there" ] && [ "$state" = "$its_root" ]; then # it is entered and checked already
    cd -- "$root" || fail 92 "cannot go back to $root"
  elif ! enter "$state" '' "leases/$its_run/durable"; then
    echo lapsed
    return 0
  fi
  now
  lease_beat "$its_run"
}
