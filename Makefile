# Everything needed is set up on the first use, inside this folder: uv and Python where they are missing, and the
# packages of the locks in requirements/. ARGS hands further arguments on: make train ARGS="--total-timesteps 5000"

BIN := .venv/bin
RLDD := $(BIN)/rl-drug-dosage
MODEL := models/agent.pt
RUNS := runs
RUN := make-$(shell date +%Y%m%d-%H%M%S)
ARGS :=
# Of `make site` alone: --no-gallery leaves out the trials and trainings that the gallery and the notebooks show.
SITE_ARGS ?=

# An environment that was copied along with its checkout is not this checkout's: the stamps carry the place.
HERE := $(shell pwd -P | cksum | cut -d ' ' -f 1)
BASE := .venv/.base-$(HERE)
DEV := .venv/.dev-$(HERE)
WANDB := .venv/.wandb-$(HERE)
MINARI := .venv/.minari-$(HERE)
ONNX := .venv/.onnx-$(HERE)
PARQUET := .venv/.parquet-$(HERE)
NUTS := .venv/.nuts-$(HERE)
RAY := .venv/.ray-$(HERE)
SB3 := .venv/.sb3-$(HERE)
SBML := .venv/.sbml-$(HERE)
SITE := .venv/.site-$(HERE)
SWEEP := .venv/.sweep-$(HERE)
CUDA := .venv/.cuda-$(HERE)
SUPPLY := .venv-supply/.supply-$(HERE)
TORCH := .venv-torch/.torch-$(HERE)

.DEFAULT_GOAL := help
.PHONY: help install install-wandb install-minari install-nuts install-onnx install-parquet install-ray install-sb3 install-sbml install-sweep install-dev install-cuda install-torch train train-quick evaluate info \
	clinic image test test-long test-all test-notebooks test-torch test-browser lint format typecheck bench models ablation docs site notebooks validate lock sbom audit clean distclean FORCE

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' Makefile

install: $(BASE) ## set up .venv for training and evaluation
	@echo "ready: $(RLDD) --help"

install-wandb: $(WANDB) ## the same, with Weights & Biases
	@echo "ready: $(RLDD) --help"

install-minari: $(MINARI) ## the same, with Minari for datasets of courses
	@echo "ready: $(RLDD) --help"

install-nuts: $(NUTS) ## the same, with blackjax: the no-U-turn sampler as a posterior
	@echo "ready: $(RLDD) --help"

install-ray: $(RAY) ## the same, with Ray: benchmarks on a cluster
	@echo "ready: $(RLDD) --help"

install-onnx: $(ONNX) ## the same, with ONNX: policies from and to .onnx files
	@echo "ready: $(RLDD) --help"

install-parquet: $(PARQUET) ## the same, with pyarrow: tables of large cohorts as Parquet
	@echo "ready: $(RLDD) --help"

install-sb3: $(SB3) ## the same, with Stable-Baselines3 for its agents (brings PyTorch, gigabytes)
	@echo "ready: $(RLDD) --help"

install-sbml: $(SBML) ## the same, with libsbml: drug models from SBML files
	@echo "ready: $(RLDD) --help"

install-sweep: $(SWEEP) ## the same, with Optuna: hyper-parameter search
	@echo "ready: $(RLDD) --help"

install-dev: $(DEV) ## the same, with the tools for tests, lint and types
	@echo "ready: $(RLDD) --help"

install-cuda: $(CUDA) ## the same, with JAX for NVIDIA GPUs (Linux)
	@echo "ready: $(RLDD) --help"

install-torch: $(TORCH) ## set up .venv-torch, the oracle of the interoperability tests and of bench (6 GB)
	@echo "ready: .venv-torch/bin/python"

train: $(BASE) ## train on the default task, evaluate, and say where the model and the plots are
	@$(RLDD) train --runs-dir "$(RUNS)" --run-name "$(RUN)" $(ARGS)
	@$(RLDD) evaluate --model-path "$(RUNS)/$(RUN)/agent.pt"
	@printf '\nmodel: %s\nplots: %s\n' "$(RUNS)/$(RUN)/agent.pt" "$(RUNS)/$(RUN)/*.png"

train-quick: $(BASE) ## a short run of 1,000 steps
	@$(RLDD) train --runs-dir "$(RUNS)" --run-name "$(RUN)" --total-timesteps 1000 $(ARGS)

evaluate: $(BASE) ## evaluate MODEL=models/agent.pt
	@$(RLDD) evaluate --model-path "$(MODEL)" $(ARGS)

info: $(BASE) ## show the project and its environments
	@$(RLDD) info $(ARGS)

clinic: $(BASE) ## open the page in the browser: one patient's dose, a trial, a game (Ctrl-C ends it)
	@$(RLDD) clinic --models models $(ARGS)

image: ## build a container image, with podman or docker (its default command is clinic)
	@engine=$$(command -v podman || command -v docker) || { echo "make image: needs podman or docker" >&2; exit 1; }; \
	"$$engine" build --tag rl-drug-dosage --file Containerfile .

# loadscope keeps the tests of a module in one process, where they share what JAX has compiled.
test: $(DEV) ## run the tests
	$(BIN)/pytest -n 2 --dist loadscope $(ARGS)

test-long: $(DEV) ## run those that it leaves out because they compile or compute for seconds each
	$(BIN)/pytest -n 2 --dist loadscope -m "long and not slow and not gpu and not torch and not browser" $(ARGS)

test-all: $(DEV) $(SITE) ## run all of them, and the slow tests
	$(BIN)/pytest -n 2 --dist loadscope -m "not gpu and not torch and not browser" $(ARGS)

