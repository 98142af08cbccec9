# shellcheck shell=sh disable=SC2154 # lease.sh sets manager, the service manager that the inventory names for the host
# Functions that both systemd backends share: the commands of systemd in the form that this user may run.

# shellcheck disable=SC2034 # the backends use it
ctl_of_manager() { # sets ctl
  case $manager in
    user) ctl='systemctl --user' ;;
    sudo) ctl='sudo -n systemctl' ;;
    *) ctl=systemctl ;;
  esac
}

may_use_systemd() { # succeeds when PID 1 is systemd, and this user may start units
  { [ -d "${DRILLBOOK_SYSTEMD:-/run/systemd/system}" ] && has systemd-run && has systemctl; } || return 1
  case $manager in
    user) systemctl --user show-environment >/dev/null 2>&1 ;;
    sudo) may_sudo systemctl && may_sudo systemd-run ;;
    *) [ "$(id -u)" = 0 ] ;;
  esac
}

may_sudo() { sudo -n -l "$1" >/dev/null 2>&1; }
