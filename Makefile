# The kit's commands: `make` lists them. They need python3 (3.11 to 3.13) and make;
# the tests also git and Node.js. Plain make: it runs on GNU make 3.81, which macOS has.

PYTHON ?= python3
WORKERS ?= 3

BIN := .venv/bin
LEARNER := .venv/.learner
TESTS := .venv/.tests
WHEELS := .cache/wheelhouse/.complete

# Which tests: `make test T=tests/policy K=words` (pytest's -k) or `M=crash` (a marker, pytest's -m).
# A selection runs in one process, all of them in WORKERS: a third one works on two cores while others wait.
T ?=
K ?=
M ?=
CHOSEN := $(T) $(if $(K),-k "$(K)") $(if $(M),-m "$(M)")
PYTEST := $(BIN)/python tests/setup/offline.py -m pytest
PARALLEL := -n $(WORKERS) --dist loadfile --no-loadscope-reorder --durations 30

# A stamp holds the path it was made for: a clone that was moved gets a new environment.
ifneq ($(wildcard $(LEARNER)),)
ifneq ($(shell cat $(LEARNER)),$(shell pwd))
ANEW := this clone was moved since .venv was made
endif
endif

# So does one whose .venv another Python made than the call names: `make check PYTHON=python3.13`.
ifneq ($(origin PYTHON),file)
ifneq ($(wildcard .venv),)
VERSION := -c "import sys; print('%d.%d' % sys.version_info[:2])"
NAMED := $(filter 3.11 3.12 3.13,$(shell $(PYTHON) $(VERSION)))
ifneq ($(NAMED),$(shell $(BIN)/python $(VERSION)))
ANEW := $(if $(NAMED),.venv was made with another Python than $(NAMED))
endif
endif
endif

.DEFAULT_GOAL := help
.PHONY: help start setup lint types format test check build solutions replay bench soak lock clean anew

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' Makefile

start: $(LEARNER) $(WHEELS) ## set up what is missing, then open JupyterLab
	@$(BIN)/chainlab start

setup: $(LEARNER) $(WHEELS) ## make .venv from requirements.lock, then the package
	@echo "set up; 'make start' opens the course, '$(BIN)/chainlab doctor' looks for trouble"

anew:
	@echo "$(ANEW): making it anew"
	@rm -rf .venv

# uv comes first, by pip and by hash; it installs the rest in seconds. Wheels only.
$(LEARNER): requirements.lock pyproject.toml $(if $(ANEW),anew)
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 13) \
	  else "chainlab needs Python 3.11, 3.12 or 3.13, and $(PYTHON) is %d.%d.\n" % v + \
	  "  Help: name another one, as in: make $(MAKECMDGOALS) PYTHON=python3.12")'
	@mkdir -p .cache
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }
	@sed -n '/^uv==/,/^    # via/p' requirements.lock > .cache/uv.lock
	@echo "setting up .venv from requirements.lock"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
	  --only-binary :all: -r .cache/uv.lock
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes --no-build requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@pwd > $(LEARNER)

# What the course's own projects are built from, kept so that week 2 needs no network either.
$(WHEELS): wheelhouse.lock $(LEARNER)
	@echo "keeping the projects' wheels in .cache/wheelhouse"
	@rm -rf .cache/wheelhouse
	@$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes \
	  --only-binary :all: -d .cache/wheelhouse -r wheelhouse.lock
	@touch $(WHEELS)

$(TESTS): requirements-test.lock $(LEARNER)
	@echo "adding what the tests need from requirements-test.lock"
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes --no-build \
	  requirements-test.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $(TESTS)

lint: $(TESTS) ## in seconds: ruff, derived files, dead code, undeclared imports
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/chainlab build --check
	@$(BIN)/python -m chainlab.course.authoring.checksums --check
	@$(BIN)/python tests/setup/dead_code.py
	@$(BIN)/python tests/setup/architecture.py --check
	@$(BIN)/python tests/setup/event_tables.py --check
	@$(BIN)/deptry src lessons data/actions
	@$(BIN)/deptry tests benchmarks --ignore DEP002,DEP004

