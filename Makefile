# make [study] | test | book | check | bench | encoder | constraints | clean.  Needs python3 (3.11) with venv, make and git; uses uv if there.
PYTHON ?= python3
VENV   ?= .venv
SCALE  ?= micro
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
TEST   := $(CURDIR)/_build/test
NBVAL  := --nbval-current-env --nbval-cell-timeout=300 -q -p no:cacheprovider

export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
export IPYTHONDIR = $(abspath $(VENV))/ipython
export JUPYTER_PREFER_ENV_PATH = 1
export TOKENIZERS_PARALLELISM = false
unexport PYTHONHOME PYTHONPATH

.PHONY: study test book check bench encoder constraints clean
.DELETE_ON_ERROR:

study: $(READY)
	$(BIN)/xit study --scale $(SCALE)
	$(MAKE) --no-print-directory book

book: $(READY)
	$(BIN)/python book/_ext/pages.py
	rm -rf _build/html
	$(BIN)/jupyter-book build book/ --all -W -n --keep-going -q
	$(BIN)/python book/_ext/bookcheck.py _build/html

# lint and unit tests
check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/python -m pytest tests -q

# and every notebook at the smallest scale, in a ledger of its own; the copies are then executed again and compared
test: export TQDM_DISABLE = 1
test: export OMP_NUM_THREADS = 1
test: export PYTHONWARNINGS = ignore:IProgress not found
test: export XIT_RUNS = $(TEST)/runs
test: export XIT_RESULTS = $(TEST)/results
test: export XIT_EXECUTED = $(TEST)/executed
test: check
	rm -rf $(TEST)
	$(BIN)/python -m pytest --nbval-lax $(NBVAL) notebooks
	$(BIN)/xit study --scale smoke
	$(BIN)/python -m pytest --nbval --nbval-sanitize-with tests/nbval_sanitize.cfg $(NBVAL) $(TEST)/executed/smoke/analysis.ipynb
	XIT_RUNS=$(TEST)/again XIT_RESULTS=$(TEST)/again/results $(BIN)/python -m pytest --nbval $(NBVAL) \
	  --nbval-sanitize-with tests/nbval_sanitize.cfg --ignore $(TEST)/executed/smoke/analysis.ipynb $(TEST)/executed/smoke
	env -u XIT_RESULTS -u XIT_EXECUTED -u XIT_RUNS $(MAKE) --no-print-directory book

# training beside Hugging Face's Trainer, kept for the book: make bench SCALE=pocket
bench: $(READY)
	$(BIN)/xit bench train --scale $(SCALE) --keep

# an encoder that the package ships, pretrained anew: make encoder SCALE=micro (12 minutes of one core; OMP_NUM_THREADS=2 for two)
encoder: $(READY)
	$(BIN)/xit run pretrained --scale $(SCALE) --model remake
	mkdir -p xit_core/encoders/$(SCALE)
	rm -f xit_core/encoders/$(SCALE)/model*
	cp _runs/$(SCALE)/encoder/* xit_core/encoders/$(SCALE)/

# constraints.txt anew: the newest versions that environment.yml allows
constraints:
	rm -rf _build/fresh && $(PYTHON) -m venv _build/fresh
	$(call install,_build/fresh,)
	{ echo '# Every package that `make` installs, exactly. `make constraints` writes this file.'; \
	  _build/fresh/bin/python -m pip list --format=freeze | sed -E '/^(pip|xit)==/d; s/^([^=]+==[^+]+)\+.*/\1/' \
	  | LC_ALL=C sort -f; } > constraints.txt
	rm -rf _build/fresh

clean:
	rm -rf _build _runs book/_generated book/executed/smoke book/executed/micro book/results/smoke book/results/micro

# $(call install,VENV,CONSTRAINTS): the pip part of environment.yml
define install
sed -n '/^ *- pip: *$$/,$$ s/^ \{6,\}- *//p' environment.yml | tr -d '"' > $(1)/requirements.txt
if command -v uv >/dev/null; then uv pip install -q --python $(1)/bin/python -r $(1)/requirements.txt \
  $(if $(2),-c $(2) --build-constraints $(2)); \
else $(if $(2),PIP_CONSTRAINT=$(2) PIP_BUILD_CONSTRAINT=$(2)) \
  $(1)/bin/python -m pip install -q --disable-pip-version-check -r $(1)/requirements.txt; fi
endef

$(READY): environment.yml constraints.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(call install,$(VENV),constraints.txt)
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-index --no-deps --no-build-isolation -e .
	mkdir -p $(IPYTHONDIR)/profile_default  # kernels of nbval: no warnings in the outputs
	echo 'c.IPKernelApp.log_level = 50' > $(IPYTHONDIR)/profile_default/ipython_kernel_config.py
	touch $@
