# Everything here works in .venv, which is made from constraints.txt on first use.
PYTHON ?= python3
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK = 1
ifndef OMP_WAIT_POLICY  # waiting threads sleep early, as in `mllc`: see pyg_mllc/cli/threads.py
export GOMP_SPINCOUNT ?= 10000
endif
unexport PYTHONDONTWRITEBYTECODE  # else each process of the tests compiles all modules anew

.PHONY: demo about_demo test lint bench clean
.DEFAULT_GOAL := demo

demo: about_demo .venv/ready  ## train a baseline and MLLC on built-in data, write outputs/demo/report.html
	$(BIN)/mllc train experiment=demo output=outputs/demo overwrite=true

about_demo:
	@echo "== demo: labeled-only baseline, then MLLC, on the built-in textures; .venv is made first if need be"

test: .venv/ready  ## run the whole test suite
	@echo "== test: the whole suite, doctests included"
	$(BIN)/python -m pytest -q

lint: .venv/ready  ## ruff and mypy
	@echo "== lint: ruff, then mypy"
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

BENCHMARKS := graphs stages sums corrector threads frozen
ifdef MLLC_DATA  # these measure on CamVid
BENCHMARKS += search anchors whole_image steps loading
endif

bench: .venv/ready  ## time and memory of the graphs, a quarter of an hour on an otherwise idle machine
	@for name in $(BENCHMARKS); do \
		echo "== bench: $$name" && $(BIN)/python -m experiments.benchmarks.$$name || exit 1; \
	done

# Made anew when what it is made from changes; else nothing is installed.
.venv/ready: pyproject.toml constraints.txt
	@echo "== install: .venv with the versions of constraints.txt"
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install -qq --constraint constraints.txt --editable '.[weights,dev]'
	@touch $@

clean:  ## remove .venv and outputs
	rm -rf .venv outputs
