# What a person does with latchd. `make` alone lists it. Logic lives in scripts/.

PREFIX ?= /usr
DESTDIR ?=
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/latchd
export CARGO_TARGET_DIR ?= target
# A Rust installed by rustup counts also where the login shell has not put it on the path.
export PATH := $(HOME)/.cargo/bin:$(PATH)
RELEASE := $(CARGO_TARGET_DIR)/release

.DEFAULT_GOAL := help
.PHONY: help prerequisites build demo check test conformance bench photographs sim fuzz disk soak wear cross deb board board-full install clean-cache

help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

prerequisites: ## Install what the build needs (apt where this is Debian; says so first)
	@scripts/prerequisites.sh build

build: prerequisites ## Build the release binaries
	cargo build --release --locked

demo: build ## Build, then watch a door: granted, denied, a photograph held up, offline, late, killed in mid-pulse
	$(RELEASE)/latchd demo

check: ## What test does, without the board: some minutes
	@scripts/prerequisites.sh test
	@scripts/test.sh fmt clippy lean shell units deny nextest doctest demo eyes sdk

test: ## Format, lint, licences, all tests, the demo, most of the emulated board; ends with one line of counts
	@scripts/prerequisites.sh test
	@scripts/test.sh

conformance: prerequisites ## The vendor's own clients and OpenAPI file against latchd sandbox
	@scripts/conformance.sh

sim: prerequisites ## Simulated histories and the exhaustive check (SEEDS=10000 FIRST=1)
	LATCHD_SIM_SEEDS=$(or $(SEEDS),10000) LATCHD_SIM_FIRST=$(or $(FIRST),1) LATCHD_SIM_STEPS=6 \
		cargo test --locked --lib -- --nocapture sim::tests::no_

fuzz: prerequisites ## Coverage-guided fuzzing of what decodes outside bytes (T=60 seconds each, TARGETS="mjpg raw")
	@scripts/fuzz.sh $(TARGETS)

bench: prerequisites ## Measure against the peers that docs/benchmarks.md names
	@scripts/bench.sh

photographs: build ## Real photographs, of people and of none, shown to the release: who is found
	@python3 -B scripts/photographs.py $(RELEASE)/latchd

disk: prerequisites ## Kill a process that makes jobs durable, KILLS=500 times: no promise may be lost
	LATCHD_KILLS=$(or $(KILLS),500) cargo test --locked --test queue_killed -- --nocapture

wear: prerequisites ## Count the bytes that a job and an idle hour write to a flash of their own (root)
	@scripts/wear.sh

soak: prerequisites ## Feed a daemon for T=30 minutes while its link is cut; memory, file and accounts must hold
	@scripts/soak.sh

cross: ## Build for ARM boards and run the pure rooms' tests as these would (ARCHS="arm64 armhf")
	@scripts/cross.sh build $(or $(ARCHS),arm64 armhf)
	@scripts/cross.sh test $(or $(ARCHS),arm64 armhf)

deb: ## Make latchd_VERSION_ARCH.deb (ARCHS="arm64 armhf amd64")
	@scripts/cross.sh build $(or $(ARCHS),arm64 armhf amd64)
	@scripts/deb.sh $(or $(ARCHS),arm64 armhf amd64)

board: ## The arm64 package on an emulated board with camera and GPIO, each scenario once (root, Debian)
	@scripts/board.sh

board-full: ## The same with the long counts, in parts that resume (about an hour; CUTS=200 SCENARIOS=power_cuts)
	@scripts/board.sh --full $(if $(CUTS),--cuts $(CUTS)) $(SCENARIOS)

install: ## Install built binaries, units, manual pages and annotated files below DESTDIR (PREFIX=/usr)
	@test -x $(RELEASE)/latchd || { echo "make install: nothing built yet; run make build first" >&2; exit 1; }
	install -D -m 0755 -t $(DESTDIR)$(PREFIX)/bin $(RELEASE)/latchd $(RELEASE)/latchd-guard
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/lib/systemd/system systemd/*.service $(wildcard systemd/*.socket)
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/lib/sysusers.d systemd/sysusers.d/latchd.conf
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/lib/tmpfiles.d systemd/tmpfiles.d/latchd.conf
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/lib/udev/rules.d systemd/udev/99-latchd.rules
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/doc/latchd LICENSE-MIT LICENSE-APACHE docs/*.md docs/*.svg \
		src/eyes/LICENSE.Apache-2.0-mediapipe src/eyes/NOTICE.md \
		$(filter-out config/demo.toml,$(wildcard config/*.toml))
	install -D -t $(DESTDIR)$(PREFIX)/share/latchd/plain-init packaging/plain-init/prepare
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/latchd/plain-init packaging/plain-init/inittab
	install -d $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/bash-completion/completions \
		$(DESTDIR)$(PREFIX)/share/zsh/vendor-completions $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	umask 022 && $(RELEASE)/latchd man $(DESTDIR)$(PREFIX)/share/man/man1
	umask 022 && $(RELEASE)/latchd completions bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/latchd
	umask 022 && $(RELEASE)/latchd completions zsh > $(DESTDIR)$(PREFIX)/share/zsh/vendor-completions/_latchd
	umask 022 && $(RELEASE)/latchd completions fish > $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/latchd.fish

clean-cache: ## Remove the tools and builds that make test keeps in the user's cache
	rm -rf $(CACHE)
