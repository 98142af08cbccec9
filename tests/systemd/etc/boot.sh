#!/bin/sh
# Become systemd, as the boot of a machine does: with control groups of its own, and with another boot id each time.
set -eu
umount -R /sys/fs/cgroup # mounts of the container engine: systemd 257 refuses cgroup version 1
mount -t cgroup2 cgroup2 /sys/fs/cgroup
id=/proc/sys/kernel/random/boot_id
! mountpoint -q "$id" || umount "$id"
cat /proc/sys/kernel/random/uuid > /run/boot_id
mount --bind /run/boot_id "$id"
mount -o remount,bind,ro "$id"
install -m 0600 /mnt/keys/host_key /etc/ssh/test_host_key
install -m 0644 /mnt/keys/authorized_keys /etc/ssh/test_authorized_keys
exec /sbin/init
