# Every target makes what it needs first; see scripts/setup. `make help` lists them.
#   PYTHON=python3.12   another interpreter than python3 (3.10 to 3.15)
#   HOST= PORT=         where `make serve` listens, instead of 127.0.0.1 and 7148
#   JOBS=               how many test files run at once, 3 by default; 0 runs one after the other in this process
#   ARGS=               further arguments for pytest, as in ARGS="-k chat -x", or for the benchmarks

PYTHON ?= python3
JOBS ?= 3
export PYTHON
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help serve test pythons coverage lint types conformance fuzz mutants bench hosts legacy chaos docs dist clean _runtime _site _tools _system

help: ## say what there is
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1	\2/p' Makefile | expand -t 20

serve: _runtime ## run the examples at http://127.0.0.1:7148
	@exec $(BIN)/python -m tina4_wsgi serve --debug $(if $(HOST),--host "$(HOST)") $(if $(PORT),--port "$(PORT)")

test: lint types _system ## lint, check types, run all tests
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

pythons: ## get Python 3.11 and 3.13 to 3.15 from Debian into .cache/interpreters, for tests/versions and PYTHON=
	@scripts/get-pythons
	@ls .cache/interpreters/*/usr/bin/python3.??

coverage: _tools _system ## run all tests, and list the lines and branches that none of them reached
	@rm -rf .cache/coverage && mkdir -p .cache/coverage
	@$(BIN)/python -m coverage run -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder -m "not measures" $(ARGS)
	@$(BIN)/python -m coverage combine --quiet
	@$(BIN)/python -m coverage report

lint: _tools ## ruff, and its formatter
	@$(BIN)/python -m ruff check --quiet --output-format=concise
	@$(BIN)/python -m ruff format --quiet --check || { echo "to format: ruff format"; exit 1; }

types: _tools ## mypy --strict
	@$(BIN)/python -m mypy --no-error-summary

conformance: _tools ## run the Autobahn TestSuite against both servers, see docs/conformance.md
	@conformance/setup || true  # then there may be Docker, or WSTEST=
	@$(BIN)/python conformance/run.py $(ARGS)

fuzz: _tools ## feed the protocol random bytes for ten minutes; ARGS="--minutes 60"
	@$(BIN)/python scripts/fuzz.py $(ARGS)

mutants: _tools ## change protocol, websocket, hub, engine and backplane in small ways, and see which changes no test notices
	@exec $(BIN)/python -m mutants $(ARGS)

bench: _runtime ## measure us and the peers side by side; ARGS="--quick" takes three minutes, see benchmarks/
	@exec $(BIN)/python -m benchmarks $(ARGS)

hosts: _tools ## try every host server and write docs/hosts.md; ARGS="--hosts gevent" tries one, see hosts/
	@exec $(BIN)/python -m hosts $(ARGS)

legacy: _tools ## wrap Trac, Radicale, pgAdmin, Wagtail and Kinto and write docs/legacy.md; ARGS="--apps trac", see legacy/
	@exec $(BIN)/python -m legacy $(ARGS)

chaos: _tools ## kill, stop and reload workers, cut lines, and see what clients lose; ARGS="resume --faults cut", see chaos/
	@exec $(BIN)/python -m chaos $(ARGS)

docs: _site ## build the documentation as a site in .cache/site; warnings are errors
	@NO_MKDOCS_2_WARNING=true $(BIN)/python -m mkdocs --quiet build
	@echo "open .cache/site/index.html"

dist: _tools ## build sdist and wheel into dist/
	@rm -rf build dist && mkdir -p .cache
	@$(BIN)/python -m build --no-isolation --outdir dist . >.cache/dist.log 2>&1 || (cat .cache/dist.log; exit 1)
	@ls dist

clean: ## remove all that make and the tests wrote
	@rm -rf .venv .cache build dist *.egg-info .hypothesis .pytest_cache .mypy_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

_runtime:
	@scripts/setup

_site:
	@scripts/setup docs

_tools:
	@scripts/setup dev

_system:
	@scripts/install-system-deps
