#!/usr/bin/env bash
# Builds the Debian package, target/debian/trunkd_VERSION_ARCH.deb, and prints its path.
#
#   scripts/build-deb.sh            builds trunkd for it (release profile)
#   scripts/build-deb.sh PROGRAM    packs this trunkd without its symbols, for tests
set -euo pipefail
cd "$(dirname "$0")/.."

release=${CARGO_TARGET_DIR:-target}/release
deb=$release/deb
program=$release/trunkd
options=(--no-build --locked)
if (($#)); then
  options+=(--no-strip --fast)
  mkdir -p "$release"
  strip -o "$program" "$1"
else
  cargo build --release --locked --bin trunkd
fi

# What the program says of itself. cargo-deb takes it from here (Cargo.toml).
rm -rf "$deb"
"$program" man "$deb/man"
for shell in bash zsh fish; do
  "$program" completions "$shell" >"$deb/trunkd.$shell"
done
gzip -9n "$deb"/man/*.1
gzip -9n <CHANGELOG.md >"$deb/changelog.gz"
version=$("$program" --version | awk '{ print $2 }')
maintainer=$(sed -n 's/^maintainer = "\(.*\)"$/\1/p' Cargo.toml)
gzip -9n >"$deb/changelog.Debian.gz" <<END
trunkd ($version-1) unstable; urgency=medium

  * See changelog.gz.

 -- $maintainer  $(date -R -r CHANGELOG.md)
END

cargo deb "${options[@]}"
