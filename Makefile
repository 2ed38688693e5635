# The habits of this repository. Each target does all of its own set-up.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo down test lint bench image generate tools

CARGO ?= cargo
# What a target needs, with a word on where it comes from.
need = @$(foreach tool,$(1),command -v $(tool) >/dev/null || { echo 'error: $(tool) is missing. $(hint-$(tool))' >&2; exit 1; };)
hint-cargo   = It builds Spacesync: https://rustup.rs
hint-go      = It builds Kubernetes, etcd and Helm for the tests, once: Go 1.21 or later, https://go.dev/dl
hint-node    = The Node-RED of the tests runs on it: Node.js 20 or later, on Debian: apt-get install nodejs
hint-npm     = It fetches the Node-REDs of the tests, once. On Debian: apt-get install npm
hint-python3 = It fetches OpenBao and makes container images, once. On Debian: apt-get install python3 python3-pip

help: ## Lists these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# DEMO=--help tells what can be left out.
demo: ## Brings up a cluster, a vault and Node-RED on this machine, and shows a secret arrive in its flows, live
	$(call need,cargo python3)
	@# Without optimisation, as the tests: built in half the time, and what takes time in the demo is the kubelet.
	$(CARGO) build --bin spacesync --example demo
	@"$${CARGO_TARGET_DIR:-target}/debug/examples/demo" $(DEMO)

down: ## Ends what `make demo` left running, with every trace of it
	$(call need,cargo)
	@$(CARGO) run -q -p devcluster -- down

test: tools plugin/node_modules ## Runs all tests, against a real API server, vault, node and Node-RED
	@[ "$$(id -u)" = 0 ] || echo 'note: not root: tests that need a node, on which pods run, are left out'
	@# They wait more than they compute, but many bring an API server of their own: more at once than there are cores, not many more.
	RUST_TEST_THREADS=$${RUST_TEST_THREADS:-$$(cores=$$(nproc); echo $$((cores > 4 ? 8 : 2 * cores)))} $(CARGO) test --workspace
	cd plugin && npm test --silent

lint: plugin/node_modules ## Checks format, lints, types, generated files, scripts, and licences where cargo-deny is installed
	$(call need,cargo)
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) test -q --test crds
	cd plugin && npm run --silent check
	@# The *.sh are fragments that devcluster hands to sh with variables set, where words are split on purpose.
	@if command -v shellcheck >/dev/null; then shellcheck .ci/run; \
	 git ls-files -z '*.sh' | xargs -0r shellcheck --shell=sh --exclude=SC2046,SC2086,SC2154; \
	 else echo 'note: shellcheck is not installed: scripts are not checked (apt-get install shellcheck)'; fi
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny check bans licenses sources; \
	 else echo 'note: cargo-deny is not installed: licences and advisories are not checked (cargo install --locked cargo-deny)'; fi

# BENCH=--help tells what can be left out.
bench: tools ## Measures each budget beside its floor, in about a quarter of an hour, and writes docs/benchmarks.md
	$(CARGO) bench --bench budgets -- $(BENCH)

image: ## Makes the operator's image in target/, without an engine, and checks its size
	$(call need,cargo python3)
	$(CARGO) build --release --locked --bin spacesync
	@target=$${CARGO_TARGET_DIR:-target}; \
	 $(CARGO) run -q --example image -- $$target/release/spacesync $$target/spacesync.tar

generate: ## Makes crds/, the chart's copy of them and docs/reference/ anew from the code
	$(call need,cargo)
	$(CARGO) run -q -- crds --write crds
	$(CARGO) run -q -- crds --write charts/spacesync/files/crds
	$(CARGO) run -q -- docs reasons > docs/reference/reasons.md
	$(CARGO) run -q -- docs metrics > docs/reference/metrics.md
	$(CARGO) run -q -- docs openapi > docs/reference/pods-api.yaml

# Both Node-REDs that the plugin is tested on: half a minute the first time, then nothing.
plugin/node_modules: plugin/package-lock.json
	$(call need,node npm)
	cd plugin && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

# Kubernetes, etcd, Helm, OpenBao and images: about 8 minutes the first time, then nothing.
tools:
	$(call need,cargo go node npm python3)
	@$(CARGO) run -q -p devcluster -- tools >/dev/null
