# ruff: noqa: B018, F821
"""Names that vulture reports as unused, and the reason why they stay. Read by `python -m bench.unused`, never run."""

# Called or read by the library whose class is extended
_.get_data  # importlib: pkgutil asks a loader for it
_.examples  # cosmic_ray.operators.operator.Operator
_._basetemp  # pytest's factory of temporary folders
_._given_basetemp
_.writable  # io: what standard output is asked
_.initial_context  # invoke.Program
_.parse_core_args
_.inline_ssh_env  # fabric.Connection
_.get_sources  # paramiko.auth_strategy.AuthStrategy
_.missing_host_key  # paramiko.MissingHostKeyPolicy
_.__class__  # paramiko compares the class of a transport
_.close_connection  # http.server
_.data_received  # asyncio.Protocol
_.connection_lost
_.connection_made
_.begin_auth  # asyncssh.SSHServer
_.public_key_auth_supported
_.validate_public_key
_.connection_requested
dest_port  # its arguments
orig_host
orig_port
_.map_path  # asyncssh.SFTPServer
_.make_connection  # xmlrpc.client.Transport
_.intercepted_binops  # jinja2.sandbox
_.get_source_checksum  # jinja2.BytecodeCache
_.dump_bytecode
_.no_wrap  # rich.text.Text
_.max_width  # rich.table.Column
_.overflow
_.ConnectionCls  # urllib3
_.pool_classes_by_scheme
_._create_connection  # http.client
_._content_consumed  # requests.Response
_.get_connection  # requests.adapters.HTTPAdapter
proxies  # its argument
_._custom_adapter  # docker.APIClient
_.has_location  # importlib.machinery.ModuleSpec
_.submodule_search_locations
_.get_source  # importlib.abc.InspectLoader
_.get_code

# Keys of files that people write, read by their name
_.include  # inventories, put together before the model is made
_.detect  # `objectives`
_.not_drilled  # services
_.env_template
_.effect_  # the alias of `effect`
_.proven_by  # `command.run`

# Fields of files that others read: journal.jsonl, result.json, audit.json, manifests of backups
_.schema_
_.total_files_processed  # restic's snapshots
_.not_good_for_s
_.receivers
_.newest_run
_.newest_at
_.newest_verdict
_.unproven
_.server_version_num
_.data_checksums
_.rpo_s  # the objective that the gate of a team's own backup compared

# Used only by tests
_.tripped  # conditions of a guard
_.leases  # on a host, by any run
_.watcher  # of a lease
_.age_s  # of a lock and of a lease
_.revert  # a lease, now and not after its end: for the boot hook

# Fields of JSON output, written by dataclasses.asdict
_.passed_run  # drillbook/due/1
_.proven_run
_.last_run
_.measured_at  # docs/measurements/overhead.json and transfers.json

# Called by tests alone
_.suite_summary  # the complete text of a terminal, which tests compare with files
