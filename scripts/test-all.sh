#!/usr/bin/env bash
# Runs every test. Those that wait for minutes, and do little else, run beside the others.
set -euo pipefail
set -m # a job can be ended with the processes that it started

cargo test --no-run
log=$(mktemp)
cargo test --test e2e -- --ignored --nocapture >"$log" 2>&1 &
long=$!
finish() {
  kill -- "-$long" 2>/dev/null || true
  rm -f "$log"
}
trap finish EXIT

status=0
cargo test || status=$?
wait "$long" || status=$?
cat "$log"
exit "$status"
