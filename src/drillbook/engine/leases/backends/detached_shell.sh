# shellcheck shell=sh disable=SC2154 # lease.sh sets folder
# Watcher as a shell in its own session: `lease: {kind: watcher}`.

watch_watcher_usable() {
  if ! has setsid && ! has nohup; then
    unusable "neither setsid nor nohup is there"
  elif logind_ends_processes; then
    unusable "logind ends this user's processes at logout (KillUserProcesses): let the lease use systemd (manager: sudo or user)"
  fi
}

logind_ends_processes() {
  [ -d "${DRILLBOOK_SYSTEMD:-/run/systemd/system}" ] &&
    cat /etc/systemd/logind.conf /usr/lib/systemd/logind.conf /etc/systemd/logind.conf.d/*.conf \
      /run/systemd/logind.conf.d/*.conf /usr/local/lib/systemd/logind.conf.d/*.conf \
      /usr/lib/systemd/logind.conf.d/*.conf 2>/dev/null |
    grep -qi '^KillUserProcesses *= *\(yes\|true\|1\|on\)'
}

watch_watcher_start() {
  if has setsid; then
    (setsid sh "$folder/watch.sh" "$folder" watch 9<&- </dev/null >/dev/null 2>&1 &)
  else
    (nohup sh "$folder/watch.sh" "$folder" watch 9<&- </dev/null >/dev/null 2>&1 &)
  fi
}
