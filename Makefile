# make run      the demo operator, live, at http://127.0.0.1:8080
# make test     installs what the tests need, then runs everything on both stores and the real element
# make check    formatting, vet, build: seconds
# make build    bin/tandem

LISTEN ?= 127.0.0.1:8080
DATA   ?= ./var/demo
# The protocols by which network elements reach charging; empty: none.
FACES  ?= app/demo/faces.json
# Stamp the commit into the binary where git can tell it.
VCS    := $(shell git rev-parse HEAD >/dev/null 2>&1 && echo auto || echo false)

.PHONY: run test check build fmt race setup clean

run: build
	./bin/tandem demo --data $(DATA) --listen $(LISTEN) $(if $(FACES),--faces $(FACES))

build:
	@command -v go >/dev/null || { echo "Go is missing: https://go.dev/dl (the version stands in go.mod)"; exit 1; }
	go build -buildvcs=$(VCS) -o bin/tandem ./cmd/tandem

setup:
	@scripts/setup

# The longest packages first, so that no processor waits for one of them in the end.
LONGEST := ./app/e2e ./bss/charging ./bss/billing ./bss/order ./bss/charging/core ./oss/fulfilment

test: setup check
	scripts/with-postgres -fast scripts/test -vet=off $(LONGEST) ./...

# PKG=./kit/work/... make race   The race detector needs a C compiler and patience.
race: setup
	scripts/with-postgres -fast env CGO_ENABLED=1 scripts/test -race $(or $(PKG),./...)

check:
	@unformatted=$$(gofmt -l app bss cmd edge fact kit oss scripts); \
	  if [ -n "$$unformatted" ]; then echo "make fmt would change:"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	go build ./...

fmt:
	gofmt -w app bss cmd edge fact kit oss scripts

clean:
	rm -rf bin var
