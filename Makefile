# Two commands for a fresh machine: `make plan` and `make test`.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help plan test lint types check-imports browser unit test-slow bench profile-gpu clean
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

ROOT := $(shell [ "$$(id -u)" = 0 ] || echo sudo -n)
browser: ## a Chromium for the tests of HTML reports, from the system's packages where there is none
	@for name in chromium chromium-browser google-chrome; do command -v $$name >/dev/null && exit 0; done; \
	{ $(ROOT) apt-get update -qq && DEBIAN_FRONTEND=noninteractive $(ROOT) apt-get install -qq -y \
	--no-install-recommends chromium fonts-dejavu-core >/dev/null; } || \
	echo "NO CHROMIUM, and none could be installed: HTML reports are NOT tested in a browser" >&2

unit: .venv/.installed-dev browser ## every test that is not slow
	$(BIN)/pytest -m "not slow" -rs

test: lint types check-imports unit ## install and run every check

test-slow: .venv/.installed-dev ## the slow suites
	$(BIN)/pytest -m slow

bench: .venv/.installed ## speed and scale
	$(BIN)/python benchmarks/simulator.py --engine both --requests 20000 --machines 40

profile-gpu: .venv/.installed ## on a machine with an NVIDIA GPU: measure kernel profiles, compare them with the ones that ship
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[profile]'
	$(BIN)/python benchmarks/profile_gpu.py

clean: ## remove what the build made
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
