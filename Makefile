# make [study] | test | check | smoke | book | pdf | publish-check | bench | encoder | constraints | audit | clean.  Needs
# python3 (3.11) with venv, make, bash and git; uses uv if there.  make study SCALE=small, make PYTHON=python3.11
#
# The folder may have any name. Recipes name files relative to it; its own name, and what is given on the command line, reach a
# program in its environment, where no shell reads them. `make check` has shellcheck read the recipes (tools/recipes.py).
override SHELL := /bin/sh
override .SHELLFLAGS := -ec
override VPATH :=

.PHONY: study test check smoke book pdf publish-check bench encoder constraints audit clean
.DELETE_ON_ERROR:

ifeq ($(wildcard xit_core/cli.py),)
$(error not the folder of the project: run make there, or with -C FOLDER)
endif
# What is removed lies in these: behind a link it would be a person's.
LINKS := $(shell for name in _build _repeat book book/_generated book/executed book/results xit_core xit_core/encoders .venv; do \
  if test -L "$$name"; then printf '%s ' "$$name"; fi; done)
ifneq ($(strip $(LINKS)),)
$(error $(LINKS)is a link: make removes what lies in that folder; put a folder there, and name others with XIT_RUNS and XIT_RESULTS)
endif
override FLAGS := $(filter-out -%,$(firstword $(MAKEFLAGS)))
ifneq ($(strip $(foreach flag,e i t,$(findstring $(flag),$(FLAGS)))),)
$(error make -e, -i and -t: a step would pass that has failed or was not done; run make without them (MAKEFLAGS=$(MAKEFLAGS)))
endif

# Only from the command line, and as it stands there: make reads no $(...) in it.
ifneq ($(origin SCALE),command line)
override SCALE := micro
endif
ifneq ($(origin PYTHON),command line)
override PYTHON := python3
endif
override SCALE := $(value SCALE)
override XIT_PYTHON := $(value PYTHON)
ifneq ($(words $(SCALE))$(findstring /,$(SCALE))$(findstring .,$(SCALE)),1)
$(error SCALE: the name of a scale, such as micro)
endif

# What is set up and run is deaf to a person's settings of the tools, but for what only says where packages come from.
SOURCES := PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_FIND_LINKS PIP_NO_INDEX PIP_CERT PIP_CLIENT_CERT PIP_PROXY PIP_TRUSTED_HOST \
  PIP_KEYRING_PROVIDER PIP_CACHE_DIR PIP_NO_CACHE_DIR PIP_TIMEOUT PIP_DEFAULT_TIMEOUT PIP_RETRIES PIP_CONFIG_FILE \
  UV_INDEX UV_INDEX_% UV_DEFAULT_INDEX UV_EXTRA_INDEX_URL UV_FIND_LINKS UV_NO_INDEX UV_OFFLINE UV_NATIVE_TLS UV_INSECURE_HOST \
  UV_KEYRING_PROVIDER UV_CACHE_DIR UV_NO_CACHE UV_HTTP_TIMEOUT UV_HTTP_RETRIES UV_CONFIG_FILE
DEAF := PYTHON% PIP_% UV_% CONDA_% _CONDA_% MAMBA_% VIRTUAL_ENV% SETUPTOOLS_% DISTUTILS_% JUPYTER_% JPY_% IPYTHON% NBVAL% PYTEST_% \
  HYPOTHESIS_% RUFF_% SNAKEMAKE_% SPHINX% MPL% MATPLOTLIBRC SHELLCHECK_OPTS \
  BASH_ENV BASH_FUNC_% BASHOPTS SHELLOPTS GLOBIGNORE ENV CDPATH GREP_OPTIONS LANGUAGE
unexport $(filter-out $(SOURCES),$(filter $(DEAF),$(.VARIABLES)))
export SCALE XIT_PYTHON
export PIP_USER := 0
export LC_ALL := C.UTF-8
export PYTHONUTF8 := 1
export TOKENIZERS_PARALLELISM := false
# folders of the project's own, where a person's kernels, start-up files and styles are not found and no home is needed
export JUPYTER_PREFER_ENV_PATH := 1
export JUPYTER_CONFIG_DIR := $(CURDIR)/.venv/jupyter/config
export JUPYTER_DATA_DIR := $(CURDIR)/.venv/jupyter/data
export IPYTHONDIR := $(CURDIR)/.venv/ipython
export MPLCONFIGDIR := $(CURDIR)/.venv/matplotlib

# a study whose ledger is published is repeated in _repeat; then the report says whether the two agree
study: .venv/.ready
	bash tools/study
	"$(MAKE)" --no-print-directory book
	bash tools/study report

book: .venv/.ready
	.venv/bin/python -m xit_core.report.pages
	rm -rf _build/html
	.venv/bin/python .venv/bin/jupyter-book build book/ --all -W -n --keep-going -q
	.venv/bin/python tools/bookcheck.py _build/html

# the book on paper: needs Chromium, on the PATH or named by CHROMIUM
pdf: book
	.venv/bin/python tools/pdf.py _build/html _build/book.pdf

# that the folder of the book can be put anywhere; with a version behind, the same lays it into a site
publish-check: book
	.venv/bin/python tools/publish.py _build/html

# lint and unit tests
check: .venv/.ready
	.venv/bin/python -m ruff check .
	.venv/bin/python -m ruff format --check .
	mkdir -p _build
	.venv/bin/python tools/recipes.py Makefile >_build/recipes.sh
	.venv/bin/shellcheck --norc .ci/run tools/setup tools/slurm tools/smoke tools/study _build/recipes.sh
	.venv/bin/python -m pytest tests -q -n auto --maxprocesses 4 --dist worksteal

# every notebook at the smallest scale, in a ledger of its own
smoke: .venv/.ready
	bash tools/smoke

# all of these; the last two side by side, for each keeps one core busy
test: check
	"$(MAKE)" --no-print-directory -j2 smoke book

# training beside Hugging Face's Trainer, kept for the book: make bench SCALE=small
bench: .venv/.ready
	.venv/bin/python -m xit_core.cli bench train --scale="$$SCALE" --keep

# an encoder: SCALE=small is installed (90 MB); one that the package ships is pretrained anew, SCALE=micro in 12 minutes of one
# core (XIT_THREADS=2 for two)
encoder: .venv/.ready
	bash tools/setup encoder

# constraints.txt anew: the newest versions that environment.yml allows
constraints:
	bash tools/setup constraints

# known vulnerabilities of these; needs the network, and the advisories change from day to day, so no test asks for it
audit:
	bash tools/setup audit

clean:
	@for lock in _runs/*.lock _repeat/runs/*.lock; do \
	  [ ! -e "$$lock" ] || ! command -v flock >/dev/null || flock -n "$$lock" true || \
	  { echo "a study is running, which holds $$lock; stop it first" >&2; exit 2; }; done
	rm -rf _build _runs _repeat book/_generated book/executed/smoke book/results/smoke book/results/micro

# also in a folder that was moved or copied: what is in .venv knows its name
ifneq ($(shell cat .venv/.ready 2>/dev/null),$(CURDIR))
.PHONY: .venv/.ready
endif
.venv/.ready: environment.yml constraints.txt pyproject.toml tools/setup tools/packages.py xit_core/run/kernel.py
	bash tools/setup
