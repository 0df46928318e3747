# Every target sets up what it needs in .venv/ and installs nothing the second time: stamp files
# record what was installed, and are older than pyproject.toml or src/ only when those changed.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
SHELL := /bin/bash

# Pythons that work here, newest first, one of each version: those the tests have run on, then any.
WORKS := import sys, sysconfig as c, importlib.util as u; v = sys.version_info; \
	ok = v >= (3, 11) and v[3] == "final" and not c.get_config_var("Py_GIL_DISABLED"); \
	ok and (u.find_spec("ensurepip") or u.find_spec("pip")) and print(100 * v[0] + v[1], sys.executable)
PYTHONS = $(shell for p in python3.13 python3.12 python3.11 $(HOME)/.pyenv/versions/3.1[1-3].*/bin/python \
	python3 python; do $$p -c '$(WORKS)' 2>/dev/null; done | sort -s -u -r -n -k 1,1 | cut -d ' ' -f 2)
PYTHON ?= $(firstword $(PYTHONS))
VERSION := import sys; print("%d.%d" % sys.version_info[:2])
TEST_JOBS ?= 2
PYTEST_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Directories are listed too, so that removing a file counts as a change.
SOURCES := $(shell find src -name __pycache__ -prune -o \( -type d -o -type f \) -print)

# OUT=... names a directory that is yours: it is replaced only with FORCE=1.
# The default one belongs to the target and is written anew by every run.
OUT ?=
FORCE ?=
REPRODUCE = $(BIN)/mermaide reproduce --preset $(1) --out $(if $(OUT),$(OUT),results/$(1)) \
	$(if $(or $(FORCE),$(if $(OUT),,default)),--force)

.PHONY: help
help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-20s %s\n", $$1, $$2}'
	@echo "Variables: PYTHON=python3.13  OUT=directory  FORCE=1  TEST_JOBS=2  PYTEST_ARGS='-k agents'"

# --- what runs ------------------------------------------------------------------------------------

.PHONY: reproduce standard smoke
reproduce: $(VENV)/.stamp-experiments ## train, adapt and compare all principals: at most 10 minutes on 2 cores
	$(call REPRODUCE,quick)

standard: $(VENV)/.stamp-experiments ## the same with more updates and seeds: at most 2 hours on 2 cores
	$(call REPRODUCE,standard)

smoke: $(VENV)/.stamp-experiments ## the same in two minutes, to see that everything runs
	$(call REPRODUCE,smoke)

# Every table and figure of docs/results/index.md; REDUCED=1 is the same with the preset quick.
RUN := $(BIN)/python experiments/
STUDY := $(BIN)/mermaide reproduce --preset $(if $(REDUCED),quick,default) --force
SHOTS := --evaluation.shots 0 1 2 5 10
FEW := --seeds 3
SCRIPTED := never always random first_k prescient all_knowing
# Most other protocols have half of the updates, and bonuses for entropy that fall linearly.
LINEAR := --training.entropy-start 0.1 --training.entropy-decay 1
HALF := $(LINEAR) --training.updates 1000
HITS := --training.updates 1000 --training.credit hits --training.entropy-start 0.1
MODEL := --principals mermaide world_model_without_meta
MOST := $(MODEL) reinforce $(SCRIPTED)
ALL := $(MODEL) reinforce maml_without_world_model $(SCRIPTED)

# One study, put into a compact record: name, options.
define study
	$(STUDY) $(2) --out results/parts/$(1)
	$(RUN)bandits.py results/parts/$(1) --out results/$(1) --force --compact
endef

.PHONY: results results-bandits results-protocols results-ablations results-stackelberg
results: results-bandits results-protocols results-ablations results-stackelberg ## every experiment of the documentation: many hours on two cores (REDUCED=1: with the preset quick)

results-bandits: $(VENV)/.stamp-experiments ## F2, F3 and F4 at the headline protocol, what adaptation does, when they pay, what actions tell, the oracles
	$(STUDY) $(SHOTS) --out results/parts/bandits
	$(RUN)bandits.py results/parts/bandits --out results/bandits --force --findings results/findings.json
	$(RUN)world_model.py results/parts/bandits --out results/world_model --force
	$(RUN)adaptation.py results/parts/bandits --out results/adaptation --force
	$(RUN)timing.py results/parts/bandits --episodes 4 --out results/timing --force
	$(RUN)informed.py results/bandits --families ucb --out results/informed/ucb --force $(if $(REDUCED),--seeds 2)
	$(RUN)informed.py results/bandits --families epsilon_greedy --out results/informed/epsilon_greedy --force \
		$(if $(REDUCED),--seeds 2)
	$(RUN)beliefs.py results/bandits --out results/beliefs --force
	$(RUN)watching.py results/parts/bandits --out results/watching --force
	$(RUN)planning.py results/parts/bandits --episodes 3 --out results/planning --force
	$(RUN)oracle_convergence.py --out results/oracles --force $(if $(REDUCED),--reduced)
	$(RUN)small_games.py --out results/small_games --force $(if $(REDUCED),--reduced)

results-protocols: $(VENV)/.stamp-experiments ## F2 with other horizons, agents and splits (after results-bandits)
ifdef REDUCED
	$(call study,extrapolation,$(ALL) --agents.split extrapolation)
	$(RUN)protocols.py results/bandits results/extrapolation --out results/protocols --force
