#!/bin/sh
# Become systemd, as the boot of a machine does: with control groups of its own, and with another boot id each time.
set -eu
umount -R /sys/fs/cgroup # whatever the engine put there: systemd 257 does not take the older kind
mount -t cgroup2 cgroup2 /sys/fs/cgroup
id=/proc/sys/kernel/random/boot_id
! mountpoint -q "$id" || umount "$id"
cat /proc/sys/kernel/random/uuid > /run/boot_id
mount --bind /run/boot_id "$id"
mount -o remount,bind,ro "$id"
install -m 0600 /mnt/keys/host_key /etc/ssh/test_host_key
install -m 0644 /mnt/keys/authorized_keys /etc/ssh/test_authorized_keys
exec /sbin/init
