# shellcheck shell=sh disable=SC2154 # lease.sh sets at_boot
# Boot hook as a line `@reboot` in this user's crontab: `lease: {boot: cron}`.

boot_cron_usable() { # auto or named
  if ! has crontab; then
    unusable "nothing here can revert at boot: no usable systemd, no crontab"
  elif [ "$1" = auto ] && ! cron_runs; then
    unusable "nothing here can revert at boot: crontab is there, but no cron runs"
  elif ! cron_lines >/dev/null; then
    unusable "nothing here can revert at boot: this user may not use crontab"
  fi
}

boot_cron_set() { # RUN FOLDER
  line="@reboot /bin/sh -c $(quote "$at_boot") sh $(quote "$2") # drillbook-$1"
  line=$(printf '%s\n' "$line" | sed 's/%/\\%/g')
  theirs=$(cron_lines && echo .) || fail 92 "cannot read the crontab"
  theirs=$(printf '%s' "${theirs%.}" | cron_others "$1"; echo .)
  printf '%s%s\n' "${theirs%.}" "$line" | crontab - || fail 92 "cannot write the crontab"
}

boot_cron_clear() { # RUN
  { has crontab && crontab -l 2>/dev/null | grep -q "# drillbook-$1\$"; } || return 0
  kept=$(cron_lines && echo .) || fail 92 "cannot read the crontab"
  kept=$(printf '%s' "${kept%.}" | cron_others "$1"; echo .)
  kept=${kept%.}
  if [ -n "$kept" ]; then printf '%s' "$kept" | crontab -; else crontab -r; fi || fail 92 "cannot write the crontab"
}

cron_runs() { cat /proc/[0-9]*/comm 2>/dev/null | grep -q '^\(cron\|crond\|fcron\|busybox-cron\)$'; }

cron_lines() { # prints the crontab unchanged; status 1 when it cannot be read
  said=$(LC_ALL=C crontab -l 2>&1 >/dev/null) && {
    crontab -l
    return
  }
  case $said in *"no crontab"* | *"can't open"*"No such file"*) return 0 ;; *) return 1 ;; esac
}

cron_others() { LC_ALL=C grep -v "# drillbook-$1\$" || :; }

quote() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"; }
