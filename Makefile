# What people type. "make" alone lists the targets.

ARGS   =
GOARCH = amd64
DLV    = github.com/go-delve/delve/cmd/dlv@v1.27.2

.PHONY: help run build test cover release debug clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## build and start the server; ARGS="-addr=:8000 -v=4" passes flags
	bin/httpserver $(ARGS)

build: ## build bin/httpserver for this machine
	go build -o bin/httpserver .

test: ## vet, then test with the race detector
	go vet ./...
	go test -race -shuffle=on -parallel=16 ./...

cover: ## test, then list the statements covered, function by function
	@rm -rf bin/cover && mkdir -p bin/cover
	go test -cover -parallel=16 . -args -test.gocoverdir=$(CURDIR)/bin/cover
	@go tool covdata textfmt -i=bin/cover -o=bin/cover.out
	@go tool cover -func=bin/cover.out

release: ## build bin/GOARCH/httpserver, static, for linux; GOARCH=arm64 for ARM
	@echo "building httpserver binary"
	CGO_ENABLED=0 GOOS=linux GOARCH=$(GOARCH) go build -trimpath -ldflags='-s -w' -o bin/$(GOARCH)/httpserver .

debug: ## start the server under Delve; ARGS passes flags
	go run $(DLV) debug --output=$(CURDIR)/bin/debug . -- $(ARGS)

clean: ## remove what the other targets built
	find bin -mindepth 1 ! -name .gitignore -delete
