#!/usr/bin/env bash
# Checks deploy/terraform without an account and without a cluster.
#
#   ci/terraform.sh          every file parses, and names lead somewhere; seconds
#   ci/terraform.sh slow     also checkov, and every argument against the providers' schemas; minutes
#
# What cannot be had is said, and is no failure: Terraform itself (its registry is no package registry), python-hcl2
# and checkov from PyPI, the providers' schemas from npm. Nothing is installed outside the target directory.
set -euo pipefail
cd "$(dirname "$0")/.."
source ci/checkers.sh
code=$PWD/deploy/terraform

# A variable that names no file is a warning on every line.
if [ ! -e "${TF_CLI_CONFIG_FILE:-}" ]; then unset TF_CLI_CONFIG_FILE; fi
export CHECKPOINT_DISABLE=1 TF_IN_AUTOMATION=1
terraform=$(command -v terraform || command -v tofu || true)

formatted() {
  "$terraform" fmt -check -recursive -diff "$code"
  # Named otherwise, it is not looked at.
  "$terraform" fmt -check -diff - < "$code/envs/demo/terraform.tfvars.example"
  echo 'format: ok'
}

# The variables of the environment alone, which need no provider: types, defaults and conditions are tried for real.
planned() {
  "$terraform" -chdir="$scratch/variables" plan -input=false -no-color -compact-warnings \
    -var-file="$code/envs/demo/terraform.tfvars.example" "$@" 2>&1
}
refused() {
  local answer
  if answer=$(planned "$@"); then
    echo "variables: $* should be refused" >&2
    return 1
  fi
  if [[ $answer != *'Invalid value for variable'* ]]; then
    echo "$answer" >&2
    return 1
  fi
}
conditions() {
  mkdir "$scratch/variables"
  cp "$code/envs/demo/variables.tf" "$scratch/variables"
  "$terraform" -chdir="$scratch/variables" init -input=false -no-color >/dev/null
  local answer
  answer=$(planned) || { echo "$answer" >&2; return 1; }
  answer=$(planned -var chat_api_replicas=2 -var database_url_secret=database) || { echo "$answer" >&2; return 1; }
  refused -var chat_api_replicas=2
  refused -var log_retention_days=42
  refused -var aws_region=Virginia
  # The modules of a copy, so that nothing is written beside the code.
  cp -r "$code" "$scratch/copy"
  "$terraform" -chdir="$scratch/copy/envs/demo" get -no-color >/dev/null
  echo 'variables and modules: ok'
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

if environment "$target/python-terraform" 'python-hcl2>=8.1,<9'; then
  "$target/python-terraform/bin/python" ci/terraform/check.py
else
  echo 'python-hcl2 cannot be had here: names in deploy/terraform are not checked'
fi
if [ -n "$terraform" ]; then
  formatted
  conditions
else
  echo 'there is neither terraform nor tofu here: format and conditions of variables are not checked'
fi
if [ "$what" = quick ]; then exit 0; fi

if [ -z "$terraform" ]; then
  :
elif "$terraform" -chdir="$scratch/copy/envs/demo" init -backend=false -input=false -no-color >/dev/null 2>&1; then
  "$terraform" -chdir="$scratch/copy/envs/demo" validate -no-color
else
  echo 'the providers cannot be downloaded here: terraform validate is not run'
fi

schemas=$target/tools/terraform-schemas
bindings() {
  local name=$1 version=$2
  [ -d "$schemas/$name-$version/package" ] && return
  mkdir -p "$schemas/$name-$version"
  (cd "$scratch" && npm pack --silent "@cdktf/provider-$name@$version" >/dev/null) &&
    tar -xzf "$scratch/cdktf-provider-$name-$version.tgz" -C "$schemas/$name-$version" --wildcards '*.d.ts'
}
# The last ones that were made, of hashicorp/aws 6.25.0 and hashicorp/kubernetes 2.38.0.
if [ -x "$target/python-terraform/bin/python" ] && bindings aws 21.22.1 && bindings kubernetes 12.1.1; then
  "$target/python-terraform/bin/python" ci/terraform/schema.py \
    "aws=$schemas/aws-21.22.1/package/lib" "kubernetes=$schemas/kubernetes-12.1.1/package/lib"
else
  echo "the providers' schemas cannot be had here: arguments of resources are not checked"
fi

# Not in the same: checkov brings another hcl2 along.
if environment "$target/python-checkov" 'checkov>=3.3,<4'; then
  # Each exception stands where it is made, with its reason: grep -r checkov:skip deploy/terraform
  "$target/python-checkov/bin/checkov" --directory "$code" --framework terraform --compact --quiet --skip-download
  echo 'checkov: ok'
else
  echo 'checkov cannot be had here: deploy/terraform is not checked by it'
fi
