variable "name" {
  description = "Name of the VPC, and the beginning of the names of what is in it."
  type        = string
  nullable    = false
}

variable "vpc_cidr" {
  description = "Addresses of the VPC, from /16 to /20."
  type        = string
  default     = "10.0.0.0/16"
  nullable    = false

  validation {
    condition     = can(cidrhost(var.vpc_cidr, 0)) && can(regex("/(1[6-9]|20)$", var.vpc_cidr))
    error_message = "vpc_cidr must be an IPv4 range from /16 to /20, for example 10.0.0.0/16."
  }
}

variable "az_count" {
  description = "Availability zones; a control plane wants at least two."
  type        = number
  default     = 2
  nullable    = false

  validation {
    condition     = contains([2, 3], var.az_count)
    error_message = "az_count must be 2 or 3."
  }
}

variable "single_nat_gateway" {
  description = "Whether one NAT gateway serves all zones: half or a third of the cost, and no way out when its zone fails."
  type        = bool
  default     = true
  nullable    = false
}

variable "log_retention_days" {
  description = "How long flow logs are kept."
  type        = number
  default     = 365
  nullable    = false
}

variable "kms_key_arn" {
  description = "Key that encrypts the logs."
  type        = string
  nullable    = false
}
