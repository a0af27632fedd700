# Everything here runs as it stands on a fresh Debian 12 with Go, git, make and python3.

GO         ?= go
CACHE      ?= $(CURDIR)/.cache
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2

# setuptools and wheel make the wheels that ours are compared with, byte for byte.
SETUPTOOLS  = 66.1.1
WHEEL       = 0.38.4
VENV        = $(CACHE)/venv-$(SETUPTOOLS)-$(WHEEL)

# Tests sync small files all the time, which a folder in memory makes cheap.
TESTTMP     = $(shell test -w /dev/shm && echo /dev/shm || echo $${TMPDIR:-/tmp})

.PHONY: build test bench lint demo clean

build:
	CGO_ENABLED=0 $(GO) build -trimpath -o selvage ./cmd/selvage

# A test binary that re-executes itself would otherwise sleep a second at each exit under -race.
test: $(VENV)/ok
	TMPDIR=$(TESTTMP) GORACE=atexit_sleep_ms=0 SELVAGE_TEST_PYTHON=$(VENV)/bin/python $(GO) test -race -timeout 15m $(TESTFLAGS) ./...

$(VENV)/ok:
	rm -rf $(VENV)
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install -q --disable-pip-version-check setuptools==$(SETUPTOOLS) wheel==$(WHEEL)
	touch $@

bench: $(VENV)/ok
	TMPDIR=$(TESTTMP) $(GO) test -run '^$$' -bench . -benchtime 3x ./...

lint:
	@out=$$(gofmt -l cmd configs gitwatch artifacts fabric reconciler testdata); test -z "$$out" || { echo "not gofmt: $$out"; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...

demo:
	$(GO) run ./cmd/selvage demo

clean:
	rm -rf selvage $(CACHE)
