variable "repositories" {
  description = "Names of the repositories."
  type        = list(string)
  default     = ["carepath/chat-api"]
  nullable    = false
}

variable "keep_images" {
  description = "How many images a repository keeps. The oldest goes first, also one that runs: keep more than you roll back."
  type        = number
  default     = 20
  nullable    = false

  validation {
    condition     = var.keep_images >= 2
    error_message = "keep_images must be at least 2, or there is nothing to roll back to."
  }
}

variable "kms_key_arn" {
  description = "Key that encrypts the images."
  type        = string
  nullable    = false
}
