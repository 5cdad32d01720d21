# `make demo` and `make test` do everything on a machine that has python3; both reuse what is there.
PYTHON ?= python3
VENV   ?= .venv
DEMO   ?= demo

BIN  := $(VENV)/bin
CLI  := $(BIN)/edge-fgir
R    := $(DEMO)/results
DATA := elpv

.PHONY: demo test unit check format clean
.DELETE_ON_ERROR:
.SUFFIXES:

demo: $(DEMO)/report.html
	@echo
	@echo "Open $(DEMO)/report.html. Classify pictures: $(CLI) predict $(DEMO)/openvino.fgir $(DEMO)/photos"
	@echo "Data: elpv-dataset (ZAE Bayern), CC BY-NC-SA 4.0, non-commercial use only."

# A process that runs out of tests takes some of another's: no file keeps one of them busy to the end.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal

# A native library that ends a test process fails the test that ran there, so what failed is asked once more, alone.
test: $(VENV)/installed check
	$(PYTEST) || OMP_NUM_THREADS=1 $(BIN)/python -m pytest --last-failed --last-failed-no-failures none

# Before every commit: what needs no runtime, no exporter and no training.
unit: $(VENV)/installed check
	$(PYTEST) -m "unit and not slow"

check: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(DEMO) build dist

$(VENV)/installed: pyproject.toml constraints.txt
	@echo "Installing into $(VENV): about 7 GB, two to four minutes on a fast line."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[all]'
	touch $@

# Two trainings; an interrupted one goes on where it stopped.
$(DEMO)/teacher/summary.json: | $(VENV)/installed
	$(CLI) train elpv-demo-teacher --data $(DATA) --out $(DEMO)/teacher --resume

$(DEMO)/student/summary.json: $(DEMO)/teacher/summary.json
	$(CLI) train elpv-demo-student --set teacher.run=$(DEMO)/teacher --data $(DATA) --out $(DEMO)/student --resume

# Three targets: exported as INT8 where it keeps the accuracy, verified, evaluated on the test split.
TARGETS := openvino arm jetson
BUNDLES := $(TARGETS:%=$(DEMO)/%.fgir/manifest.json)
$(BUNDLES): $(DEMO)/%.fgir/manifest.json: $(DEMO)/student/summary.json
	$(CLI) export $(DEMO)/student --target $* --data $(DATA) --out $(DEMO)/$*.fgir
	$(CLI) verify $(DEMO)/$*.fgir

$(R)/eval-torch.json: $(DEMO)/student/summary.json
	$(CLI) eval $(DEMO)/student --data $(DATA) --out $@

$(R)/eval-openvino.json $(R)/eval-arm.json: $(R)/eval-%.json: $(DEMO)/%.fgir/manifest.json
	$(CLI) eval $(DEMO)/$*.fgir --data $(DATA) --out $@

# No Jetson here: its graph is replayed in ONNX Runtime.
$(R)/eval-jetson.json: $(DEMO)/jetson.fgir/manifest.json
	$(CLI) eval $(DEMO)/jetson.fgir --device cpu --data $(DATA) --out $@

# The two that run here, each against torch in the same run.
$(R)/bench-openvino.json $(R)/bench-arm.json: $(R)/bench-%.json: $(DEMO)/%.fgir/manifest.json
	$(CLI) bench $(DEMO)/$*.fgir --against $(DEMO)/student --seconds 5 --out $@

$(R)/predictions.json: $(DEMO)/openvino.fgir/manifest.json
	$(CLI) data sample $(DATA) --split test --count 16 --out $(DEMO)/photos
	$(CLI) predict $(DEMO)/openvino.fgir $(DEMO)/photos --top 3 --out $@

RESULTS := $(DEMO)/teacher/summary.json $(DEMO)/student/summary.json $(R)/eval-torch.json \
           $(TARGETS:%=$(R)/eval-%.json) $(R)/bench-openvino.json $(R)/bench-arm.json $(R)/predictions.json

$(DEMO)/report.html: $(RESULTS)
	$(CLI) report $(RESULTS) --out $@