types: $(TESTS) ## in seconds: mypy, strict on the package, check_untyped_defs on the tests
	@$(BIN)/mypy

format: $(TESTS) ## lay out the code, sort its imports, fix what ruff can fix
	@$(BIN)/ruff check --quiet --fix --exit-zero
	@$(BIN)/ruff format

# First what the chosen tests need (network), then the tests with the network cut.
test: $(TESTS) $(WHEELS) ## run tests: all, or T=PATH, K=WORDS, M=MARKER
	@$(BIN)/python tests/setup/prepare.py $(CHOSEN)
	@$(PYTEST) $(CHOSEN) $(if $(T)$(K)$(M),,$(PARALLEL))

check: lint types $(WHEELS) ## all of it, what CI runs; PYTHON=python3.13 for another Python
	@$(BIN)/python tests/setup/prepare.py
	@$(PYTEST) $(PARALLEL) --cov --cov-report=term

build: $(LEARNER) ## make notebooks, labs and solutions from lessons/
	@$(BIN)/chainlab build

solutions: $(LEARNER) ## run every solution from top to bottom
	@$(BIN)/chainlab solutions

replay: ## replay the drill (it comes with week 6)
	@echo "the drill arrives with week 6; there is nothing to replay yet" >&2; exit 2

bench: $(TESTS) $(WHEELS) ## measure the Sigstore instance, releases, SBOMs, advisories, the archive, the gate and the monitor
	@$(BIN)/python benchmarks/trust.py
	@$(BIN)/python benchmarks/pipeline.py
	@$(BIN)/python benchmarks/sbom.py
	@$(BIN)/python benchmarks/advisories.py
	@$(BIN)/python benchmarks/archive.py
	@$(BIN)/python benchmarks/gate.py
	@$(BIN)/python benchmarks/detections.py
	@$(BIN)/python benchmarks/log_monitor.py
	@$(BIN)/python benchmarks/runtime.py

soak: $(TESTS) ## by hand, bounded: random tests at length, then every notebook five times
	@$(BIN)/python tests/setup/prepare.py
	@$(PYTEST) -n $(WORKERS) --dist loadfile --hypothesis-profile=soak
	@for round in 1 2 3 4 5; do \
	  $(PYTEST) -c /dev/null --rootdir . -p no:cacheprovider \
	    -n $(WORKERS) --dist loadfile --nbval --nbval-sanitize-with lessons/sanitise.cfg \
	    --nbval-kernel-name python3 notebooks solutions || exit 1; \
	done

lock: $(TESTS) ## resolve pyproject.toml again (UPGRADE=--upgrade takes newer releases)
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --python-version 3.11 --no-build --custom-compile-command "make lock" \
	  $(UPGRADE) pyproject.toml --extra setup -o requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --python-version 3.11 --no-build --custom-compile-command "make lock" \
	  $(UPGRADE) pyproject.toml --extra setup --extra test -c requirements.lock \
	  -o requirements-test.lock
	@(ls data/packages/wheels/*.whl; printf "flit-core\nbuild\npip\n") | $(BIN)/uv pip compile --quiet --universal --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --python-version 3.11 --no-build \
	  --custom-compile-command "make lock" -c requirements-test.lock \
	  --no-emit-package acme-cells --no-emit-package acme-quantise \
	  data/projects/triage-model/requirements.txt - -o wheelhouse.lock
	@printf "devpi-server>=6.20\n" | $(BIN)/uv pip compile --quiet --universal --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --python-version 3.11 --no-build \
	  --custom-compile-command "make lock" - -o tests/setup/devpi.lock
	@printf "opa-golib-python-bindings==0.4.4\n" | $(BIN)/uv pip compile --quiet --universal --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --python-version 3.14 --no-build \
	  --custom-compile-command "make lock" - -o tests/setup/opa.lock
	@$(BIN)/python data/packages/lock.py
	@$(BIN)/python data/upstream.py

clean: ## remove environments and caches; keeps .chainlab, which holds a learner's work
	@rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
	@rm -rf tests/js/node_modules tests/js/node22/node_modules
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
