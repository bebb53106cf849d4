# The targets that CarePath's users know. Every variable below can be set in the environment or on
# the command line: `make run-chat LLM_MODE=qwen MODEL=Qwen/Qwen3-0.6B`.
#
# An empty LLM_MODE or MODEL leaves the choice to .env, else to the programs' default.

CARGO          ?= cargo
DOCKER         ?= docker
TERRAFORM      ?= terraform
CURL           ?= curl
KUBECTL        ?= kubectl
AWS            ?= aws

LLM_MODE       ?=
MODEL          ?=
CHAT_ARGS      ?=
CHAT_API_PORT  ?= 8002
BASE_URL       ?= http://localhost:$(CHAT_API_PORT)
MRN            ?= P000123
QUERY          ?= What are my current medications?
IMAGE          ?= carepath/chat-api
TAG            ?= latest
TF_DIR         ?= deploy/terraform/envs/demo
TF_ARGS        ?=
NAMESPACE      ?= carepath-demo
REPLICAS       ?=
OVERLAY        ?= demo

.DEFAULT_GOAL := help
.PHONY: help install-chat install-chat-llm download-llm-model run-chat test-triage \
        docker-build-chat docker-push-chat ecr-login tf-init tf-plan tf-apply tf-destroy \
        k8s-config k8s-apply k8s-status k8s-logs k8s-scale k8s-rollback k8s-restart k8s-history test ci

help: ## Print these targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-20s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "Variables: LLM_MODE MODEL CHAT_ARGS CHAT_API_PORT BASE_URL MRN QUERY IMAGE TAG TF_DIR TF_ARGS NAMESPACE REPLICAS OVERLAY"

install-chat: ## Build chat-server (a small model is part of it)
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

ecr-login: ## Let docker push to the registry that tf-apply made
	@url=$$($(TERRAFORM) -chdir='$(TF_DIR)' output -raw chat_api_repo_url) && registry=$${url%%/*} && \
	  region=$$(echo "$$registry" | cut -d. -f4) && \
	  $(AWS) ecr get-login-password --region "$$region" | $(DOCKER) login --username AWS --password-stdin "$$registry"

tf-init: ## Fetch Terraform's providers for TF_DIR
	$(TERRAFORM) -chdir='$(TF_DIR)' init

tf-plan: tf-init ## Show what tf-apply would change
	$(TERRAFORM) -chdir='$(TF_DIR)' plan $(TF_ARGS)

tf-apply: tf-init ## Make TF_DIR so, after asking
	$(TERRAFORM) -chdir='$(TF_DIR)' apply $(TF_ARGS)

tf-destroy: tf-init ## Destroy what tf-apply made, after asking; the volume with the records stays
	$(TERRAFORM) -chdir='$(TF_DIR)' destroy $(TF_ARGS)

k8s-config: ## Tell kubectl of the cluster that tf-apply made
	@command=$$($(TERRAFORM) -chdir='$(TF_DIR)' output -raw kubectl_config_command) && echo "$$command" && $$command

k8s-apply: ## Make the cluster as deploy/k8s/overlays/OVERLAY says (without Terraform)
	$(KUBECTL) apply -k 'deploy/k8s/overlays/$(OVERLAY)'

k8s-status: ## Show the deployment, its pods, volumes and last events, and who answers
	$(KUBECTL) -n '$(NAMESPACE)' get deployment,pods,service,pvc -l app=chat-api -o wide
	$(KUBECTL) -n '$(NAMESPACE)' get events --sort-by=.lastTimestamp | tail -n 10
	-$(KUBECTL) -n '$(NAMESPACE)' exec deploy/chat-api -- chat-server ctl list

k8s-logs: ## Follow the log of all pods
	$(KUBECTL) -n '$(NAMESPACE)' logs -l app=chat-api --all-containers --prefix --tail=100 --max-log-requests=10 -f

k8s-scale: ## Run REPLICAS pods; more than one need PostgreSQL
	@case '$(REPLICAS)' in ''|*[!0-9]*) echo 'k8s-scale: say how many, for example REPLICAS=2' >&2; exit 2;; esac
	$(KUBECTL) -n '$(NAMESPACE)' scale deployment/chat-api --replicas='$(REPLICAS)'

k8s-rollback: ## Go back to the deployment before this one, and wait for it
	$(KUBECTL) -n '$(NAMESPACE)' rollout undo deployment/chat-api
	$(KUBECTL) -n '$(NAMESPACE)' rollout status deployment/chat-api --timeout=60m

k8s-restart: ## Start the pods anew, for example after a Secret was changed
	$(KUBECTL) -n '$(NAMESPACE)' rollout restart deployment/chat-api
	$(KUBECTL) -n '$(NAMESPACE)' rollout status deployment/chat-api --timeout=60m

k8s-history: ## List the deployments that there were
	$(KUBECTL) -n '$(NAMESPACE)' rollout history deployment/chat-api

test: ## Run the tests
	$(CARGO) test --workspace --locked

ci: ## Run everything that must hold before a change lands
	bash .ci/run
