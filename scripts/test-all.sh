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

others=()
for file in tests/*.rs tests/*/main.rs; do
  name=$(basename "${file%/main.rs}" .rs)
  [[ $name == chaos || $name == e2e ]] || others+=(--test "$name")
done

status=0
cargo test --lib --bins "${others[@]}" || status=$?
# These mostly wait, so more of them run at the same time than there are processors.
cargo test --test chaos -- --test-threads 6 || status=$?
cargo test --test e2e -- --test-threads 3 || status=$?
cargo test --doc || status=$?
wait "$long" || status=$?
cat "$log"
exit "$status"
