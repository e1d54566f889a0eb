# Developers' shortcuts; README.md names the two commands that users need.
PYTHON ?= .venv/bin/python
BUILD := build/native

.PHONY: native
native:  ## build the native libraries in place, beside src/nanobrag_torch/kernels
	cmake -S src/nanobrag_torch/kernels/csrc -B $(BUILD) -DCMAKE_BUILD_TYPE=Release >/dev/null
	cmake --build $(BUILD) -j2
	cmake --install $(BUILD) --prefix src >/dev/null
