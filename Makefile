# What people type. "make" alone lists the targets.

ARGS   =
GOARCH = amd64
IMAGE  = httpserver
DLV    = github.com/go-delve/delve/cmd/dlv@v1.27.2
H2SPEC = github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2

# The profile of leaked goroutines, free until it is asked for, is an experiment
# in Go 1.26. Go 1.27 always has it, and refuses the experiment's name.
export GOEXPERIMENT ?= $(shell GOEXPERIMENT=goroutineleakprofile go version >/dev/null 2>&1 && echo goroutineleakprofile)

# The race detector needs a C compiler, without which the go command turns cgo off.
RACE = $(if $(filter 1,$(shell go env CGO_ENABLED)),-race)

.PHONY: help run build test lint h2spec soak bench pgo cover profile release reproduce image debug clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## build and start the server; ARGS="-addr=:8000 -v=4" passes flags
	bin/httpserver $(ARGS)

build: ## build bin/httpserver for this machine
	go build -o bin/httpserver .

test: ## vet and test, with the race detector if there is a C compiler
	@echo "building the tests$(if $(RACE),, without the race detector (which needs a C compiler)), then testing for a minute"
	go test $(RACE) -vet=all -shuffle=on -parallel=16 ./test . ./internal/...  # the longest first

lint: ## gofmt, vet and staticcheck
	@unformatted=$$(gofmt -l .); [ -z "$$unformatted" ] || { echo "not gofmt'd:" $$unformatted; exit 1; }
	for os in linux darwin windows; do GOOS=$$os go vet ./... || exit 1; done
	go run $(STATICCHECK) ./...

h2spec: ## compare with net/http alone by h2spec's cases of HTTP/2
	go test ./internal/rawhead -run '^TestH2spec$$' -v -h2spec=$(H2SPEC)

soak: GOARCH = $(shell go env GOARCH)
soak: release ## test for half an hour with thousands of bad and idle clients
	go test ./test -run '^Test(Soak|Siege|Held|FarClients|LongRequests)$$' -v -soak -program=bin/$(GOARCH)/httpserver -timeout=40m

bench: GOARCH = $(shell go env GOARCH)
bench: release ## measure against a plain net/http server for minutes; with valgrind, instructions too
	go test ./test -run '^TestTable$$' -v -table -program=bin/$(GOARCH)/httpserver -timeout=30m
	go test -run '^$$' -bench . -benchmem ./...

pgo: build ## renew default.pgo, the profile that the compiler optimizes by, from a real load
	go test -run '^TestProfile$$' ./test -args -program=bin/httpserver -profile=default.pgo -seconds=20 -- -v=0

cover: ## test, then list the statements covered, function by function
	@rm -rf bin/cover && mkdir -p bin/cover
	go test -cover -coverpkg=./... -parallel=16 ./... -args -test.gocoverdir=$(CURDIR)/bin/cover
	@go tool covdata textfmt -i=bin/cover -o=bin/cover.all
	@grep -v /internal/wire/ bin/cover.all >bin/cover.out # which only tests import
	@go tool cover -func=bin/cover.out

profile: build ## take a CPU profile of the server under load, and print its top
	@go test -run '^TestProfile$$' ./test -args -program=bin/httpserver -profile=bin/cpu.pprof
	@go tool pprof -top -nodecount=20 bin/httpserver bin/cpu.pprof
	@echo "to see it in a browser: go tool pprof -http=localhost:8001 bin/httpserver bin/cpu.pprof"

release: ## build bin/GOARCH/httpserver, static, for linux; GOARCH=arm64 for ARM
	@echo "building httpserver binary"
	CGO_ENABLED=0 GOOS=linux GOARCH=$(GOARCH) go build -trimpath -ldflags='-s -w' -o bin/$(GOARCH)/httpserver .

reproduce: ## build the release in two folders and compare, and for ARM
	go test ./test -run '^TestRelease$$' -v -release

image: release ## build the image IMAGE with docker, podman or buildah; IMAGE=name:tag
	@for tool in docker podman buildah; do \
		command -v $$tool >/dev/null || continue; \
		if ! $$tool version >/dev/null; then \
			echo "make image: $$tool is installed, but its engine doesn't answer" >&2; \
		else \
			set -x; exec $$tool build -t $(IMAGE) -f deploy/Dockerfile --platform linux/$(GOARCH) --build-arg GOARCH=$(GOARCH) \
				--build-arg VERSION="$$(git describe --tags --always --dirty 2>/dev/null || echo devel)" \
				--build-arg REVISION="$$(git rev-parse HEAD 2>/dev/null || echo unknown)" bin; \
		fi; \
	done; echo "make image: needs docker (its engine running), podman or buildah" >&2; exit 1

debug: ## start the server under Delve; ARGS passes flags
	go run $(DLV) debug --output=$(CURDIR)/bin/debug . -- $(ARGS)

clean: ## remove what the other targets built
	find bin -mindepth 1 ! -name .gitignore -delete
