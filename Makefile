# `make run` and `make test` are all that is needed in a fresh clone; each installs first what is missing.
SHELL := /bin/bash
# rustup's cargo and what scripts/setup.sh fetches for this user, also where no shell profile has put them on the PATH.
export PATH := $(HOME)/.cargo/bin:$(HOME)/.local/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help run test screenshots chaos check audit bench deb deb-test

help: ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# The development profile: its first build takes a fraction of the release one's time. For real use: cargo install (README).
# It reads dev.toml, so that a trunkd.toml for a real FreeSWITCH doesn't change what it does.
run: ## build trunkd and run it on its own Redis, with a sample gateway (CONFIG=my.toml: with your settings; ARGS adds flags)
	@scripts/setup.sh cargo cc curl redis-server
	@cargo run --bin trunkd -- serve --config $(if $(CONFIG),"$(CONFIG)",dev.toml --sample) $(ARGS)

test: ## run every test (ARGS="--test settings" picks some)
	@scripts/setup.sh cargo cc curl openssl redis-server chromium chromedriver cargo-deb dpkg-shlibdeps man
	@$(if $(ARGS),cargo test $(ARGS),scripts/test-all.sh)

screenshots: ## make the pictures of the pages again, in docs/screenshots
	@scripts/setup.sh cargo cc redis-server chromium chromedriver fonts-noto-cjk
	@cargo test --test browser screenshots:: -- --ignored

# Schedules mostly wait, so more of them run in parallel than there are processors.
chaos: ## break Redis, the switch and trunkd at random moments in N schedules, shared out among the tests, up to the first failure (N=1000)
	@scripts/setup.sh cargo cc redis-server
	@TRUNKD_CHAOS_IN_ALL="$(or $(N),100)" cargo test --test chaos $(ARGS) -- --nocapture --test-threads 6

check: ## formatting, lints, documentation, the licences and sources of dependencies, and the alerts; warnings as errors
	@scripts/setup.sh cargo cc cargo-deny promtool
	cargo fmt --check
	cargo clippy --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --locked
	cargo deny --locked check licenses bans sources
	promtool check rules packaging/prometheus/trunkd.rules.yml
	promtool test rules packaging/prometheus/trunkd.rules.test.yml

audit: ## look for dependencies with known vulnerabilities (fetches RustSec's database)
	@scripts/setup.sh cargo cc cargo-deny
	cargo deny --locked check advisories

# All of it shares the machine with what is measured: leave it alone meanwhile.
bench: ## measure answers, load, events, edits, the API, files and the pure parts, beside a bare actix-web server and redis-benchmark (QUICK=1: the short form); docs/benchmarks.md says how to read it
	@scripts/setup.sh cargo cc redis-server wrk
	@QUICK="$(QUICK)" cargo bench --bench answers --bench fleet --bench ingest --bench edit_to_wire --bench api --bench files --bench take_over --bench pure

deb: ## build the Debian package, in target/debian (docs/install.md)
	@scripts/setup.sh cargo cc cargo-deb dpkg-shlibdeps
	@scripts/build-deb.sh

deb-test: ## install that package in a fresh Debian made by debootstrap, use, upgrade and purge it (as root)
	@scripts/setup.sh debootstrap
	@scripts/test-deb.sh
