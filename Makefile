# Two commands are enough for a newcomer: `make demo` and `make test`. Each sets up what it needs.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
READY = $(VENV)/.ready
# The demo needs few packages. It has an environment of its own, unless the large one is there already.
DEMO = $(if $(wildcard $(READY)),$(VENV),$(VENV)-demo)
CODE = revstore_async drivers tests bench docs/examples
JOBS ?= auto
BENCH ?= --quick

# MinIO, for the tests of the S3 driver; built once into a cache outside the tree.
MINIO_VERSION = v0.0.0-20260212201848-7aac2a2c5b7c
# Docker Distribution, which reads and writes the same store in tests/interop.
REGISTRY_VERSION = v3.1.2
# The OCI's conformance program for registries; it has no release of its own.
CONFORMANCE_VERSION = v0.0.0-20260831232431-97274622c111
CACHE = $(HOME)/.cache/revstore-async

.PHONY: demo serve test explore soak bench check format lock minio registry conformance clean

demo: $(DEMO)/.ready  ## The main job, explained as it goes: one manifest, signed by three hosts, merged
	@$(DEMO)/bin/python docs/examples/signed_by_three_hosts.py

serve: $(READY)  ## A registry for docker, podman and skopeo, on a store in your data folder
	@$(BIN)/revstore serve

test: $(READY)  ## All tests
	$(BIN)/python -m pytest -n $(JOBS) -q -rs

explore: $(READY)  ## All interleavings of calls at once, half an hour on two cores; make explore SEED=... replays one
	@$(BIN)/python -m tests.explorer.explore $(if $(SEED),--seed '$(SEED)') $(EXPLORE)

soak: $(READY) minio  ## Clients, faults and kills on two servers; two minutes, or make soak SOAK='--hours 2'
	@$(BIN)/python -m tests.soak $(SOAK)

bench: $(READY) minio registry  ## Measure against the peers, a few minutes; make bench BENCH="--help" for more
	@mkdir -p build
	@$(BIN)/python -m bench --json build/bench.json $(BENCH)

check: $(READY)  ## Format, lint, types, import direction
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)  ## Put the code into form
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

LOCK = --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-emit-find-links -q

lock: $(READY)  ## Pin anew what pyproject.toml asks for; the locks name no host
	$(BIN)/python -m uv --version >/dev/null 2>&1 || $(BIN)/python -m pip install -q uv
	$(BIN)/python -m uv pip compile pyproject.toml --extra dev $(LOCK) --upgrade -o requirements.lock
	printf 'editables\nhatchling\n' | $(BIN)/python -m uv pip compile pyproject.toml - \
		--constraint requirements.lock $(LOCK) --upgrade -o requirements-demo.lock

minio: $(CACHE)/bin/minio  ## The S3 server that the tests run against; takes minutes, once, and needs Go

$(CACHE)/bin/minio:
	GOBIN=$(CACHE)/bin go install github.com/minio/minio@$(MINIO_VERSION)

registry: $(CACHE)/bin/registry  ## Docker Distribution, for the tests that share a store with it; the same

$(CACHE)/bin/registry:
	GOBIN=$(CACHE)/bin go install github.com/distribution/distribution/v3/cmd/registry@$(REGISTRY_VERSION)

conformance: $(CACHE)/bin/conformance  ## What the OCI tests registries with; ten seconds, once

$(CACHE)/bin/conformance:
	GOBIN=$(CACHE)/bin go install github.com/opencontainers/distribution-spec/conformance@$(CONFORMANCE_VERSION)

clean:
	rm -rf $(VENV) $(VENV)-demo .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

# $(1) is the folder of an environment, $(2) its lock.
define SET_UP
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	{ echo "Python 3.11 or later is needed: make PYTHON=python3.11 ..."; exit 1; }
@echo "Setting up $(1), 1 of 3: a virtual environment"
@$(PYTHON) -m venv $(1)
@echo "Setting up $(1), 2 of 3: the $$(grep -c '==' $(2)) packages of $(2)"
@$(1)/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r $(2)
@echo "Setting up $(1), 3 of 3: revstore-async itself"
@$(1)/bin/python -m pip install -q --disable-pip-version-check --no-build-isolation --no-deps -e .
@touch $(1)/.ready
endef

$(READY): requirements.lock pyproject.toml
	$(call SET_UP,$(VENV),requirements.lock)

$(VENV)-demo/.ready: requirements-demo.lock pyproject.toml
	$(call SET_UP,$(VENV)-demo,requirements-demo.lock)
