# shellcheck shell=sh disable=SC2154 # ground.sh, which is read before it, sets up, boot, mask and state
# leases/RUN holds what the watcher (watch.sh) needs: armed/SEQ/N are undo commands, each a line of sh; beat is the last
# renewal; of claim.open, claim.reverting, claim.reverted and claim.ended there is one. Renaming it is the only way to
# change it: one wins, and it needs no space.

has() { command -v "$1" >/dev/null 2>&1; }

leased() { # FUNCTION ROOT STATE RUN WORD... ; the function with the folder that the lease is in, or belongs into
  function=$1 its_run=$4
  at_state "$2" "$3" "$its_run"
  shift 4
  "$function" "$state" "$its_run" "$@"
}

resolve() { # KIND BOOT MANAGER ; sets kind, hook and ctl, or says why not; MANAGER is "system", "sudo" or "user"
  kind=$1 hook=$2 ctl='' run_unit='' may=''
  if [ -d "${DRILLBOOK_SYSTEMD:-/run/systemd/system}" ] && has systemd-run && has systemctl; then
    case $3 in
      user) ctl='systemctl --user' run_unit='systemd-run --user' ;;
      sudo) ctl='sudo -n systemctl' run_unit="sudo -n systemd-run --uid=$(id -u)" ;;
      *) ctl=systemctl run_unit="systemd-run --uid=$(id -u)" ;;
    esac
    if [ "$3" = user ]; then
      systemctl --user show-environment >/dev/null 2>&1 && may=yes
    elif [ "$3" = sudo ]; then
      may_sudo systemctl && may_sudo systemd-run && may=yes
    else
      [ "$(id -u)" = 0 ] && may=yes
    fi
  fi
  case $kind in
    systemd) [ -n "$may" ] || fail 90 "lease kind systemd: PID 1 is not systemd here, or this user may not use systemd-run" ;;
    auto) if [ -n "$may" ]; then kind=systemd; else kind=watcher; fi ;;
  esac
  if [ "$kind" = watcher ]; then
    has setsid || has nohup || fail 90 "neither setsid nor nohup is there"
    if [ -d "${DRILLBOOK_SYSTEMD:-/run/systemd/system}" ] &&
      cat /etc/systemd/logind.conf /usr/lib/systemd/logind.conf /etc/systemd/logind.conf.d/*.conf \
        /run/systemd/logind.conf.d/*.conf /usr/local/lib/systemd/logind.conf.d/*.conf \
        /usr/lib/systemd/logind.conf.d/*.conf 2>/dev/null |
      grep -qi '^KillUserProcesses *= *\(yes\|true\|1\|on\)'; then
      fail 90 "logind ends this user's processes at logout (KillUserProcesses): let the lease use systemd (manager: sudo or user)"
    fi
  fi
  resolve_hook "$3"
}

resolve_hook() { # MANAGER
  case $hook in
    none | cron) ;;
    *)
      unit=
      if [ -n "$may" ]; then
        case $1 in
          user) [ -e "${DRILLBOOK_LINGER:-/var/lib/systemd/linger}/$(id -un)" ] && unit=yes ;;
          sudo) may_sudo mkdir && may_sudo tee && may_sudo rm && unit=yes ;;
          *) unit=yes ;;
        esac
      fi
      if [ -z "$unit" ] && [ "$hook" = systemd ]; then
        fail 90 "boot systemd: this user cannot have a unit that starts at boot (it takes root, sudo or lingering)"
      fi
      if [ -n "$unit" ]; then hook=systemd; fi
      ;;
  esac
  case $hook in none | systemd) return ;; esac
  has crontab || fail 90 "nothing here can revert at boot: no usable systemd, no crontab"
  if [ "$hook" = auto ] && ! cron_runs; then fail 90 "nothing here can revert at boot: crontab is there, but no cron runs"; fi
  cron_lines >/dev/null || fail 90 "nothing here can revert at boot: this user may not use crontab"
  hook=cron
}

may_sudo() { sudo -n -l "$1" >/dev/null 2>&1; }

cron_runs() { cat /proc/[0-9]*/comm 2>/dev/null | grep -q '^\(cron\|crond\|fcron\|busybox-cron\)$'; }

cron_lines() { # the crontab as it is; status 1 when it cannot be read
  said=$(LC_ALL=C crontab -l 2>&1 >/dev/null) && {
    crontab -l
    return
  }
  case $said in *"no crontab"* | *"can't open"*"No such file"*) return 0 ;; *) return 1 ;; esac
}

# What a hook runs lies in a folder that only its user can have made: whoever finds the name free makes another one.
at_boot='cd -P -- "$1" && test -O . && test -O watch.sh && ls -ld . | grep -q ^drwx------ && exec /bin/sh ./watch.sh "$1" boot'

