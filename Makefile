.PHONY: help check test demo docs fuzz build
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2

help: ## this list
	@grep -E '^[a-z]+:.*##' Makefile | sed 's/:.*## /\t/'

check: ## all that needs only Go
	test -z "$$(gofmt -l .)"
	go vet ./...
	go run $(STATICCHECK) ./...
	go test -race ./...
	go generate ./... && git diff --exit-code

test: ## the tests
	go test ./...

demo: ## the sandbox
	go run ./cmd/deputy demo

docs: ## write the generated files anew
	go generate ./...

fuzz: ## each fuzz target for half a minute
	@for p in $$(go list ./...); do for f in $$(go test -list '^Fuzz' $$p | grep ^Fuzz); do \
		go test -run '^$$' -fuzz "^$$f$$" -fuzztime 30s $$p || exit 1; done; done

build: ## a stripped binary
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o deputy ./cmd/deputy
