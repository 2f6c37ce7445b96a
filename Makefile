# Everything that people and CI call. PYTHON chooses the interpreter, VENV the environment.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
PYTEST := $(BIN)/python -m pytest
ROOMS := lsst_commtools tests benchmarks

.PHONY: night test test-failed test-all lint types imports bench docs clean

night: $(VENV)/.user
	$(BIN)/commtools night $(NIGHT_OPTIONS)

test: $(VENV)/.dev system-packages
	$(PYTEST) -n 2 --dist loadscope $(PYTEST_OPTIONS)

# What failed while two workers shared the machine, once more and alone: a real fault fails again.
test-failed: $(VENV)/.dev
	$(PYTEST) --last-failed --last-failed-no-failures none $(PYTEST_OPTIONS)

test-all: $(VENV)/.dev system-packages
	$(PYTEST) -n 2 --dist loadscope --all $(PYTEST_OPTIONS)

lint: $(VENV)/.dev
	$(BIN)/ruff check $(ROOMS)
	$(BIN)/ruff format --check $(ROOMS)

types: $(VENV)/.dev
	$(BIN)/mypy

imports: $(VENV)/.dev
	$(BIN)/lint-imports

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks

docs: $(VENV)/.dev
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet docs docs/_build/html

clean:
	rm -rf build dist docs/_build artefacts

# Debian packages that some tests need; without the right to install them those tests are skipped and counted.
.PHONY: system-packages
system-packages:
	@scripts/install-system-packages tests/debian-packages.txt

$(VENV)/bin/python:
	scripts/make-environment $(PYTHON) $(VENV)

$(VENV)/.user: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP_INSTALL) --editable '.[butler]'
	@touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP_INSTALL) --editable '.[dev]'
	@touch $@ $(VENV)/.user