hook_set() { # RUN FOLDER
  case $hook in
    cron)
      line="@reboot /bin/sh -c $(quote "$at_boot") sh $(quote "$2") # drillbook-$1"
      line=$(printf '%s\n' "$line" | sed 's/%/\\%/g')
      theirs=$(cron_lines && echo .) || fail 92 "cannot read the crontab"
      theirs=$(printf '%s' "${theirs%.}" | cron_others "$1"; echo .)
      printf '%s%s\n' "${theirs%.}" "$line" | crontab - || fail 92 "cannot write the crontab"
      ;;
    systemd)
      unit_folder
      sudo_if mkdir -p "$units" || fail 92 "cannot make $units"
      unit_text "$2" | sudo_if tee "$units/drillbook-$1-boot.service" >/dev/null || fail 92 "cannot write in $units"
      { $ctl daemon-reload && $ctl enable "drillbook-$1-boot.service"; } >/dev/null 2>&1 ||
        fail 92 "cannot enable drillbook-$1-boot.service"
      ;;
  esac
}

quote() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"; }

cron_others() { LC_ALL=C grep -v "# drillbook-$1\$" || :; }

unit_folder() { # sets units
  case $ctl in *--user*) units=${XDG_CONFIG_HOME:-$HOME/.config}/systemd/user ;; *) units=${DRILLBOOK_UNITS:-/etc/systemd/system} ;; esac
}

sudo_if() { case $ctl in sudo*) sudo -n "$@" ;; *) "$@" ;; esac; }

unit_text() { # FOLDER
  escaped=$(printf '%s' "$1" | sed 's/[\\"]/\\&/g; s/%/%%/g; s/\$/$$/g')
  printf '[Unit]\nDescription=Reverts what a Drillbook drill left behind\nAfter=local-fs.target network.target\n\n'
  printf "[Service]\nType=simple\nKillMode=process\nExecStart=/bin/sh -c '%s' sh \"%s\"\n" \
    "$(printf '%s' "$at_boot" | sed 's/\$/$$/g')" "$escaped"
  case $ctl in
    *--user*) printf '\n[Install]\nWantedBy=default.target\n' ;;
    *) printf 'User=%s\n\n[Install]\nWantedBy=multi-user.target\n' "$(id -un)" ;;
  esac
}

hook_clear() { # RUN ; whatever hook was set, also when the folder is gone
  if has crontab && crontab -l 2>/dev/null | grep -q "# drillbook-$1\$"; then
    kept=$(cron_lines && echo .) || fail 92 "cannot read the crontab"
    kept=$(printf '%s' "${kept%.}" | cron_others "$1"; echo .)
    kept=${kept%.}
    if [ -n "$kept" ]; then printf '%s' "$kept" | crontab -; else crontab -r; fi || fail 92 "cannot write the crontab"
  fi
  case $2 in
    user) ctl='systemctl --user' ;;
    sudo) ctl='sudo -n systemctl' ;;
    *) ctl=systemctl ;;
  esac
  unit_folder
  if [ -e "$units/drillbook-$1-boot.service" ]; then
    $ctl disable "drillbook-$1-boot.service" >/dev/null 2>&1
    sudo_if rm -f "$units/drillbook-$1-boot.service" || fail 92 "cannot remove $units/drillbook-$1-boot.service"
    $ctl daemon-reload >/dev/null 2>&1
  fi
}

alive() { # in the lease's folder; sets pid
  pid='' begun=''
  { read -r pid begun < watcher; } 2>/dev/null || return 1
  { read -r line < "/proc/$pid/stat"; } 2>/dev/null || return 1
  # shellcheck disable=SC2086 # the fields of the line
  set -- ${line##*) }
  case $1 in [ZXTt]) return 1 ;; esac
  shift 19
  [ "$1" = "$begun" ]
}

nobody() { printf '%-12d %-24d\n' 0 0; } # in place of a watcher, as long as one

persist() { # PATH... ; on disk before it returns
  sync "$@" 2>/dev/null || sync
}

launch() { # RUN ; in the lease's folder; the watcher lives when it returns
  folder=$PWD
  nobody 1<> watcher || fail 92 "cannot write $folder/watcher"
  # Nothing of this session may hold it, or be held by it: no descriptors, no process group, no terminal, no parent.
  case $kind in
    systemd)
      # systemd expands variables in the words of a command.
      dollars=$(printf '%s' "$folder" | sed 's/\$/$$/g')
      $ctl reset-failed "drillbook-$1.service" >/dev/null 2>&1
      # shellcheck disable=SC2086 # two or three words
      $run_unit --quiet --collect --unit="drillbook-$1" --property=KillMode=process --setenv="PATH=$PATH" \
        --setenv="HOME=$HOME" /bin/sh "$dollars/watch.sh" "$dollars" watch 9<&- >/dev/null 2>&1 ||
        fail 92 "systemd-run could not start drillbook-$1"
      ;;
    *)
      if has setsid; then
        (setsid sh "$folder/watch.sh" "$folder" watch 9<&- </dev/null >/dev/null 2>&1 &)
      else
        (nohup sh "$folder/watch.sh" "$folder" watch 9<&- </dev/null >/dev/null 2>&1 &)
      fi
      ;;
  esac
  tries=0
  until alive; do
    tries=$((tries + 1))
    [ "$tries" -lt 150 ] || fail 93 "the watcher did not start within 15 s"
    pause
  done
}

