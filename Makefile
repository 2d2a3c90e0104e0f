# Everything that is done with this repository. `make` alone prints it.
#
#   LISTEN=HOST:PORT     where `make run` serves (127.0.0.1:50051)
#   ARGS="-k follower"   more arguments for pytest in `make test` and `make test-v2`, for the benchmark in `make bench`
#   WORKERS=0            how many processes the tests of `make test` are spread over (3; 0: one after the other, here)
#   PYTHON=python3.12    what `.venv` is made with: Python 3.11 or newer

SHELL := /bin/sh
.DEFAULT_GOAL := help
PYTHON ?= python3
LISTEN ?=
ARGS ?=
# More than there may be cores: most tests wait for most of their time.
WORKERS ?= 3
BIN := .venv/bin
PROTOS = $(shell find proto -name '*.proto')
PROTOC = $(BIN)/python -m grpc_tools.protoc -Iproto
# One try: a machine that does not reach the npm registry must not wait for it.
BUF := npx --yes --loglevel=error --fetch-retries=0 --fetch-timeout=20000 @bufbuild/buf@1

# The mark is written last and holds the directory that .venv was made in: without it .venv is
# half-made, and where it names another directory .venv was moved and its scripts point astray.
MARK := .venv/.made-in
ifneq ($(shell $(BIN)/python -c '' 2>/dev/null && cat $(MARK) 2>/dev/null),$(CURDIR))
.PHONY: $(MARK)
endif

# What only developers need is installed for them alone: it is two thirds of the whole.
TOOLS := .venv/.tools

.PHONY: help venv run test test-v2 check proto certs bench stop clean

help: ## print this
	@awk -F ' *:.*## ' '/^[a-z0-9-]+ *:.*## / { printf "  make %-7s  %s\n", $$1, $$2 }' Makefile

run: certs ## start a server here, run a first job on it, and say what to type next
	@$(BIN)/jsched dev up $(if $(LISTEN),--listen "$(LISTEN)")
	@$(BIN)/jsched dev demo

stop: ## stop that server; its jobs run on
	@$(WITHOUT_VENV) -m jsched.commands.main dev down

test: check ## everything that `make check` does, then all tests
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile $(ARGS)

test-v2: venv ## the tests of limits, walls and root file systems, in a guest with cgroup v2
	@$(BIN)/python -m tests.vm --suite -- $(ARGS)

check: venv ## style, types, import contracts, generated code, protobuf lint
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	@echo 'generated code is current'
	@new=$$(mktemp -d) && trap 'rm -rf "$$new"' EXIT && \
	$(PROTOC) --python_out="$$new" --pyi_out="$$new" --grpc_python_out="$$new" $(PROTOS) && \
	diff -r -x __init__.py -x __pycache__ "$$new/jsched/v1" jsched/v1 || \
	{ echo 'jsched/v1 is not what proto/ says: run make proto'; exit 1; }
	@if $(BUF) --version >/dev/null 2>&1; then echo 'buf lint proto'; $(BUF) lint proto; \
	else echo 'skipped: buf lint proto (npx is not there, or cannot fetch @bufbuild/buf)'; fi

proto: venv ## generate jsched/v1 from proto/
	$(PROTOC) --python_out=. --pyi_out=. --grpc_python_out=. $(PROTOS)

certs: $(MARK) ## make development certificates in certs/
	@$(BIN)/jsched certs dev certs

bench: venv ## measure, against references in the same run
	@$(BIN)/python -m bench $(ARGS)

venv: $(TOOLS) ## make .venv, with jsched, what it needs, and the tools of its developers

# Before anything is made or removed: of another user's clone nothing would come but refusals.
.PHONY: mine
mine:
	@[ -w . ] && { [ ! -e .venv ] || [ -w .venv ]; } && { [ ! -e certs ] || [ -w certs ]; } || { echo \
	"Error: $$(pwd) is $$(stat -c %U .)'s: work in a clone of your own, or as the user that owns this one"; exit 1; } >&2

# Who comes second waits, and finds it made: two installing into one .venv would leave neither a whole one.
LOCKED = $(if $(shell command -v flock),flock Makefile) $(MAKE) --silent HOLDS_LOCK=yes
ifndef HOLDS_LOCK
$(MARK): setup.cfg pyproject.toml | mine
	@$(LOCKED) $(MARK)

$(TOOLS): $(MARK)
	@$(LOCKED) $(TOOLS)
else
# pip does not compile a checkout. Where those who run its commands can't keep bytecode (another user's clone, or
# PYTHONDONTWRITEBYTECODE), each command would compile all that it imports, a third of what it takes.
$(MARK): setup.cfg pyproject.toml | mine
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	{ echo 'Error: jsched needs Python 3.11 or newer, and $(PYTHON) is not: say `make PYTHON=...`'; exit 1; } >&2
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	{ echo 'Error: $(PYTHON) has no venv module: install it (Debian: apt install python3-venv)'; exit 1; } >&2
	@if [ ! -e .venv ]; then echo 'making .venv'; \
	elif [ ! -e $(MARK) ] || [ "$$(cat $(MARK))" != "$$(pwd -P)" ] || ! $(BIN)/python -c '' 2>/dev/null; then \
	echo 'making .venv again: it was not finished, or made elsewhere'; rm -rf .venv; fi
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv .venv
	@echo 'installing jsched and what it needs in .venv'
	@$(call install,.)
	@$(BIN)/python -m compileall -q jsched jsched_cli
	@pwd -P >$(MARK)

$(TOOLS): $(MARK)
	@echo 'installing the tools of developers in .venv'
	@$(call install,.[dev])
	@touch $(TOOLS)
endif

# pip's chatter goes to a file, and all of it is shown if pip fails. In compat mode the checkout is on Python's path;
# the finder that stands there otherwise takes each command 10 ms or more.
define install
$(BIN)/python -m pip --disable-pip-version-check install --config-settings editable_mode=compat \
--editable '$(1)' >.venv/pip.log 2>&1 || \
{ cat .venv/pip.log; rm -f $(MARK) $(TOOLS); echo 'Error: pip failed, see above'; exit 1; } >&2
endef

# Stopping the server must work where .venv is gone or broken: these commands import nothing but Python's own.
WITHOUT_VENV = $(shell [ -e $(MARK) ] && $(BIN)/python -c '' 2>/dev/null && echo $(BIN)/python || echo $(PYTHON))

clean: ## stop the server and its jobs, and remove all that was made here
	@$(WITHOUT_VENV) -m jsched.commands.main dev clean
