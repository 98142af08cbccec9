# Starts a Docker engine where no service manager does: `. .ci/engine.sh; start_engine /var/run LOG [OPTION...]`.
# shellcheck shell=bash

# forget_dead_engine RUN: remove pid files whose process is another program by now, or has ended and waits for its parent.
# dockerd and containerd would take both for a running engine: they only ask for a process of that number
# (https://github.com/moby/moby/blob/v26.1.5/pkg/pidfile/pidfile.go).
forget_dead_engine() {
  local program file
  for program in dockerd:docker.pid containerd:docker/containerd/containerd.pid; do
    file="$1/${program#*:}"
    [ -s "$file" ] || continue
    case "$(readlink "/proc/$(cat "$file")/exe")" in
    */"${program%%:*}"*) ;;
    *) rm -f "$file" ;;
    esac
  done
}

# start_engine RUN LOG [OPTION...]: start dockerd with its socket and state in RUN, and set $engine to its process number.
# An earlier engine may still be shutting down: then dockerd ends at once, and is started again until 2 minutes have passed.
start_engine() {
  local run="$1" log="$2" end=$((SECONDS + 120))
  shift 2
  engine=""
  while [ "$SECONDS" -lt "$end" ]; do
    if [ -z "$engine" ] || ! kill -0 "$engine" 2>/dev/null; then
      forget_dead_engine "$run"
      dockerd --host "unix://$run/docker.sock" --pidfile "$run/docker.pid" --exec-root "$run/docker" "$@" >>"$log" 2>&1 &
      engine=$!
    fi
    sleep 0.5
    ! kill -0 "$engine" 2>/dev/null || ! docker --host "unix://$run/docker.sock" version >/dev/null 2>&1 || return 0
  done
  echo "The Docker engine did not start within 2 minutes. The end of its log $log:" >&2
  tail -20 "$log" >&2
  return 1
}