relaunch() { # in the lease's folder, as its place says
  { read -r _ && read -r kind && read -r _ && read -r manager; } < place
  resolve "$kind" none "$manager"
  launch "${PWD##*/}"
}

lease_ready() { # ROOT RUN KIND BOOT MANAGER
  has flock || fail 90 "flock is missing (package util-linux, or busybox)"
  now
  at=$1
  while ! [ -d "$at" ] && [ -n "$at" ]; do at=${at%/*}; done
  { [ -w "${at:-/}" ] && [ -x "${at:-/}" ]; } || fail 90 "no lease can be kept in $1: this user may not write in ${at:-/}"
  [ "$at" != "$1" ] || (cd -- "$1" && ours "$1") || exit $?
  resolve "$3" "$4" "$5"
  echo "$kind $hook"
}

lease_arm() { # ROOT RUN LEASE KIND BOOT MANAGER WATCH SEQ WHAT LINE...
  enter "$1" make
  now
  run=$2
  mkdir -p leases && cd leases || fail 92 "cannot make $1/leases"
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
    (cd "$run" && hook_set "$run" "$PWD") || {
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
  # The watcher may have begun to revert just before the beat.
  [ -e claim.open ] && echo "armed $PWD" || echo lapsed
}

lease_write() { # SEQ WHAT, then all the words of lease_arm
  seq=$1
  rm -rf .new
  { mkdir .new && printf '%s\n' "$2" > .new/what; } || fail 92 "cannot write in $PWD"
  shift 11
  number=10
  for line; do
    number=$((number + 1))
    printf 'exec %s\n' "$line" > ".new/$number" || fail 92 "cannot write in $PWD"
  done
  persist .new/* .new watch.sh place beat
  rm -rf "armed/$seq"
  mv .new "armed/$seq" || fail 92 "cannot write in $PWD"
  persist armed . .. ../..
}

lease_alive() { # says lapsed when the target has begun to revert, or was started again
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

lease_beat() { # RUN ; in the root
  cd "leases/$1" 2>/dev/null || {
    echo lapsed
    return
  }
  lease_alive || return 0
  beat 1<> beat || fail 92 "cannot write $1/beat"
  alive || relaunch
  [ -e claim.open ] || echo lapsed
}

lease_disarm() { # ROOT RUN SEQ
  enter "$1" || return 0
  cd "leases/$2" 2>/dev/null || return 0
  rm -rf ".gone.$3"
  mv "armed/$3" ".gone.$3" 2>/dev/null
  rm -rf ".gone.$3"
}

reverting() { # in the lease's folder: a process that reverts holds the kernel lock on beat, or is about to
  if [ -e claim.reverting ] && alive; then return 0; fi
  { command exec 8< beat; } 2>/dev/null || return 1
  if flock -n 8; then
    exec 8<&-
    return 1
  fi
  exec 8<&-
}

lease_end() { # ROOT RUN SECONDS MANAGER
  enter "$1" || {
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
      enter "$1" && cd "leases/$2" || return 0
    done
    lease_stop "$2" "$4"
    tail -c 65536 log
    cd ..
    rm -rf "$2" || fail 92 "cannot remove $1/leases/$2"
  fi
  hook_clear "$2" "$4"
  leave
}

lease_stop() { # RUN MANAGER ; the watcher is gone when it returns
  { read -r _ && read -r kind; } < place
  if alive; then
    # The watcher leads its own group; without setsid it is in none that may be ended.
    kill -TERM -- "-$pid" 2>/dev/null || kill -TERM "$pid" 2>/dev/null
  fi
  tries=0
  while alive; do
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || fail 93 "the watcher $pid does not end"
    [ "$tries" != 20 ] || kill -KILL -- "-$pid" 2>/dev/null || kill -KILL "$pid" 2>/dev/null
    pause
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

lease_revert() { # ROOT RUN ; the target reverts now; waits for its end
  enter "$1" || return 0
  cd "leases/$2" 2>/dev/null || return 0
  exec 9<&-
  sh ./watch.sh "$PWD" now </dev/null >/dev/null 2>&1
}
