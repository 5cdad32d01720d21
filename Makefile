# `make demo` and `make test` do everything on a machine that has python3; both reuse what is there.
# Without a GPU, pip's own PIP_EXTRA_INDEX_URL, set to PyTorch's index of CPU wheels, saves 5 GB.
PYTHON ?= python3
VENV   ?= .venv
DEMO   ?= demo

BIN  := $(VENV)/bin
CLI  := $(BIN)/edge-fgir
DATA := elpv
# Milliseconds from a frame to its label; a processor several times slower than today's still has networks within it.
LATENCY ?= 5

BUNDLE := $(DEMO)/cells.fgir

.PHONY: demo test unit attacks faults fuzz npm check format clean
.DELETE_ON_ERROR:
.SUFFIXES:

demo: $(DEMO)/report.html
	@echo
	@echo "Open $(DEMO)/report.html. Classify pictures: $(CLI) predict $(BUNDLE) $(DEMO)/photos"
	@echo "Data: elpv-dataset (ZAE Bayern), CC BY-NC-SA 4.0, non-commercial use only."

# A process that runs out of tests takes some of another's: no file keeps one of them busy to the end.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal

# A native library that ends a test process fails the test that ran there, so what failed is asked once more, alone.
test: $(VENV)/installed check
	$(PYTEST) || OMP_NUM_THREADS=1 $(BIN)/python -m pytest --last-failed --last-failed-no-failures none

# Before every commit: what needs no runtime, no exporter and no training.
unit: $(VENV)/installed check
	$(PYTEST) -m "unit and not slow"

# Hostile and damaged input: what was tried, and what was not held off.
attacks: $(VENV)/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q tests/attacks tests/test_yaml.py tests/test_text.py tests/test_addresses.py tests/test_limits.py

# Killed processes, full disks, two writers, steps of the clock: what was written stays whole.
faults: $(VENV)/installed
	$(PYTEST) -k "killed or full_disk or interrupted or two_processes or clock_step"

# Ten thousand mutated inputs of a fixed seed for every parser.
fuzz: $(VENV)/installed
	OMP_NUM_THREADS=1 $(BIN)/python tests/fuzz.py

# What tests of the page for browsers and of Node need: pinned packages, some of which bundles carry.
npm: $(VENV)/installed
	$(BIN)/python -c "from edge_fgir.exporting import read_target; [one.read() for one in read_target('web').page.packages]"
	cd examples/node && npm install --ignore-scripts --no-audit --no-fund --no-package-lock --loglevel=error

check: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The pages as a site, in site/; what is drawn from code and results is drawn before: tools/reference.py, benchmarks/page.py.
.PHONY: docs
docs: $(VENV)/docs
	$(BIN)/python -m mkdocs build --quiet --strict
	@echo "Open site/index.html."

clean:
	rm -rf $(DEMO) build dist site

$(VENV)/installed: pyproject.toml constraints.txt
	@echo "Installing into $(VENV): about 8 GB, two to six minutes on a fast line."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[all]'
	touch $@

# What the demo needs is less than the tests do.
$(VENV)/demo: pyproject.toml constraints.txt
	@echo "Installing what the demo needs into $(VENV): about 6 GB with torch for CUDA, two minutes on a fast line."
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[demo]'
	touch $@

# The pages need neither torch nor this package.
$(VENV)/docs: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet 'mkdocs>=1.6,<2'
	touch $@

# From photographs to the best bundle within a budget; an interrupted fit goes on where it stopped.
$(BUNDLE)/manifest.json: | $(VENV)/demo
	$(CLI) fit $(DATA) --target openvino --latency-ms $(LATENCY) --minutes 8 --resume --out $(BUNDLE)

$(DEMO)/predictions.json: $(BUNDLE)/manifest.json
	$(CLI) data sample $(DATA) --split test --count 16 --out $(DEMO)/photos
	$(CLI) predict $(BUNDLE) $(DEMO)/photos --top 3 --out $@

$(DEMO)/report.html: $(DEMO)/predictions.json
	$(CLI) report $(BUNDLE:.fgir=.fit.json) $(DEMO)/predictions.json --out $@
