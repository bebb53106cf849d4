variable "cluster_name" {
  description = "Name of the cluster."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$", var.cluster_name))
    error_message = "cluster_name has 1 to 100 letters, digits, - and _, and begins with a letter or digit."
  }
}

variable "cluster_version" {
  description = "Kubernetes version, for example 1.35."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^1\\.[0-9]{2}$", var.cluster_version))
    error_message = "cluster_version is like 1.35."
  }
}

variable "subnet_ids" {
  description = "Private subnets of the control plane's interfaces, in at least two zones."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "A control plane wants subnets in at least two zones."
  }
}

variable "node_subnet_ids" {
  description = "Private subnets of the nodes."
  type        = list(string)
  nullable    = false
}

variable "api_allowed_cidrs" {
  description = "Addresses that may reach the cluster's API from outside the VPC. Empty: none, and Terraform must run inside it."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for cidr in var.api_allowed_cidrs : can(cidrhost(cidr, 0)) && !endswith(cidr, "/0")])
    error_message = "api_allowed_cidrs must be ranges like 203.0.113.7/32, and not the whole internet."
  }
}

variable "admin_principal_arns" {
  description = "IAM roles or users, beside the one that makes the cluster, that may do everything in it."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "node_instance_types" {
  description = "Instance types of the nodes, x86-64."
  type        = list(string)
  nullable    = false
}

variable "node_capacity_type" {
  description = "ON_DEMAND or SPOT. A spot instance may go with two minutes' notice, less than a long answer takes."
  type        = string
  default     = "ON_DEMAND"
  nullable    = false

  validation {
    condition     = contains(["ON_DEMAND", "SPOT"], var.node_capacity_type)
    error_message = "node_capacity_type is ON_DEMAND or SPOT."
  }
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
  description = "Nodes now. Nothing scales them by itself."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = var.node_min_size <= var.node_desired_size && var.node_desired_size <= var.node_max_size
    error_message = "node_desired_size must lie between node_min_size and node_max_size."
  }
}

variable "node_disk_gib" {
  description = "Disk of a node in GiB: images, and what pods write outside their volumes."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = var.node_disk_gib >= 20
    error_message = "node_disk_gib must be at least 20."
  }
}

variable "log_retention_days" {
  description = "How long logs of the control plane are kept."
  type        = number
  default     = 365
  nullable    = false
}

variable "kms_key_arn" {
  description = "Key that encrypts the cluster's secrets and its logs."
  type        = string
  nullable    = false
}
