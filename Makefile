# README.md names the two targets that do everything on a fresh machine: `make image` and `make test`.
PYTHON3 ?= python3
VENV ?= .venv
PYTHON ?= $(VENV)/bin/python
TORCH ?= torch==2.13.0
CPU_WHEELS ?= https://download.pytorch.org/whl/cpu
WORKERS ?= 2
NATIVE := src/nanobrag_torch/kernels/csrc
BUILD := build/native
INSTALLED := $(VENV)/.nanobrag_torch
LINTERS := $(VENV)/.nanobrag_torch_linters
SITE := $(VENV)/.nanobrag_torch_site
PROSE := $(wildcard *.md) docs specs src tests scripts examples reports golden_suite_generator packaging

.PHONY: image test setup lint docs native parity interop examples cuda robustness fuzz sanitize

image: $(INSTALLED)  ## render the main job on examples/ into out/: image.bin, image.img, image.png
	@mkdir -p out
	$(PYTHON) -m nanobrag_torch -mat examples/A.mat -hkl examples/P1.hkl -lambda 1.0 -N 15 \
	    -mosaic_spread 0.3 -mosaic_domains 5 -phi 0 -osc 1 -phisteps 10 \
	    -distance 200 -pixel 0.172 -detpixels 1024 -oversample 1 -fluence 1e26 \
	    -dump out/Fdump.bin -nopgm -nonoise -quiet \
	    -floatfile out/image.bin -intfile out/image.img -png out/image.png
	@ls -l out/image.bin out/image.img out/image.png

test: $(INSTALLED)  ## pass the tests (the full golden set too, where NANOBRAG_GOLDEN names it)
	OMP_NUM_THREADS=1 $(PYTHON) -m pytest -q -n $(WORKERS)

setup: $(INSTALLED)  ## the environment alone

# Python files are used where they stand; only a change of the native code or of the metadata installs again.
$(INSTALLED): pyproject.toml $(wildcard $(NATIVE)/*) | $(VENV)/bin/python
	@$(PYTHON) -c "import torch" 2>/dev/null || { echo "installing $(TORCH), CPU build"; \
	    $(PYTHON) -m pip install -q --retries 0 "$(TORCH)" --extra-index-url $(CPU_WHEELS) numpy; }
	$(PYTHON) -m pip install -q --editable '.[test]'
	@$(PYTHON) -c "from nanobrag_torch.native import why_missing as w; \
	    print('\n'.join(f'note: {w(n)}' for n in ('nanobrag_noise', 'nanobrag_kernels') if w(n)) or 'installed')"
	@touch $@

# A torch that the machine has already (a CUDA build, say) is used, not replaced.
$(VENV)/bin/python:
	@$(PYTHON3) -c "import sys; sys.exit(sys.version_info < (3, 11))" || \
	    { echo "nanobrag_torch needs Python 3.11 or later: make PYTHON3=/path/to/python" >&2; exit 1; }
	$(PYTHON3) -m venv $$($(PYTHON3) -c "import torch" 2>/dev/null && echo --system-site-packages) $(VENV)

$(LINTERS): pyproject.toml | $(INSTALLED)
	$(PYTHON) -m pip install -q 'ruff>=0.6' 'mypy>=1.11' 'codespell>=2.4'
	@touch $@

lint: $(LINTERS)  ## style, types and spelling
	$(PYTHON) -m ruff check src tests scripts
	$(PYTHON) -m ruff format --check src tests scripts
	$(PYTHON) -m mypy
	$(PYTHON) -m codespell_lib $(PROSE)

$(SITE): pyproject.toml | $(INSTALLED)
	$(PYTHON) -m pip install -q 'sphinx>=8' 'furo>=2024.8' 'myst-nb>=1.1' 'ipywidgets>=8'
	@touch $@

# Every example is executed; a warning is an error. The page that compares with C needs gcc or clang.
docs: $(SITE)  ## the documentation site in build/site, made without the network
	$(MAKE) -s -C golden_suite_generator
	OMP_NUM_THREADS=$(WORKERS) $(PYTHON) -m sphinx -W --keep-going -q -b html docs build/site
	@echo "open build/site/index.html"

parity: $(INSTALLED)  ## reports/parity.md: agreement with the golden set
	$(PYTHON) scripts/parity_table.py

interop: $(INSTALLED)  ## reports/interoperability.md: what fabio, nxmx, dxtbx and DIALS make of our files (needs DIALS)
	$(PYTHON) -m pip install -q nxmx nexusformat
	$(PYTHON) scripts/interoperability.py

robustness: $(INSTALLED)  ## reports/robustness.md: bad, fuzzed and sanitized inputs, kills, full disks; goes on where it was stopped
	nice -n 10 $(PYTHON) scripts/robustness.py

fuzz: $(INSTALLED)  ## an hour of new mutated inputs through every reader (guided by coverage where atheris is installed)
	nice -n 10 $(PYTHON) scripts/fuzz.py --seconds 3600

sanitize: $(INSTALLED)  ## the native kernels under address and undefined-behaviour sanitizers: golden cases, random scenes
	nice -n 10 $(PYTHON) scripts/sanitize.py --golden --scenes 2500

examples: $(INSTALLED)  ## make the data of examples/ again
	$(PYTHON) scripts/make_examples.py

native:  ## build the native libraries in place, beside src/nanobrag_torch/kernels
	cmake -S $(NATIVE) -B $(BUILD) -DCMAKE_BUILD_TYPE=Release >/dev/null
	cmake --build $(BUILD) -j2
	cmake --install $(BUILD) --prefix src >/dev/null
	@installed=$$($(PYTHON) -c "import sysconfig; print(sysconfig.get_path('platlib'))"); \
	    if [ -d "$$installed/nanobrag_torch/kernels" ]; then cmake --install $(BUILD) --prefix "$$installed" >/dev/null; fi

cuda: $(INSTALLED)  ## reports/cuda-<card>.md: the kernels on this machine's card, in at most eight minutes
	$(PYTHON) -m pip install -q cuda-core
	$(PYTHON) scripts/check_card.py
