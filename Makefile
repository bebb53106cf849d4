# The targets that CarePath's users know. Every variable below can be set in the environment or on
# the command line: `make run-chat LLM_MODE=qwen MODEL=Qwen/Qwen3-0.6B`.
#
# An empty LLM_MODE or MODEL leaves the choice to .env, else to the programs' default.

CARGO          ?= cargo
DOCKER         ?= docker
TERRAFORM      ?= terraform
CURL           ?= curl

LLM_MODE       ?=
MODEL          ?=
CHAT_ARGS      ?=
CHAT_API_PORT  ?= 8002
BASE_URL       ?= http://localhost:$(CHAT_API_PORT)
MRN            ?= P000123
QUERY          ?= What are my current medications?
IMAGE          ?= carepath/chat-api
TAG            ?= latest
TF_DIR         ?= deploy/terraform

.DEFAULT_GOAL := help
.PHONY: help install-chat install-chat-llm download-llm-model run-chat test-triage \
        docker-build-chat docker-push-chat tf-apply test ci

help: ## Print these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-20s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "Variables: LLM_MODE MODEL CHAT_ARGS CHAT_API_PORT BASE_URL MRN QUERY IMAGE TAG TF_DIR"

install-chat: ## Build chat-server (no model is needed: the default mode is mock)
	$(CARGO) build --release --locked --bin chat-server

install-chat-llm: ## Build chat-server and fetch-model
	$(CARGO) build --release --locked --bin chat-server --bin fetch-model

download-llm-model: ## Download MODEL into the model cache and print its path
	$(CARGO) run --release --locked --bin fetch-model -- $(MODEL)

run-chat: ## Start the service on CHAT_API_PORT
	$(CARGO) run --release --locked --bin chat-server -- \
	  $(if $(LLM_MODE),--llm-mode '$(LLM_MODE)') $(if $(MODEL),--model '$(MODEL)') $(CHAT_ARGS)

# MRN and QUERY stand inside JSON: neither may contain double quotes or backslashes.
test-triage: export MRN := $(MRN)
test-triage: export QUERY := $(QUERY)
test-triage: export LLM_MODE := $(LLM_MODE)
test-triage: ## Ask a running service QUERY about MRN (an empty LLM_MODE is the service's default)
	@printf '{"patient_mrn": "%s", "query": "%s", "llm_mode": "%s"}' "$$MRN" "$$QUERY" "$$LLM_MODE" | \
	  $(CURL) -sS --fail-with-body '$(BASE_URL)/triage' -H 'content-type: application/json' --data-binary @-
	@echo

docker-build-chat: ## Build the image IMAGE:TAG
	$(DOCKER) build -f deploy/Dockerfile -t '$(IMAGE):$(TAG)' .

docker-push-chat: ## Push the image IMAGE:TAG
	$(DOCKER) push '$(IMAGE):$(TAG)'

tf-apply: ## Run terraform in TF_DIR, where there is one
	@if [ ! -d '$(TF_DIR)' ]; then \
	  echo 'tf-apply: there is no Terraform code in this repository ($(TF_DIR) does not exist); see deploy/README.md' >&2; \
	  exit 1; \
	fi
	$(TERRAFORM) -chdir='$(TF_DIR)' init
	$(TERRAFORM) -chdir='$(TF_DIR)' apply

test: ## Run the tests
	$(CARGO) test --workspace --locked

ci: ## Run everything that must hold before a change lands
	bash .ci/run