test-notebooks: $(DEV) ## run every block of docs/notebooks
	$(BIN)/pytest -n 2 -m "slow or not slow" tests/site/test_blocks.py -k notebooks $(ARGS)

test-torch: $(DEV) $(TORCH) ## run the tests against PyTorch and Stable-Baselines3
	RLDD_TORCH_PYTHON="$(CURDIR)/.venv-torch/bin/python" $(BIN)/pytest -m torch $(ARGS)

test-browser: $(DEV) $(SITE) ## open pages, reports and the site in headless Chromium (installs Debian's, needs root for that)
	@scripts/browser.sh .venv/axe-core
	RLDD_AXE="$(CURDIR)/.venv/axe-core/axe_playwright_python/axe.min.js" $(BIN)/pytest -m browser tests/browser $(ARGS)

lint: $(DEV) ## check style, format and import directions
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-cache

format: $(DEV) ## put the code into its format
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

typecheck: $(DEV) ## check the types
	$(BIN)/mypy

bench: $(DEV) $(TORCH) ## measure speed, against PyTorch too
	RLDD_TORCH_PYTHON="$(CURDIR)/.venv-torch/bin/python" $(BIN)/python benchmarks/bench.py $(ARGS)

models: $(BASE) ## train the policies in models/ anew, choose and try them (SCENARIO=vancomycin for one; hours for all)
	$(BIN)/python scripts/make_models.py $(SCENARIO) $(ARGS)

ablation: $(BASE) ## leave out the parts of two recipes one by one, and write docs/ablation.md (an hour or two)
	$(BIN)/python scripts/ablation.py $(ARGS)

docs: $(BASE) ## write docs/drugs/, docs/scenarios.md and the tables of docs/scenario-files.md from the values
	$(BIN)/python scripts/drug_pages.py
	$(BIN)/python scripts/scenario_pages.py
	$(BIN)/python scripts/scenario_format.py

site: $(BASE) $(SITE) ## build the documentation site in build/site; a warning or a dead link is an error
	@$(BIN)/python site/build.py $(SITE_ARGS) $(ARGS)

notebooks: $(BASE) ## write the pages of docs/notebooks as Jupyter notebooks into build/notebooks
	@$(BIN)/python site/notebooks.py

validate: $(DEV) ## compute every check of the engine and the drug models, and write docs/validation.md
	$(BIN)/python scripts/validate.py

lock: ## resolve requirements/ from pyproject.toml again (ARGS=--upgrade for newer versions)
	scripts/lock.sh $(ARGS)

sbom: $(BASE) $(SUPPLY) ## list what the package runs on, with hashes and licences, in build/ (CycloneDX)
	.venv-supply/bin/python scripts/sbom.py $(BIN)/python $(ARGS)

audit: $(SUPPLY) ## look up known vulnerabilities of every locked package (skipped where the service is out of reach)
	.venv-supply/bin/python scripts/audit.py $(ARGS)

clean: ## remove caches and builds; runs, models and environments stay
	rm -rf build dist .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache .coverage htmlcov
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

distclean: clean ## remove the environments too
	rm -rf .venv .venv-torch .venv-supply .uv

# `uv sync` removes what it was not asked for: then the stamp is wrong, and the tool that is missing says so.
missing = $(if $(wildcard $(1)),,FORCE)

$(BASE): pyproject.toml requirements/base.txt requirements/build.txt scripts/bootstrap.sh $(call missing,$(RLDD))
	@scripts/bootstrap.sh install .venv base
	@scripts/bootstrap.sh project .venv
	@touch $@

$(DEV): requirements/dev.txt $(call missing,$(BIN)/pytest) | $(BASE)
	@scripts/bootstrap.sh install .venv dev
	@touch $@

$(WANDB): requirements/wandb.txt $(call missing,$(BIN)/wandb) | $(BASE)
	@scripts/bootstrap.sh install .venv wandb
	@touch $@

$(MINARI): requirements/minari.txt | $(BASE)
	@scripts/bootstrap.sh install .venv minari
	@touch $@

$(NUTS): requirements/nuts.txt | $(BASE)
	@scripts/bootstrap.sh install .venv nuts
	@touch $@

$(ONNX): requirements/onnx.txt | $(BASE)
	@scripts/bootstrap.sh install .venv onnx
	@touch $@

$(PARQUET): requirements/parquet.txt | $(BASE)
	@scripts/bootstrap.sh install .venv parquet
	@touch $@

$(RAY): requirements/ray.txt | $(BASE)
	@scripts/bootstrap.sh install .venv ray
	@touch $@

$(SB3): requirements/sb3.txt | $(BASE)
	@scripts/bootstrap.sh install .venv sb3
	@touch $@

$(SBML): requirements/sbml.txt | $(BASE)
	@scripts/bootstrap.sh install .venv sbml
	@touch $@

$(SITE): requirements/site.txt $(call missing,$(BIN)/sphinx-build) | $(BASE)
	@scripts/bootstrap.sh install .venv site
	@touch $@

$(SWEEP): requirements/sweep.txt | $(BASE)
	@scripts/bootstrap.sh install .venv sweep
	@touch $@

$(CUDA): requirements/cuda.txt | $(BASE)
	@scripts/bootstrap.sh install .venv cuda
	@touch $@

# Apart from .venv: what lists and judges an environment should not be part of it.
$(SUPPLY): requirements/supply.txt | $(BASE)
	@scripts/bootstrap.sh install .venv-supply supply
	@touch $@

# After .venv, because both may have to put uv in its place first.
$(TORCH): pyproject.toml requirements/torch.txt requirements/build.txt scripts/bootstrap.sh | $(BASE)
	@scripts/bootstrap.sh install .venv-torch torch
	@scripts/bootstrap.sh project .venv-torch
	@touch $@
