#!/usr/bin/env bash
# Installs the Debian package in a fresh Debian (debootstrap), runs trunkd there, and upgrades, removes and purges it.
#
#   scripts/test-deb.sh [PACKAGE]    as root; without PACKAGE that of `make deb`
set -euo pipefail
built() {
  cd "$(dirname "$0")/.."
  realpath "$(ls -t "${CARGO_TARGET_DIR:-target}"/debian/trunkd_*.deb | head -n 1)"
}
package=$(realpath "${1:-$(built)}")
release=bookworm
address=127.0.0.1:28080

root=$(mktemp -d)
# trunkd's user goes through it, too.
chmod 0755 "$root"
trunkd=
finish() {
  [[ -z $trunkd ]] || kill "$trunkd" 2>/dev/null || true
  rm -rf --one-file-system "$root"
}
trap finish EXIT
inside() { DEBIAN_FRONTEND=noninteractive LC_ALL=C chroot "$root" "$@"; }
fail() {
  printf 'test-deb: %s\n' "$*" >&2
  exit 1
}
# What it says first, then the command that says it.
expect() {
  local want=$1 got
  got=$("${@:2}") || fail "${*:2}: exit status $?: $got"
  [[ $got == "$want" ]] || fail "${*:2}: $got, and not $want"
}
passed() { printf 'test-deb: %s\n' "$*"; }

printf 'test-deb: %s into %s\n' "$package" "$root"
debootstrap --variant=minbase --include=systemd,procps,redis-server "$release" "$root" >"$root.log" || fail "debootstrap: see $root.log"
rm "$root.log"
cp "$package" "$root/trunkd.deb"

inside dpkg -i /trunkd.deb
expect "trunkd" inside id -gn trunkd
expect "750 root:trunkd" inside stat -c '%a %U:%G' /etc/trunkd
expect "640 root:trunkd" inside stat -c '%a %U:%G' /etc/trunkd/trunkd.toml
inside test -L /etc/systemd/system/multi-user.target.wants/trunkd.service || fail "the service is not enabled"
inside systemd-analyze verify --man=no trunkd.service
inside test -s /usr/share/man/man1/trunkd-gateway-set.1.gz || inside grep -q 'path-exclude=/usr/share/man' -r /etc/dpkg ||
  fail "there are no manual pages"
if inside trunkd check >/dev/null; then fail "trunkd check is content with settings that name no Redis"; fi
passed "installed"

# As the unit starts it, on a Redis of its own.
install -d -m 0700 -o "$(inside id -u trunkd)" "$root/var/lib/trunkd"
sed -i 's/^#embedded = false/embedded = true/' "$root/etc/trunkd/trunkd.toml"
# Not `inside`: the process must be trunkd itself.
TRUNKD_API__ENABLED=false chroot "$root" setpriv --reuid trunkd --regid trunkd --clear-groups \
  trunkd serve --config /etc/trunkd/trunkd.toml --listen "$address" &
trunkd=$!
for _ in {1..120}; do
  kill -0 "$trunkd" 2>/dev/null || fail "trunkd serve ended"
  inside trunkd health --listen "$address" && break
  sleep 0.5
done
inside trunkd health --listen "$address" | grep -q ': serving' || fail "trunkd does not serve"
kill "$trunkd"
wait "$trunkd" || fail "trunkd serve: exit status $?"
trunkd=
passed "served"

inside dpkg -i /trunkd.deb
grep -q '^embedded = true' "$root/etc/trunkd/trunkd.toml" || fail "the upgrade replaced trunkd.toml"
expect "640 root:trunkd" inside stat -c '%a %U:%G' /etc/trunkd/trunkd.toml
passed "upgraded"

inside dpkg -r trunkd
inside test -e /etc/trunkd/trunkd.toml || fail "the removal took the settings"
inside test -e /var/lib/trunkd || fail "the removal took the data"
inside dpkg -P trunkd
for path in /etc/trunkd /var/lib/trunkd /usr/share/trunkd /etc/systemd/system/multi-user.target.wants/trunkd.service; do
  if inside test -e "$path"; then fail "the purge left $path"; fi
done
passed "removed and purged"
