variable "cluster_name" {
  description = "Cluster of the nodes."
  type        = string
  nullable    = false
}

variable "node_role_arn" {
  description = "Role of the nodes."
  type        = string
  nullable    = false
}

variable "subnet_ids" {
  description = "Private subnets of the nodes."
  type        = list(string)
  nullable    = false
}

variable "instance_types" {
  description = "Instance types with NVIDIA GPUs of compute capability 8.0 or more."
  type        = list(string)
  default     = ["g6.xlarge"]
  nullable    = false

  # candle's kernels for bfloat16, in which DEVICE=cuda computes, are not built for older GPUs.
  validation {
    condition     = alltrue([for type in var.instance_types : !can(regex("^(g3|g3s|g4dn|g5g|p2|p3|p3dn)\\.", type))])
    error_message = "DEVICE=cuda needs compute capability 8.0 or more: g5, g6 or later, not g4dn (T4, 7.5)."
  }
}

variable "capacity_type" {
  description = "ON_DEMAND or SPOT."
  type        = string
  default     = "ON_DEMAND"
  nullable    = false

  validation {
    condition     = contains(["ON_DEMAND", "SPOT"], var.capacity_type)
    error_message = "capacity_type is ON_DEMAND or SPOT."
  }
}

variable "min_size" {
  description = "Fewest nodes."
  type        = number
  default     = 0
  nullable    = false
}

variable "max_size" {
  description = "Most nodes."
  type        = number
  default     = 2
  nullable    = false
}

variable "desired_size" {
  description = "Nodes now."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = var.min_size <= var.desired_size && var.desired_size <= var.max_size
    error_message = "desired_size must lie between min_size and max_size."
  }
}

variable "disk_gib" {
  description = "Disk for images and for what pods write, in GiB. The image with CUDA's libraries has several of them."
  type        = number
  default     = 60
  nullable    = false
}
