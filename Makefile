# Every command of the course; `make` alone lists them.
# Windows has no make: site/pages/install.md gives the plain commands.

PYTHON ?= python3
BIN := .venv/bin
INSTALL := -c constraints.txt -e ".[course,test]"
INSTALL_SITE := -c constraints.txt -e ".[course,test,site]"
COURSE := runs/course
OLDEST := build/oldest
# Options of tools.experiments: make experiments EXPERIMENTS="--data my_photos --epochs 5"
EXPERIMENTS ?=

# The kernel is .venv's own, also where another one is registered under the same name.
export JUPYTER_PREFER_ENV_PATH := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Idle OpenMP threads of several processes that share the cores sleep instead of spinning; one
# process alone trains a fifth slower so.
test trust: export OMP_WAIT_POLICY ?= PASSIVE

.DEFAULT_GOAL := help
.PHONY: help course lab test lint notebooks student class site publish recipes experiments bench trust test-oldest

help: ## List all commands
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

# The stamp is written last: an install that was cut off begins again from nothing.
.venv/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c "import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))" 2>/dev/null || { \
	  echo "The course needs Python 3.11 to 3.14, and \"$(PYTHON)\" is another one or not there."; \
	  echo "Install one from python.org, or name one you have: make $(MAKECMDGOALS) PYTHON=python3.12"; \
	  exit 1; } >&2
	@echo "==> Making the environment in .venv: once, some minutes; up to 6 GB where torch brings CUDA"
	@if test -e .venv/.installing || ! $(BIN)/python -c "" 2>/dev/null; then rm -rf .venv; fi
	@mkdir -p .venv && touch .venv/.installing && rm -f $@
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv .venv
	@trap "exit 130" INT; \
	$(BIN)/python -m pip install --quiet -c constraints.txt uv \
	  && $(BIN)/python -m uv pip install --python $(BIN)/python $(INSTALL) \
	  || { echo "==> uv cannot install here; pip does, more slowly"; \
	       $(BIN)/python -m pip install $(INSTALL); }
	@mv .venv/.installing $@
	@echo "==> The environment is ready"

course: .venv/.installed ## Train a GAN on the built-in scenes, test it, show the results (minutes, no GPU)
	@echo "==> Running lesson 06 (laptop profile): it trains a GAN on the built-in scenes"
	@mkdir -p $(COURSE)
	@COLORLIB_PROFILE=$${COLORLIB_PROFILE:-laptop} COLORLIB_STATIC=1 $(BIN)/python -m papermill \
	  -k python3 --cwd notebooks notebooks/06_gan_training.ipynb $(COURSE).ipynb \
	  -p out ../$(COURSE) -p fresh True
	@echo "==> The results, on scenes that it never saw, beside the baselines"
	@$(BIN)/colorlib show $(COURSE)
	@echo "==> Done. The executed lesson is $(COURSE).ipynb; \`make lab\` opens the course"

lab: .venv/.installed ## Open the course in JupyterLab
	@$(BIN)/python -m jupyterlab --LabApp.default_url=/lab/tree/notebooks

# A process on each core: of unit tests small enough for one thread each.
test: lint ## Lint, run the unit tests, execute every notebook
	@echo "==> Unit tests"
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto -m "not trust" --cov=colorlib --cov-fail-under=95
	@echo "==> Every notebook, cell by cell (ci profile)"
	@COLORLIB_PROFILE=ci COLORLIB_STATIC=1 COLORLIB_STRICT=1 $(BIN)/python -m pytest \
	  --nbval-lax --nbval-current-env --nbval-cell-timeout=300 -n auto --dist loadfile notebooks/

lint: .venv/.installed ## Check style, format and wording; print the size of the core
	@echo "==> Lint"
	@$(BIN)/python -m ruff check .
	@$(BIN)/python -m ruff format --check .
	@$(BIN)/python tools/prose.py
	@$(BIN)/python -m pytest -qs tests/test_project.py -k core_is_small

notebooks: .venv/.installed ## Execute every notebook in place (laptop profile), to be committed
	@echo "==> Executing every notebook in place (laptop profile)"
	@$(BIN)/python -m tools.notebooks execute

student: .venv/.installed ## Make the student copies, without solutions, in build/student/
	@$(BIN)/python -m tools.notebooks student

class: .venv/.installed ## Build the class kit: guide, slides, run sheets, figures, quiz, project, glossary
	@$(BIN)/python -m tools.class_kit

# Only the web pages need Sphinx, so only `make site` installs it.
.venv/.site: .venv/.installed
	@echo "==> Adding Sphinx to .venv"
	@$(BIN)/python -m uv pip install --quiet --python $(BIN)/python $(INSTALL_SITE) \
	  || $(BIN)/python -m pip install --quiet $(INSTALL_SITE)
	@touch $@

site: .venv/.site ## Build the web pages into build/site/ from the notebooks as committed
	@echo "==> Building the web pages"
	@$(BIN)/python -m tools.site

publish: .venv/.installed ## Stamp the address on GitHub into every file: make publish REPO=owner/name
	@$(BIN)/python -m tools.publish # make exports REPO

recipes: .venv/.installed ## Train every recipe on three seeds; writes data/results/scenes.json (long)
	@echo "==> Training every recipe on three seeds"
	@$(BIN)/python -m tools.compare_recipes

experiments: .venv/.installed ## Fine-tune on photos through lesson 10; writes data/results/photos.json (a GPU, hours)
	@echo "==> Fine-tuning on photos: every folder and seed that is not done yet"
	@$(BIN)/python -m tools.experiments $(EXPERIMENTS)

bench: .venv/.installed ## Compare naive training with ours on this device (minutes)
	@echo "==> The naive way against ours, one change at a time; leave the machine alone meanwhile"
	@$(BIN)/python -m tools.bench

trust: .venv/.installed ## Kill a run 50 times, give 10,000 broken files to each reader (long)
	@echo "==> The long versions of the fault tests"
	@COLORLIB_TRUST=1 $(BIN)/python -m pytest -m trust

# lowest-direct: of each package that pyproject.toml names the oldest version it allows, which is
# about what Colab has. Colab has no papermill, so no lesson may need it.
test-oldest: .venv/.installed ## Test on the oldest versions that we promise, in an environment of its own
	@echo "==> Making $(OLDEST) with the oldest versions that pyproject.toml allows"
	@$(BIN)/python -m uv venv --quiet --clear --python $(PYTHON) $(OLDEST)
	@$(BIN)/python -m uv pip install --python $(OLDEST)/bin/python --resolution lowest-direct \
	  -e ".[course,test]"
	@$(BIN)/python -m uv pip uninstall --quiet --python $(OLDEST)/bin/python papermill
	@echo "==> Unit tests, and every notebook, cell by cell (ci profile)"
	@OMP_NUM_THREADS=1 $(OLDEST)/bin/python -m pytest -n auto -m "not trust"
	@COLORLIB_PROFILE=ci COLORLIB_STATIC=1 COLORLIB_STRICT=1 $(OLDEST)/bin/python -m pytest \
	  --nbval-lax --nbval-current-env --nbval-cell-timeout=300 -n auto --dist loadfile notebooks/
