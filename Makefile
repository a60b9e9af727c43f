# Two commands for a fresh machine: `make plan` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
# Hundreds of processes are started: where none may keep what Python compiled, each compiles every library anew.
unexport PYTHONDONTWRITEBYTECODE

INSTALL := -m pip install --quiet --disable-pip-version-check

.PHONY: help plan test lint types check-imports browser unit coverage laws soak reliability release test-slow test-newest test-lowest lock bench profile-gpu clean
help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

# What is installed is in .ci/lock*.txt, version by version, with hashes; `make lock` writes them from pyproject.toml.
.venv/.installed: pyproject.toml .ci/lock-plan.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python $(INSTALL) --require-hashes -r .ci/lock-plan.txt
	$(BIN)/python $(INSTALL) --no-deps --no-build-isolation -e .
	touch $@

.venv/.installed-dev: .venv/.installed .ci/lock.txt
	$(BIN)/python $(INSTALL) --require-hashes -r .ci/lock.txt
	touch $@

COMPILE := $(BIN)/uv pip compile --quiet --no-config --python-version 3.11
LOCK := $(COMPILE) --universal --generate-hashes --no-annotate --custom-compile-command "make lock"
lock: .venv/.installed-dev ## write .ci/lock*.txt anew: the newest versions that pyproject.toml allows, Python 3.11 and later
	$(LOCK) --upgrade --group build --extra dev pyproject.toml --output-file .ci/lock.txt
	$(LOCK) --upgrade --group build --constraint .ci/lock.txt pyproject.toml --output-file .ci/lock-plan.txt

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

# Where Python can count lines for next to nothing (sys.monitoring, 3.12 and later) the tests say what they cover. On 3.11
# counting takes 1.8 times the CPU time, so it is asked for: `make coverage`.
COUNT := --cov --cov-report=term:skip-covered
unit: .venv/.installed-dev browser ## every test that is not slow
	COVERAGE_CORE=sysmon $(BIN)/pytest -m "not slow" -rs \
	$$($(BIN)/python -c 'import sys; print("$(COUNT)" if sys.version_info >= (3, 12) else "")')

coverage: .venv/.installed-dev ## every test that is not slow, and the lines that they run (compiled code is not counted)
	$(BIN)/pytest -m "not slow" $(COUNT)

test: lint types check-imports unit ## install and run every check

laws: .venv/.installed-dev ## the laws on inputs drawn anew, five times as many (`make test` draws the same every time)
	PHASEWISE_LAWS=wide $(BIN)/pytest -m "hypothesis and not slow"

test-slow: .venv/.installed-dev ## the slow suites
	$(BIN)/pytest -m slow

SECONDS := 60
soak: .venv/.installed-dev ## doors, laws, engines and solvers tried for SECONDS (make soak SECONDS=1800); the last line is JSON
	@$(BIN)/python -m tests.soak --seconds $(SECONDS)

reliability: .venv/.installed-dev ## docs/reliability.md anew, failures too, from one run: a soak of SECONDS, faults, a sweep on a Dask cluster
	@$(BIN)/python -m tests.soak.reliability --seconds $(SECONDS)

release: .venv/.installed-dev ## wheel and sdist, the same bytes twice, tested from the wheel on every Python here, SBOM, digests
	$(BIN)/python .ci/release.py

test-newest: ## every test that is not slow, with the newest versions that pyproject.toml allows, whatever the lock says
	$(PYTHON) -m venv --clear .venv-newest
	.venv-newest/bin/python $(INSTALL) -e '.[dev]'
	.venv-newest/bin/pytest -m "not slow"

test-lowest: .venv/.installed-dev ## every test that is not slow, with the lowest versions that pyproject.toml allows
	$(PYTHON) -m venv --clear .venv-lowest
	$(COMPILE) --resolution lowest-direct --no-annotate --no-header pyproject.toml --output-file .venv-lowest/lowest.txt
	.venv-lowest/bin/python $(INSTALL) --constraint .venv-lowest/lowest.txt -e '.[dev]'
	.venv-lowest/bin/pytest -m "not slow"

bench: .venv/.installed ## speed and scale
	$(BIN)/python benchmarks/simulator.py --engine core --requests 20000 --machines 40

profile-gpu: .venv/.installed ## on a machine with an NVIDIA GPU: serve a small model, measure kernel profiles, compare both with predictions
	$(BIN)/python $(INSTALL) -e '.[profile]'
	$(BIN)/python benchmarks/profile_gpu.py

clean: ## remove what the build made
	rm -rf .venv .venv-newest .venv-lowest build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
