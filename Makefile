# Every target works as the first command in a fresh checkout; none needs root.
PYTHON ?= python3
SECONDS ?=
MINUTES ?= 10
QUICK ?=
ONLY ?=
BIN := .venv/bin
WORKERS := -n 3 --dist loadfile --no-loadscope-reorder

.PHONY: help setup tools demo run test test-all coverage soak bench lint format contract docs picture release-check clean constraints

help:             ## what there is to make
	@sed -nE 's/^([a-z-]+):[^#]*## +/\1\t/p' $(MAKEFILE_LIST) | awk -F '\t' '{ printf "make %-14s %s\n", $$1, $$2 }'

setup:            ## .venv with what a fleet needs, no development tools
	@$(PYTHON) deploy/bin/setup

tools:            ## .venv with the development tools, too; test, lint and the like do this by themselves
	@$(PYTHON) deploy/bin/setup dev

demo: setup       ## the fleet against a simulated exchange, with live status; SECONDS=25 ends by itself
	@umask 077; $(BIN)/python deploy/demo.py $(if $(SECONDS),--seconds $(SECONDS))

run: setup        ## the fleet of deploy/fleet.toml against the real exchanges, in the foreground
	@umask 077; mkdir -p var/log; exec $(BIN)/supervisord -n -c deploy/supervisord.conf

test: tools       ## all tests, by three workers: most of the time a test waits
	@$(BIN)/pytest $(WORKERS)

test-all: tools   ## all tests over every Python that is there, without a compiler, and of what is installed
	@$(BIN)/nox

coverage: tools   ## how much of the code the tests reach, in all their processes; htmlcov/ shows where
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest $(WORKERS)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage html --quiet
	@$(BIN)/coverage report

soak: tools       ## fault schedules from new seeds for MINUTES=10, several at once
	@$(BIN)/python -m tests.soak --minutes $(MINUTES) --first-seed $$(date +%s)

bench:            ## measure and write docs/performance.md; QUICK=1 or ONLY=burst,fleet leave that alone: var/bench
	@$(PYTHON) deploy/bin/setup dev bench
	@$(BIN)/python -m tests.bench --report $(if $(QUICK)$(ONLY),var/bench,docs) $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY))

lint: tools       ## style, types, layers, and the words of the project
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache > /dev/null || $(BIN)/lint-imports --no-cache
	@$(BIN)/python -m tests.style

format: tools     ## put the code into its form
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

contract: tools   ## write into docs/ what is made from the code: contract, configuration, commands
	@$(BIN)/python -m deploy.contract
	@$(BIN)/python -m deploy.reference

docs:             ## the documents as a site in var/site, with every link checked
	@$(PYTHON) deploy/bin/setup dev docs
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict > var/docs.log 2>&1 || { cat var/docs.log; exit 1; }

picture: setup    ## write docs/images/status.svg from a demo in which one collector hangs
	@umask 077; $(BIN)/python deploy/picture.py

release-check:    ## whether version, requirement, changelog and tag agree; CONTRIBUTING.md has the flow
	@$(PYTHON) deploy/release.py

constraints:      ## write the versions that are installed now into constraints.txt
	@(echo "# Exact versions of everything that is installed; written by \`make constraints\`."; \
	  $(BIN)/pip freeze --exclude-editable) > constraints.txt

clean:            ## remove what was built; data under var/ stays
	@rm -rf .venv .nox build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis htmlcov .coverage*
	@rm -f collector_worker/fastpath/*.so collector_worker/fastpath/*.c
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
