"""An estate as found in a company: Debian hosts with systemd behind a bastion, an Ansible inventory, sudo."""
