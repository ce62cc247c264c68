# docmill: `make` explains, `make demo` shows. Everything is installed by the first target that
# needs it, into .venv and .docmill of this folder; nothing else on the machine is touched.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

INSTALLED := .venv/.installed
LOCKED := uv.lock pyproject.toml shared/pyproject.toml client/pyproject.toml tools/pyproject.toml \
	$(wildcard services/*/pyproject.toml)
BIN := .venv/bin

.PHONY: help
help: ## explain the targets
	@sh tools/make_help.sh "$(firstword $(MAKEFILE_LIST))"

##@ Use it

.PHONY: demo
demo: $(INSTALLED) ## ingest documents, ask questions; yours: FILES="a.pdf b.docx" ASK="question"
	@$(BIN)/docmill demo $${ASK:+--ask "$$ASK"} $(FILES)

.PHONY: up
up: $(INSTALLED) ## start everything and follow the logs until Ctrl-C
	@$(BIN)/docmill up

##@ Work on it

.PHONY: test
test: $(INSTALLED) ## run every test; ARGS="-k search" for some
	$(BIN)/python -m pytest -n 2 $(ARGS)

.PHONY: chaos
chaos: $(INSTALLED) ## break everything at random, prove that nothing is lost; MINUTES=6 FILES=n SEED=1
	@$(BIN)/python -m tests.chaos $${MINUTES:+--minutes "$$MINUTES"} \
		$${FILES:+--files "$$FILES"} $${SEED:+--seed "$$SEED"}

.PHONY: lint
lint: $(INSTALLED) lock-check ## check style, types, imports between packages and the lock
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict shared services client tools/docmill_dev tests benchmarks
	$(BIN)/lint-imports

.PHONY: format
format: $(INSTALLED) ## bring the code into form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: corpus
corpus: $(INSTALLED) ## ingest a folder with a manifest.json and compare; CORPUS=folder
	@test -n "$$CORPUS" || { echo 'Name a folder: make corpus CORPUS=folder' >&2; exit 2; }
	@$(BIN)/docmill corpus "$$CORPUS"

.PHONY: bench-queue
bench-queue: $(INSTALLED) ## queue latency and throughput beside Dramatiq and BullMQ; MESSAGES=40
	@$(BIN)/python -m benchmarks.queue $${MESSAGES:+--messages "$$MESSAGES"} $(ARGS)

.PHONY: bench-memory
bench-memory: $(INSTALLED) ## peak memory of an ingest worker for four large files
	@$(BIN)/python -m benchmarks.memory $(ARGS)

.PHONY: bench-quota
bench-quota: $(INSTALLED) ## how much of a provider's quota four workers use; takes 3 minutes
	@$(BIN)/python -m benchmarks.quota $(ARGS)

.PHONY: bench-janitor
bench-janitor: $(INSTALLED) ## large sweeps, and logins beside them; takes 5 minutes
	@$(BIN)/python -m benchmarks.janitor $(ARGS)

.PHONY: bench-api
bench-api: $(INSTALLED) ## requests a second, latencies and memory of one api; takes 4 minutes
	@$(BIN)/python -m benchmarks.api $(ARGS)

.PHONY: scale
scale: $(INSTALLED) ## files a second with 1 to 8 workers, and killing half; takes 5 minutes
	@$(BIN)/python -m benchmarks.scale $(ARGS)

.PHONY: examples
examples: ## write the documents of examples/ anew
	@sh tools/install.sh uv run --script tools/make_examples.py

.PHONY: lock-check
lock-check: ## check that uv.lock fits the pyproject files
	@sh tools/install.sh uv lock --check --quiet || \
		{ echo 'docmill: uv.lock does not fit the pyproject files. Run: uv lock' >&2; exit 1; }

##@ House

.PHONY: install
install: $(INSTALLED) ## only install what the targets above need

.PHONY: clean
clean: ## remove .venv and .docmill, with all data of the demo
	@sh tools/install.sh clean

$(INSTALLED): $(LOCKED) tools/install.sh
	@sh tools/install.sh
