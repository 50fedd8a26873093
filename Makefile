# Every target works as the first command in a fresh checkout; none needs root.
PYTHON ?= python3
SECONDS ?=
MINUTES ?= 10
QUICK ?=
ONLY ?=
BIN := .venv/bin

.PHONY: setup demo run test soak bench lint format contract clean constraints

setup:            ## make .venv with everything in it
	@$(PYTHON) deploy/bin/setup

demo: setup       ## the fleet against a simulated exchange, with live status; SECONDS=25 ends by itself
	@umask 077; $(BIN)/python deploy/demo.py $(if $(SECONDS),--seconds $(SECONDS))

run: setup        ## the fleet of deploy/fleet.toml against the real exchanges, in the foreground
	@umask 077; mkdir -p var/log; exec $(BIN)/supervisord -n -c deploy/supervisord.conf

test: setup       ## all tests, by three workers: most of the time a test waits
	@$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder

soak: setup       ## fault schedules from new seeds for MINUTES=10, several at once
	@$(BIN)/python -m tests.soak --minutes $(MINUTES) --first-seed $$(date +%s)

bench: setup      ## measure and write docs/performance.md; QUICK=1 or ONLY=burst,fleet leave that alone: var/bench
	@$(PYTHON) deploy/bin/setup bench
	@$(BIN)/python -m tests.bench --report $(if $(QUICK)$(ONLY),var/bench,docs) $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY))

lint: setup       ## style and types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache > /dev/null || $(BIN)/lint-imports --no-cache

format: setup     ## put the code into its form
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

contract: setup   ## write docs/asyncapi.json and docs/schemas/ from the code
	@$(BIN)/python -m deploy.contract

constraints:      ## write the versions that are installed now into constraints.txt
	@(echo "# Exact versions of everything that is installed; written by \`make constraints\`."; \
	  $(BIN)/pip freeze --exclude-editable) > constraints.txt

clean:            ## remove what was built; data under var/ stays
	@rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@rm -f collector_worker/fastpath/*.so collector_worker/fastpath/*.c
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
