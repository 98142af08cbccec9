# shellcheck shell=sh disable=SC2154 # lease.sh sets manager and at_boot, systemd.sh ctl
# Boot hook as a systemd unit that is started at boot: `lease: {boot: systemd}`.

boot_systemd_usable() {
  { may_use_systemd && may_have_boot_unit; } ||
    unusable "boot systemd: this user cannot have a unit that starts at boot (it takes root, sudo or lingering)"
}

may_have_boot_unit() {
  case $manager in
    user) [ -e "${DRILLBOOK_LINGER:-/var/lib/systemd/linger}/$(id -un)" ] ;;
    sudo) may_sudo mkdir && may_sudo tee && may_sudo rm ;;
  esac
}

boot_systemd_set() { # RUN FOLDER
  unit_folder
  sudo_if mkdir -p "$units" || fail 92 "cannot make $units"
  unit_text "$2" | sudo_if tee "$units/drillbook-$1-boot.service" >/dev/null || fail 92 "cannot write in $units"
  { $ctl daemon-reload && $ctl enable "drillbook-$1-boot.service"; } >/dev/null 2>&1 ||
    fail 92 "cannot enable drillbook-$1-boot.service"
}

boot_systemd_clear() { # RUN
  unit_folder
  [ -e "$units/drillbook-$1-boot.service" ] || return 0
  $ctl disable "drillbook-$1-boot.service" >/dev/null 2>&1
  sudo_if rm -f "$units/drillbook-$1-boot.service" || fail 92 "cannot remove $units/drillbook-$1-boot.service"
  $ctl daemon-reload >/dev/null 2>&1
}

unit_folder() { # sets ctl and units
  ctl_of_manager
  case $manager in user) units=${XDG_CONFIG_HOME:-$HOME/.config}/systemd/user ;; *) units=${DRILLBOOK_UNITS:-/etc/systemd/system} ;; esac
}

sudo_if() { case $manager in sudo) sudo -n "$@" ;; *) "$@" ;; esac; }

unit_text() { # FOLDER
  escaped=$(printf '%s' "$1" | sed 's/[\\"]/\\&/g; s/%/%%/g; s/\$/$$/g')
  printf '[Unit]\nDescription=Reverts what a Drillbook drill left behind\nAfter=local-fs.target network.target\n\n'
  printf "[Service]\nType=simple\nKillMode=process\nExecStart=/bin/sh -c '%s' sh \"%s\"\n" \
    "$(printf '%s' "$at_boot" | sed 's/\$/$$/g')" "$escaped"
  case $manager in
    user) printf '\n[Install]\nWantedBy=default.target\n' ;;
    *) printf 'User=%s\n\n[Install]\nWantedBy=multi-user.target\n' "$(id -un)" ;;
  esac
}
