# HelixFlow. `make help` lists what there is.
CONFIG ?= configs/embedded.yaml
ARGS ?=
BIN := .venv/bin
# Two workers: one for what starts real models, one for all else (tests/scheduling.py).
PYTEST := $(BIN)/python -m pytest -n 2 --cov --cov-report=term

# Without compiled files every process would compile what it imports, each time.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install up down status test test-full lint format bench bench-full

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: ## Make .venv from the pinned lists; a second run does nothing
	@scripts/install.sh

up: install ## Start the platform and stream a first answer (CONFIG=file, ARGS="--port 9000")
	@$(BIN)/helixflow up --config $(CONFIG) $(ARGS)

down: install ## Stop the platform: everything of it, and nothing else
	@$(BIN)/helixflow down $(ARGS)

status: install ## Show deployments, replicas, models, addresses and health
	@$(BIN)/helixflow status $(ARGS)

test: install ## Run the test suite with the coverage gate
	@$(PYTEST) -m "not slow" $(ARGS)

test-full: install ## Run everything, the slow tests too
	@HELIXFLOW_EXAMPLES=full $(PYTEST) $(ARGS)

lint: install ## Check style, types, secrets and import arrows
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@scripts/secrets.sh
	@$(BIN)/python -m pytest -q tests/architecture -m "not stack"

format: install ## Format the code
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .

bench: install ## Measure beside LiteLLM, bare vLLM and bare Ray Serve: ten minutes
	@$(BIN)/python -m benchmarks $(ARGS)

bench-full: install ## Every measurement there is: a night
	@$(BIN)/python -m benchmarks --full $(ARGS)
