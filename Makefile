# What a person does with this repository. No logic lives here: scripts/ and the tests have it.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS  = -s -w -X main.version=$(VERSION)
FUZZTIME ?= 30s
RACE_PACKAGES ?= . ./wire/... ./geo/... ./bpf/... ./shield/... ./edge/... ./relay/... ./core/... ./phone/...

.PHONY: build run test check gen fuzz bench bench-sip bench-shield bench-relay geo-db web clean tools

build: ## bin/lindero, static
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/lindero .

run: build ## edge, relay and core in one process, with a demo company
	bin/lindero up

tools: ## the phones and load makers the tests use (apt)
	scripts/install-test-tools.sh

test: tools check build ## everything: the parts under the race detector, then the system from outside
	go test -race $(RACE_PACKAGES)
	go test -count=1 -p 1 -timeout 15m ./e2e/...

check: ## formatting, vet and the kernel's objects; the house rules are tests in e2e
	scripts/gofmt.sh
	go vet ./...
	scripts/bpf-gen-check.sh

gen: ## the BPF objects and their Go, anew from the sources
	go generate ./bpf/...

fuzz: ## every fuzz target for FUZZTIME
	scripts/fuzz.sh $(FUZZTIME)

bench: ## everything measured against its peer, side by side
	scripts/bench.sh

bench-sip: ## SIP against Kamailio
	scripts/bench.sh sip

bench-shield: ## the shield against nftables and ipset; needs root
	scripts/bench.sh shield

bench-relay: ## the relay against rtpengine, in the kernel and in user space; needs root
	scripts/bench.sh relay

geo-db: build ## data/countries.mmdb, a free country database for development, through npm
	scripts/geo-db.sh

web: ## core/web/dist, the page in the browser, from its sources (Node 20 or later; the result is committed)
	npm --prefix core/web ci
	npm --prefix core/web run build

clean: ## what was built and measured; never data/
	rm -rf bin bench
