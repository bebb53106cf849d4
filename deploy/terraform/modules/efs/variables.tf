variable "name" {
  description = "Name of the file system."
  type        = string
  nullable    = false
}

variable "cluster_name" {
  description = "Cluster that gets the driver, whose controller runs on its nodes: they must be there."
  type        = string
  nullable    = false
}

variable "vpc_id" {
  description = "VPC of the mount targets."
  type        = string
  nullable    = false
}

variable "subnet_ids" {
  description = "Private subnets of the mount targets, one for each zone that has nodes."
  type        = list(string)
  nullable    = false
}

variable "client_security_group_id" {
  description = "Security group of the nodes, which may mount it."
  type        = string
  nullable    = false
}

variable "throughput_mode" {
  description = "bursting: 100 MiB/s for as long as the credits of a new file system last. elastic: more, and each gigabyte costs."
  type        = string
  default     = "bursting"
  nullable    = false

  validation {
    condition     = contains(["bursting", "elastic"], var.throughput_mode)
    error_message = "throughput_mode is bursting or elastic."
  }
}

variable "kms_key_arn" {
  description = "Key that encrypts the files."
  type        = string
  nullable    = false
}
