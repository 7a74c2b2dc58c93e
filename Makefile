# `make` lists what there is. Needs Python 3.11 or newer and nothing else; `make PYTHON=python3.12 demo` picks one.
PYTHON ?= python3
BIN := .venv/bin
FILES ?= 10000
SEED ?= 0
EXAMPLES ?= 1000

.PHONY: help demo test test-all fuzz lint format clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' Makefile

demo: .venv/train.done ## make a small dataset, train on it, draw detections and heatmaps
	@scripts/demo.sh

test: lint ## run the checks and the quick tests
	@$(BIN)/python -m pytest

test-all: lint ## the same with the slow tests
	@$(BIN)/python -m pytest -m "slow or not slow"

fuzz: .venv/dev.done ## read 10,000 damaged files, and try many datasets (FILES=, SEED=, EXAMPLES=)
	@CENTERNET_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest -m "slow or not slow" \
		tests/analysis/test_check_property.py tests/training/test_fit_property.py
	@$(BIN)/python tests/fuzz/run.py --files $(FILES) --seed $(SEED)

lint: .venv/dev.done ## check style and formatting
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

format: .venv/dev.done ## mend style and formatting
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

clean: ## remove the environment and all caches; data/ and runs/ stay
	@rm -rf .venv .pytest_cache .ruff_cache .hypothesis build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/train.done: pyproject.toml
	@scripts/setup.sh "$(PYTHON)" train

.venv/dev.done: pyproject.toml
	@scripts/setup.sh "$(PYTHON)" train dev
