# Names are CarePath's where it has one.

variable "environment" {
  description = "Environment, for tags."
  type        = string
  default     = "demo"
  nullable    = false
}

variable "aws_region" {
  description = "AWS region."
  type        = string
  default     = "us-east-1"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.aws_region))
    error_message = "aws_region is like us-east-1."
  }
}

variable "name_prefix" {
  description = "Beginning of the names of what is made."
  type        = string
  default     = "carepath-demo"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,31}$", var.name_prefix))
    error_message = "name_prefix has 2 to 32 lower-case letters, digits and -, and begins with a letter."
  }
}

# Network

variable "vpc_cidr" {
  description = "Addresses of the VPC, from /16 to /20."
  type        = string
  default     = "10.0.0.0/16"
  nullable    = false
}

variable "az_count" {
  description = "Availability zones, 2 or 3."
  type        = number
  default     = 2
  nullable    = false
}

variable "single_nat_gateway" {
  description = "One NAT gateway for all zones: cheaper, and no way out when its zone fails."
  type        = bool
  default     = true
  nullable    = false
}

# Cluster

variable "cluster_name" {
  description = "Name of the EKS cluster."
  type        = string
  default     = "carepath-demo-cluster"
  nullable    = false
}

variable "cluster_version" {
  description = "Kubernetes version. One in EKS's standard support, which ends 14 months after its release there."
  type        = string
  default     = "1.35"
  nullable    = false
}

variable "api_allowed_cidrs" {
  description = "Addresses that may reach the cluster's API from outside the VPC, for example your own as 203.0.113.7/32. Empty: none, and Terraform and kubectl must run inside it."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "admin_principal_arns" {
  description = "IAM roles or users, beside the one that makes the cluster, that may do everything in it."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "node_instance_types" {
  description = "Instance types of the nodes, x86-64. The default has the 16 GiB that Qwen3-4B takes, and AVX-512 with VNNI."
  type        = list(string)
  default     = ["r7i.large"]
  nullable    = false

  validation {
    condition     = length(var.node_instance_types) > 0
    error_message = "node_instance_types names at least one type."
  }
}

variable "node_capacity_type" {
  description = "ON_DEMAND or SPOT."
  type        = string
  default     = "ON_DEMAND"
  nullable    = false
}

variable "node_min_size" {
  description = "Fewest nodes."
  type        = number
  default     = 1
  nullable    = false
}

variable "node_max_size" {
  description = "Most nodes."
  type        = number
  default     = 3
  nullable    = false
}

variable "node_desired_size" {
  description = "Nodes now."
  type        = number
  default     = 1
  nullable    = false
}

variable "node_disk_gib" {
  description = "Disk of a node in GiB. Models are not on it."
  type        = number
  default     = 30
  nullable    = false
}

variable "gpu_enabled" {
  description = "Whether there is a group of GPU nodes, and the service runs there. The image must be that of deploy/Dockerfile.cuda."
  type        = bool
  default     = false
  nullable    = false
}

variable "gpu_instance_types" {
  description = "Instance types of the GPU nodes: g5, g6 or later (compute capability 8.0 or more)."
  type        = list(string)
  default     = ["g6.xlarge"]
  nullable    = false
}

# Service

variable "app_namespace" {
  description = "Kubernetes namespace."
  type        = string
  default     = "carepath-demo"
  nullable    = false
}

variable "chat_api_image" {
  description = "Image of chat-api with a tag other than latest, or by digest. Null: everything but the service is made, so that there is a registry to push to."
  type        = string
  default     = null
}

variable "chat_api_replicas" {
  description = "Pods of chat-api. More than one need database_url_secret."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = var.chat_api_replicas <= 1 || var.database_url_secret != null
    error_message = "Without database_url_secret records are in SQLite, which one process uses: chat_api_replicas must be 1."
  }
}

variable "chat_api_cpu_request" {
  description = "Processor time that is kept for a pod. A node of two has about 1.5 left beside the system's own pods."
  type        = string
  default     = "1"
  nullable    = false
}

variable "chat_api_memory_request" {
  description = "Memory that is kept for a pod. 12Gi is for Qwen3-4B in bfloat16; a quantized one takes less (docs/models.md)."
  type        = string
  default     = "12Gi"
  nullable    = false
}

variable "chat_api_memory_limit" {
  description = "Most memory of a pod."
  type        = string
  default     = "16Gi"
  nullable    = false
}

variable "llm_mode" {
  description = "LLM_MODE: who answers: qwen, mock, triage-mini, openai, hf-qwen2.5, or an alias."
  type        = string
  default     = "qwen"
  nullable    = false
}

variable "model" {
  description = "MODEL: the checkpoint of the mode qwen; owner/name@<commit> pins its bytes."
  type        = string
  default     = "Qwen/Qwen3-4B-Thinking-2507"
  nullable    = false
}

variable "log_level" {
  description = "LOG_LEVEL."
  type        = string
  default     = "info"
  nullable    = false
}

variable "extra_env" {
  description = "Further settings of chat-server, as in .env.example, that are no secrets."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "secret_env" {
  description = "Secret settings of chat-server: for each the Kubernetes Secret and the key in it. The Secrets are made with kubectl."
  type = map(object({
    name     = string
    key      = string
    optional = optional(bool, false)
  }))
  default = {
    HUGGINGFACE_TOKEN = {
      name     = "huggingface-token"
      key      = "token"
      optional = true
    }
  }
  nullable = false
}

variable "database_url_secret" {
  description = "Kubernetes Secret whose key url has DATABASE_URL (PostgreSQL), for example database. Null: SQLite on a block volume."
  type        = string
  default     = null
}

variable "client_namespaces" {
  description = "Other namespaces whose pods may ask the service, for example that of a gateway or of Prometheus."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "egress_ports" {
  description = "TCP ports that the service may connect to: 443 for the Hub and remote models, 5432 for PostgreSQL."
  type        = list(number)
  default     = [443, 5432]
  nullable    = false
}

# Storage and logs

variable "model_cache_storage_size" {
  description = "Size of the model cache that is claimed; EFS grows beyond it and is paid by what is stored."
  type        = string
  default     = "20Gi"
  nullable    = false
}

variable "efs_throughput_mode" {
  description = "bursting, or elastic: faster, and paid by the gigabyte."
  type        = string
  default     = "bursting"
  nullable    = false
}

variable "log_retention_days" {
  description = "How long logs of the control plane and of the network are kept, as CloudWatch offers it."
  type        = number
  default     = 365
  nullable    = false

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days is one of CloudWatch's steps, for example 30, 365 or 2192 (six years)."
  }
}