else
	$(call study,hundred,$(MODEL) $(SCRIPTED) --agents.test 100 --evaluation.shots 0 1 5 \
		--evaluation.all-knowing-episodes 2)
	$(call study,bandits_1000,$(HALF) $(SHOTS))
	$(call study,bandits_50,--game.horizon 50 --training.entropy-start 0.1 $(SHOTS))
	$(call study,bandits_200,$(ALL) $(HALF) --game.horizon 200 $(SHOTS))
	$(call study,hits_200,$(MODEL) $(SCRIPTED) $(HITS) --game.horizon 200 $(SHOTS))
	$(call study,mixed,$(ALL) $(HALF) $(SHOTS) --agents.mixed)
	$(call study,same,$(ALL) $(SHOTS) --agents.split same)
	$(call study,extrapolation,$(ALL) $(HALF) $(SHOTS) --agents.split extrapolation)
	$(call study,endless,$(MOST) $(HALF) $(FEW) --training.variation endless)
	$(call study,noiseless,$(MOST) $(HALF) $(FEW) --game.noise 0 --evaluation.shots 0 1 5)
	$(call study,bandits_linear,$(LINEAR) $(SHOTS))
	$(call study,bandits_4000,$(MODEL) $(SCRIPTED) $(LINEAR) --training.updates 4000 $(SHOTS))
	$(RUN)protocols.py $(addprefix results/,bandits bandits_50 same hits_200 bandits_1000 bandits_linear \
		bandits_4000 bandits_200 mixed extrapolation endless noiseless) --out results/protocols --force
endif

results-ablations: $(VENV)/.stamp-experiments ## what each part is worth
	$(RUN)ablations.py --out results/ablations --force $(if $(REDUCED),--reduced,--preset ablation --seeds 1)

results-stackelberg: $(VENV)/.stamp-experiments ## F1
	$(RUN)stackelberg.py --out results/stackelberg --findings results/findings.json --force $(if $(REDUCED),--reduced)

.PHONY: bench
bench: $(VENV)/.stamp-experiments,peers ## speed against the peers, an hour (BENCH_ARGS=--quick: eight minutes)
	$(BIN)/python -m benchmarks.run $(if $(OUT),--out $(OUT)) $(if $(FORCE),--force) $(BENCH_ARGS)

.PHONY: profile
profile: $(VENV)/.stamp-experiments ## what runs in one meta-step, by jax.profiler
	$(BIN)/python -m benchmarks.profile --out $(or $(OUT),results/profile.json)

.PHONY: test test-second guard baseline lint format docs clean
test: lint ## lint, types, import contracts, all tests; contracts, exactness and guard on a second Python
	$(BIN)/python -m pytest -n $(TEST_JOBS) --dist worksteal $(PYTEST_ARGS)
	@own=$$($(BIN)/python -c '$(VERSION)'); second=; \
	for p in $(PYTHONS); do [ $$($$p -c '$(VERSION)') = $$own ] || second=$$p; done; \
	if [ -n "$$second" ]; then $(MAKE) --no-print-directory test-second PYTHON=$$second VENV=.venv-second; \
	else echo "no second Python was found: contracts, exactness and guard ran on $$own alone"; fi

test-second: $(VENV)/.stamp-dev # of `make test`, in an environment with the oldest Python that works
	$(BIN)/python -c 'import jax, platform; print("Python", platform.python_version(), "with JAX", jax.__version__)'
	$(BIN)/python -m pytest -n $(TEST_JOBS) --dist worksteal -m "contract or exact or guard" $(PYTEST_ARGS)

guard: $(VENV)/.stamp-dev ## compare the counted work of compiled programs with the baseline
	$(BIN)/python -m benchmarks.guard

baseline: $(VENV)/.stamp-dev ## renew what compiled programs may cost with the JAX of this environment
	$(BIN)/python -m benchmarks.guard --renew

lint: $(VENV)/.stamp-dev ## ruff, pyright and import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache --no-logo
	PYRIGHT_PYTHON_GLOBAL_NODE=off $(BIN)/pyright --pythonpath $(BIN)/python

format: $(VENV)/.stamp-dev ## format the code and mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.stamp-docs ## build the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean: ## remove the environment and all caches (results stay)
	rm -rf $(VENV) .venv-second .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist site

# --- the environment ------------------------------------------------------------------------------

$(VENV)/.stamp-venv:
	@[ -n "$(PYTHON)" ] || { echo "error: no Python >= 3.11 found; name one: make PYTHON=/path/to/python3.12" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; v = sys.version.split()[0]; sys.exit(sys.version_info < (3, 11) \
	and f"error: $(PYTHON) is Python {v}; 3.11 or newer is needed: make PYTHON=python3.12")'
	@# Debian ships Python without ensurepip; its pip can still furnish the environment.
	@if $(PYTHON) -c 'import ensurepip' 2>/dev/null; then $(PYTHON) -m venv --clear $(VENV); \
	else $(PYTHON) -m venv --clear --without-pip $(VENV) && \
	$(PYTHON) -m pip --python $(BIN)/python install -q pip; fi
	@touch $@

# Dependencies: again only when pyproject.toml changes.
$(VENV)/.stamp-deps-%: pyproject.toml $(VENV)/.stamp-venv
	@echo "installing the dependencies of [$*] into $(VENV)/ (once; some minutes on a slow line)"
	$(PIP) install -q hatchling
	$(PIP) install -q --no-build-isolation '.[$*]'
	@touch $@

# The package itself, not editable: the tests run against what a user would get.
$(VENV)/.stamp-%: $(VENV)/.stamp-deps-% $(SOURCES)
	$(PIP) install -q --no-deps --force-reinstall --no-build-isolation .
	@touch $@

.PRECIOUS: $(VENV)/.stamp-deps-%
