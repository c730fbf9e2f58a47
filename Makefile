# make dashboard   installs into .venv and serves the dashboard on localhost
# make test        installs the test tools too; linter, types, every test, browser tests included
# make check       linter and types only
# make oracle      compares the engine with three other libraries, in an environment of its own
# make bench       measures speed beside other libraries, prints it and writes it as JSON
# make demo        rebuilds the shipped models and their studies from seeds (over an hour)
# make readme      writes the shipped study's tables into README.md and takes its pictures again
# make clean       removes both environments and every cache

.DEFAULT_GOAL := dashboard
.PHONY: dashboard test check browser oracle bench demo readme clean

VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check
PIP_INSTALL := $(PIP) install -qq --constraint constraints.txt
export ORACLE ?= .venv-oracle
TORCH := $(shell grep '^torch==' constraints.txt)
TORCH_CPU_INDEX := https://download.pytorch.org/whl/cpu
RUNS := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))

# The first interpreter that is new enough and can make a virtual environment.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	"$$p" -c '$(RUNS)' 2>/dev/null && { echo "$$p"; break; }; done)

# Small matrices: more threads than this only wait for each other.
export OMP_NUM_THREADS ?= 2

dashboard: $(VENV)/.installed
	@$(PY) -m core.cli dashboard

test: check browser
	OMP_NUM_THREADS=1 $(PY) -m pytest --numprocesses 2 --dist loadfile

check: $(VENV)/.installed-test
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

browser: $(VENV)/.installed-test
	@$(PY) tests/browser_setup.py

oracle: $(ORACLE)/.installed-oracle
	@$(ORACLE)/bin/python -m tests.oracle.run

bench: $(VENV)/.installed-test $(ORACLE)/.installed-oracle
	$(PY) -m tests.benchmarks.run

demo: $(VENV)/.installed
	$(PY) -m core.cli demo
	$(PY) -m core.cli demo --vision

readme: $(VENV)/.installed-test
	$(PY) -m tests.readme
	$(PY) -m tests.browser.pictures

# PyTorch goes first and alone. On Linux the default package index carries its CUDA build, gigabytes
# that a machine without an NVIDIA driver cannot use; PyTorch's own index has a build of a tenth the
# size. It is asked only where pip has not been told to use an index of one's own, and if it does
# not answer the default one serves. The rest then finds PyTorch installed and leaves it as it is.
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PY) -c '$(RUNS)' 2>/dev/null || { \
		[ -n "$(PYTHON)" ] && "$(PYTHON)" -c '$(RUNS)' || { \
			echo "Hillshade needs Python 3.11 or newer with its venv module, and found none. Install it" \
				"(Debian, Ubuntu: apt install python3-venv) or name one: make PYTHON=/path/to/python3"; \
			exit 1; }; \
		"$(PYTHON)" -m venv --clear $(VENV); }
	@echo "Installing into $(VENV). The first time this takes some minutes."
	@$(PIP_INSTALL) pip setuptools
	@if [ "$$(uname -s)" = Linux ] && ! command -v nvidia-smi >/dev/null 2>&1 \
		&& ! $(PIP) config list | grep -E 'index-url|find-links|no-index' >/dev/null; then \
		$(PIP_INSTALL) --no-deps --retries 1 --timeout 20 --index-url $(TORCH_CPU_INDEX) $(TORCH) 2>/dev/null \
		|| echo "PyTorch's CPU index does not answer: taking the larger default build."; fi
	@$(PIP_INSTALL) $(TORCH)
	@$(PIP_INSTALL) --no-build-isolation --editable .
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	@$(PIP_INSTALL) --no-build-isolation --editable '.[test]'
	@touch $@

# The engine as ever, then the libraries without what they ask for (tests/oracle/requirements.txt).
# kronfluence's wheel also brings a package called tests, which would hide ours.
$(ORACLE)/.installed-oracle: pyproject.toml constraints.txt tests/oracle/requirements.txt
	@$(MAKE) --no-print-directory VENV=$(ORACLE) $(ORACLE)/.installed
	@$(ORACLE)/bin/python -m pip install -qq --disable-pip-version-check --no-deps \
		--requirement tests/oracle/requirements.txt
	@rm -rf $(ORACLE)/lib/python3*/site-packages/tests
	@touch $@

clean:
	rm -rf $(VENV) $(ORACLE) .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
	find core dashboard tests -name __pycache__ -type d -prune -exec rm -rf {} +
