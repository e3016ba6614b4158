# Everything a person or CI starts. `make demo` and `make test` need Python 3.11, make and a package index.
PYTHON ?= python3
VENV ?= .venv
EXTRAS ?= cpu,diffusers,dev
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test soak check install gpu clean

demo: $(READY)
	$(BIN)/python examples/demo/gallery.py examples/demo/gallery
	$(BIN)/idleak audit examples/demo/audit.yaml
	$(BIN)/idleak report --with-faces runs/demo

test: check
	$(BIN)/python -m pytest -n 2 --dist worksteal

# What is too slow for every change.
soak: $(READY)
	$(BIN)/python -m pytest -m slow

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

install: $(READY)

# insightface asks for opencv-python, which wants a desktop's libGL; the headless build is the same without it.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "idleak needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(EXTRAS)]'
	$(BIN)/python -m pip uninstall --quiet --yes opencv-python opencv-python-headless
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -c constraints.txt opencv-python-headless
	touch $@

# The CPU and GPU builds of onnxruntime and faiss overwrite each other's files, so the CPU's go first.
gpu: $(READY)
	$(BIN)/python -m pip uninstall --quiet --yes onnxruntime faiss-cpu
	$(BIN)/python -m pip install --disable-pip-version-check 'onnxruntime-gpu[cuda,cudnn]==1.31.*' 'faiss-gpu==1.15.1'

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
