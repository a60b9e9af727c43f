# Two commands for a fresh machine: `make plan` and `make test`.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help plan test lint types check-imports unit test-slow bench clean
help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

.venv/.installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

.venv/.installed-dev: .venv/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

plan: .venv/.installed ## install, plan the built-in conversation workload, write plan.json
	$(BIN)/phasewise plan planner/examples/splitwise-conv.yaml --out plan.json

lint: .venv/.installed-dev ## format and lint rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: .venv/.installed-dev ## mypy, strict
	$(BIN)/mypy

check-imports: .venv/.installed-dev ## the architecture, as a contract
	$(BIN)/lint-imports

unit: .venv/.installed-dev ## every test that is not slow
	$(BIN)/pytest -m "not slow"

test: lint types check-imports unit ## install and run every check

test-slow: .venv/.installed-dev ## the slow suites
	$(BIN)/pytest -m slow

bench: .venv/.installed ## speed and scale
	$(BIN)/python benchmarks/simulator.py --engine simpy --requests 20000 --machines 40

clean: ## remove what the build made
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
