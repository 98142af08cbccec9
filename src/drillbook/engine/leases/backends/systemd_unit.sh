# shellcheck shell=sh disable=SC2154 # lease.sh sets manager and folder
# Watcher as a transient systemd unit: `lease: {kind: systemd}`.

watch_systemd_usable() {
  may_use_systemd || unusable "lease kind systemd: PID 1 is not systemd here, or this user may not use systemd-run"
}

watch_systemd_start() { # RUN
  case $manager in
    user) run_unit='systemd-run --user' ;;
    sudo) run_unit="sudo -n systemd-run --uid=$(id -u)" ;;
    *) run_unit="systemd-run --uid=$(id -u)" ;;
  esac
  ctl_of_manager
  # systemd expands variables in the arguments of a command.
  dollars=$(printf '%s' "$folder" | sed 's/\$/$$/g')
  $ctl reset-failed "drillbook-$1.service" >/dev/null 2>&1
  # shellcheck disable=SC2086 # split into two or three arguments
  $run_unit --quiet --collect --unit="drillbook-$1" --property=KillMode=process --setenv="PATH=$PATH" \
    --setenv="HOME=$HOME" /bin/sh "$dollars/watch.sh" "$dollars" watch 9<&- >/dev/null 2>&1 ||
    fail 92 "systemd-run could not start drillbook-$1"
}
