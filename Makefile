# Two commands are enough for a newcomer: `make demo` and `make test`. Each sets up what it needs.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
READY = $(VENV)/.ready
CODE = revstore_async drivers tests docs/examples
JOBS ?= auto

# MinIO, for the tests of the S3 driver; built once into a cache outside the tree.
MINIO_VERSION = v0.0.0-20260212201848-7aac2a2c5b7c
CACHE = $(HOME)/.cache/revstore-async

.PHONY: demo test check format lock minio clean

demo: $(READY)  ## The main job, explained as it goes: one manifest, signed by three hosts, merged
	@$(BIN)/python docs/examples/signed_by_three_hosts.py

test: $(READY)  ## All tests
	$(BIN)/python -m pytest -n $(JOBS) -q

check: $(READY)  ## Format, lint, types, import direction
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)  ## Put the code into form
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

lock: $(READY)  ## Pin anew what pyproject.toml asks for; the lock names no host
	$(BIN)/python -m uv --version >/dev/null 2>&1 || $(BIN)/python -m pip install -q uv
	$(BIN)/python -m uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
		--generate-hashes --no-header --no-emit-index-url --no-emit-find-links --upgrade -q -o requirements.lock

minio: $(CACHE)/bin/minio  ## The S3 server that the tests run against; takes minutes, once, and needs Go

$(CACHE)/bin/minio:
	GOBIN=$(CACHE)/bin go install github.com/minio/minio@$(MINIO_VERSION)

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or later is needed: make PYTHON=python3.11 ..."; exit 1; }
	@echo "Setting up $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@
