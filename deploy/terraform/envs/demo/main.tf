# Everything that chat-api needs on AWS, in two steps: without `chat_api_image` the cluster and the registry are made;
# when an image is pushed and its name set, the service comes, whose pods wait for the Secrets that they must have.

locals {
  # A block volume lies in one zone. As long as one holds the records, nodes are in that zone only.
  node_subnet_ids = var.database_url_secret == null ? slice(module.network.private_subnet_ids, 0, 1) : module.network.private_subnet_ids
}

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

# One key for secrets, images, models and logs.
data "aws_iam_policy_document" "key" {
  # In a key's own policy, * is that key, and the account's root stands for its IAM policies: without it nobody could
  # ever change the key.
  # checkov:skip=CKV_AWS_109:see above
  # checkov:skip=CKV_AWS_111:see above
  # checkov:skip=CKV_AWS_356:see above
  statement {
    sid       = "AccountByItsPolicies"
    actions   = ["kms:*"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["arn:${data.aws_partition.current.partition}:iam::${data.aws_caller_identity.current.account_id}:root"]
    }
  }

  statement {
    sid = "Logs"
    actions = [
      "kms:Decrypt",
      "kms:DescribeKey",
      "kms:Encrypt",
      "kms:GenerateDataKey*",
      "kms:ReEncrypt*",
    ]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = ["logs.${var.aws_region}.amazonaws.com"]
    }

    condition {
      test     = "ArnLike"
      variable = "kms:EncryptionContext:aws:logs:arn"
      values   = ["arn:${data.aws_partition.current.partition}:logs:${var.aws_region}:${data.aws_caller_identity.current.account_id}:log-group:*"]
    }
  }
}

resource "aws_kms_key" "this" {
  description             = "${var.name_prefix}: secrets, images, models and logs"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = data.aws_iam_policy_document.key.json
}

resource "aws_kms_alias" "this" {
  name          = "alias/${var.name_prefix}"
  target_key_id = aws_kms_key.this.key_id
}

module "network" {
  source = "../../modules/network"

  name               = var.name_prefix
  vpc_cidr           = var.vpc_cidr
  az_count           = var.az_count
  single_nat_gateway = var.single_nat_gateway
  log_retention_days = var.log_retention_days
  kms_key_arn        = aws_kms_key.this.arn
}

module "ecr" {
  source = "../../modules/ecr"

  kms_key_arn = aws_kms_key.this.arn
}

module "eks" {
  source = "../../modules/eks"

  cluster_name         = var.cluster_name
  cluster_version      = var.cluster_version
  subnet_ids           = module.network.private_subnet_ids
  api_allowed_cidrs    = var.api_allowed_cidrs
  admin_principal_arns = var.admin_principal_arns

  node_subnet_ids     = local.node_subnet_ids
  node_instance_types = var.node_instance_types
  node_capacity_type  = var.node_capacity_type
  node_min_size       = var.node_min_size
  node_max_size       = var.node_max_size
  node_desired_size   = var.node_desired_size
  node_disk_gib       = var.node_disk_gib

  log_retention_days = var.log_retention_days
  kms_key_arn        = aws_kms_key.this.arn
}

module "efs" {
  source = "../../modules/efs"

  name                     = "${var.name_prefix}-models"
  cluster_name             = module.eks.cluster_name
  vpc_id                   = module.network.vpc_id
  subnet_ids               = module.network.private_subnet_ids
  client_security_group_id = module.eks.cluster_security_group_id
  throughput_mode          = var.efs_throughput_mode
  kms_key_arn              = aws_kms_key.this.arn
}

module "gpu" {
  source = "../../modules/gpu"
  count  = var.gpu_enabled ? 1 : 0

  cluster_name   = module.eks.cluster_name
  node_role_arn  = module.eks.node_role_arn
  subnet_ids     = local.node_subnet_ids
  instance_types = var.gpu_instance_types
  capacity_type  = var.node_capacity_type
  desired_size   = max(1, var.chat_api_replicas)
  max_size       = max(2, var.chat_api_replicas)
}

module "app" {
  source = "../../modules/app"
  count  = var.chat_api_image == null ? 0 : 1

  namespace = var.app_namespace
  image     = var.chat_api_image
  replicas  = var.chat_api_replicas
  llm_mode  = var.llm_mode
  model     = var.model
  log_level = var.log_level
  extra_env = var.extra_env

  secret_env          = var.secret_env
  database_url_secret = var.database_url_secret

  efs_file_system_id       = module.efs.file_system_id
  model_cache_storage_size = var.model_cache_storage_size

  cpu_request    = var.chat_api_cpu_request
  memory_request = var.chat_api_memory_request
  memory_limit   = var.chat_api_memory_limit
  gpu_enabled    = var.gpu_enabled

  client_namespaces = var.client_namespaces
  egress_ports      = var.egress_ports

  # What is destroyed in the other order leaves volumes that nobody can delete.
  depends_on = [module.eks, module.efs, module.gpu]
}
