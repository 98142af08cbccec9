"""An estate that nobody of this project has set up: Debian hosts with systemd behind a bastion, an Ansible inventory, sudo."""
