# `make` lists the targets. Needs Python 3.11 or newer; `make PYTHON=python3.12 demo` selects one.
PYTHON ?= python3
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest --numprocesses auto --dist worksteal
FILES ?= 10000
SEED ?= 0
EXAMPLES ?= 1000

.PHONY: help demo test test-ci test-all test-extras fuzz lint format docs runtime dist clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' Makefile

demo: .venv/train.done ## generate a small dataset, train on it, draw detections and heatmaps
	@scripts/demo.sh

test: .venv/dev.done ## check style and run the quick tests, two minutes on two cores
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(PYTEST)

test-ci: lint ## check style and types, and run all but the slowest tests
	@$(PYTEST) -m "not slow or guard"

test-all: lint ## check style and types, and run all tests
	@$(PYTEST) -m "slow or not slow"

test-extras: ## install the wheel with extras and try each (EXTRAS="onnx train", MODEL=FILE.onnx)
	@PYTHON="$(PYTHON)" scripts/test_extras.sh $(EXTRAS)

fuzz: .venv/dev.done ## read damaged files and train on damaged datasets (FILES=, SEED=, EXAMPLES=)
	@CENTERNET_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest -m "slow or not slow" \
		tests/analysis/test_check_property.py tests/training/test_fit_property.py
	@$(BIN)/python tests/fuzz/run.py --files $(FILES) --seed $(SEED)

lint: .venv/dev.done ## check style, formatting and types
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

format: .venv/dev.done ## fix style and formatting
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

docs: .venv/dev.done ## build the documentation site into build/docs; a warning is an error
	@$(BIN)/python -m sphinx -W --keep-going -n -E -q -b html docs build/docs
	@echo "build/docs/index.html"

runtime: .venv/train.done ## download ONNX Runtime Web, which `centernet export OUT.html` needs (npm)
	@$(BIN)/python scripts/fetch_runtime.py

dist: runtime ## build the wheel and the source archive in dist/, and check them
	@rm -rf dist
	@$(BIN)/python -m pip install -q build twine
	@$(BIN)/python -m build
	@$(BIN)/python -m twine check --strict dist/*

clean: ## delete the environment and all caches; data/ and runs/ stay
	@rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/train.done: pyproject.toml
	@scripts/setup.sh "$(PYTHON)" train

.venv/dev.done: pyproject.toml
	@scripts/setup.sh "$(PYTHON)" train dev
