#!/usr/bin/env bash
# Installs what is missing of what it is asked for, and nothing when nothing is missing (then it needs no root either):
#
#   scripts/setup.sh cargo cc curl redis-server
#
# On Debian and its kin it installs by apt-get, through sudo when not root; elsewhere it says what to install.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
  printf 'setup: %s\n' "$@" >&2
  exit 1
}

# Rust is never installed by us: which one, and where, is the user's to say.
need_cargo() {
  local want have
  want=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
  command -v cargo >/dev/null ||
    fail "cargo is missing: trunkd is built with Rust $want or later." \
      "Get it from https://rustup.rs (on Debian 13 and later also: apt-get install rustup && rustup default stable)." \
      "If it is there already, put it on the PATH: . ~/.cargo/env"
  have=$(cargo --version | awk '{ print $2 }')
  [[ $(printf '%s\n' "$want" "${have%%-*}" | sort -V | head -n 1) == "$want" ]] ||
    fail "$(command -v cargo) is $have, and trunkd needs Rust $want or later." \
      "Update it (rustup update stable), or put a newer one before it on the PATH."
}

# Built from the registry, for this user: a minute or two, once. Optimized they would take more than twice that, and they run
# for seconds.
need_cargo_tool() {
  local tool=${1%@*}
  command -v "$tool" >/dev/null && return
  printf 'setup: building %s (missing)\n' "$tool"
  CARGO_PROFILE_DEV_DEBUG=0 cargo install --debug --locked --quiet "$1" ||
    fail "$tool could not be built: see above, or run this again once the crate registry can be reached."
}

# This one program of Debian's prometheus, for this user: the package itself would add a server that starts at once, and a user.
need_promtool() {
  command -v promtool >/dev/null && return
  command -v apt-get >/dev/null ||
    fail "promtool is missing, and there is no apt-get here: it comes with Prometheus (https://prometheus.io); put it on the PATH."
  printf 'setup: fetching promtool (missing)\n'
  local folder
  folder=$(mktemp -d)
  (
    cd "$folder"
    fetch() { apt-get -qq -o APT::Sandbox::User="$(id -un)" download prometheus; }
    fetch 2>/dev/null || { become_root "apt has no list of packages" "" && "${as_root[@]}" apt-get -qq update && fetch; }
    dpkg-deb --fsys-tarfile prometheus_*.deb | tar x ./usr/bin/promtool
    install -D usr/bin/promtool ~/.local/bin/promtool
  ) || fail "promtool could not be fetched: see above."
  rm -rf "$folder"
}

# What is wrong, and the end of the sentence that says why there is no root.
as_root=()
become_root() {
  ((EUID == 0)) && return
  command -v sudo >/dev/null || fail "$1, and this is neither root nor is there a sudo$2."
  # Without a terminal nobody could type the password: fail instead of waiting for it.
  if [[ -t 0 ]]; then as_root=(sudo); else as_root=(sudo -n); fi
  "${as_root[@]}" true || fail "$1, and sudo does not let this user become root$2."
}

# A font is there if fontconfig finds one for Chinese; everything else is a program.
has() {
  case $1 in
    fonts-noto-cjk) [[ -n $(fc-list :lang=zh 2>/dev/null) ]] ;;
    *) command -v "$1" >/dev/null ;;
  esac
}

missing=() packages=() servers=() after=()
for tool in "$@"; do
  case $tool in
    cargo)
      need_cargo
      continue
      ;;
    # They need a C compiler, which may be among what is missing.
    cargo-deny)
      after+=("need_cargo_tool cargo-deny@0.20.2")
      continue
      ;;
    cargo-deb)
      after+=("need_cargo_tool cargo-deb@3.8.0")
      continue
      ;;
    promtool)
      after+=(need_promtool)
      continue
      ;;
  esac
  has "$tool" && continue
  missing+=("$tool")
  case $tool in
    cc) packages+=(gcc libc6-dev) ;;
    curl) packages+=(curl ca-certificates) ;;
    # For the commands of docs/how-to/tls.md, which a test runs.
    openssl) packages+=(openssl) ;;
    redis-server) packages+=(redis-server) servers+=(redis-server) ;;
    wrk) packages+=(wrk) ;;
    # Without it cargo-deb only warns, and the package depends on no libc6.
    dpkg-shlibdeps) packages+=(dpkg-dev) ;;
    man) packages+=(man-db groff-base) ;;
    debootstrap) packages+=(debootstrap) ;;
    # For the tests of the pages.
    chromium) packages+=(chromium) ;;
    chromedriver) packages+=(chromium-driver) ;;
    # For pictures of the pages in Chinese. The smallest font that has it.
    fonts-noto-cjk) packages+=(fontconfig fonts-wqy-microhei) ;;
    *) fail "$0 does not know how to get $tool" ;;
  esac
done
# Each step is a command and its arguments.
run_after() { for step in "${after[@]}"; do $step; done; }
((${#missing[@]})) || { run_after; exit 0; }

by_hand="install ${missing[*]} yourself (on Debian: apt-get install ${packages[*]}; elsewhere look for gcc, curl and redis), then run this again"
command -v apt-get >/dev/null || fail "missing: ${missing[*]}, and there is no apt-get here: $by_hand."

become_root "missing: ${missing[*]}" ": $by_hand"

printf 'setup: installing %s (missing: %s)\n' "${packages[*]}" "${missing[*]}"

# Debian starts and enables a server that it installs, and nobody wants another redis-server on port 6379 here: trunkd,
# the tests and the benchmarks run their own. The policy below keeps it from being started. It was not installed before, so there is none to disturb.
policy=/usr/sbin/policy-rc.d
made_policy=
drop_policy() { [[ -z $made_policy ]] || "${as_root[@]}" rm -f "$policy"; }
trap drop_policy EXIT
if ((${#servers[@]})) && [[ ! -e $policy ]]; then
  made_policy=yes
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
  "${as_root[@]}" chmod 0755 "$policy"
fi

apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120)
"${apt[@]}" update || printf 'setup: apt-get update failed; going on with the lists that are here\n' >&2
"${apt[@]}" install --yes --no-install-recommends "${packages[@]}" </dev/null || fail "apt-get could not install ${packages[*]}: $by_hand."

# Not at the next boot either.
for server in "${servers[@]}"; do
  "${as_root[@]}" update-rc.d "$server" disable || true
  if command -v systemctl >/dev/null; then
    "${as_root[@]}" systemctl disable --quiet --now "$server.service" 2>/dev/null || true
  fi
done

for tool in "${missing[@]}"; do
  has "$tool" || fail "${packages[*]} is installed, but there is still no $tool on the PATH ($PATH)."
done
run_after
