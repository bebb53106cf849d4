variable "namespace" {
  description = "Namespace, which is made."
  type        = string
  default     = "carepath-demo"
  nullable    = false
}

variable "image" {
  description = "Image of chat-api, with a tag that stays what it is, or by digest."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex(":[^/]+$", var.image)) && !endswith(var.image, ":latest")
    error_message = "image needs a tag other than latest, or a digest: a rollback must know what to go back to."
  }
}

variable "replicas" {
  description = "Pods. More than one need PostgreSQL."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = var.replicas == floor(var.replicas) && var.replicas >= 0
    error_message = "replicas is a whole number from 0."
  }

  validation {
    condition     = var.replicas <= 1 || var.database_url_secret != null
    error_message = "Without database_url_secret records are in SQLite, which one process uses: replicas must be 1."
  }
}

variable "llm_mode" {
  description = "LLM_MODE: who answers requests that name no mode."
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
  description = "LOG_LEVEL; Python's names are understood."
  type        = string
  default     = "info"
  nullable    = false
}

variable "extra_env" {
  description = "Further settings of chat-server, as in .env.example, that are no secrets."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for name, _ in var.extra_env : can(regex("^[A-Z][A-Z0-9_]*$", name))])
    error_message = "extra_env has names like MAX_NEW_TOKENS."
  }

  validation {
    condition = length(setintersection(keys(var.extra_env), [
      "CHAT_ADMIN_TOKEN", "DATABASE_URL", "HF_API_TOKEN", "HF_TOKEN", "HUGGINGFACE_TOKEN", "OPENAI_API_KEY",
    ])) == 0
    error_message = "Secrets do not go into extra_env, which is stored in the clear: put them into a Secret, and its name into secret_env."
  }

  validation {
    condition = length(setintersection(keys(var.extra_env), [
      "CHAT_API_HOST", "CHAT_API_PORT", "CHAT_ADMIN_HOST", "CHAT_ADMIN_PORT", "DATA_DIR", "LOG_FORMAT",
      "MODEL_CACHE_DIR", "SHUTDOWN_TIMEOUT",
    ])) == 0
    error_message = "Ports, folders, LOG_FORMAT and SHUTDOWN_TIMEOUT are fixed: probes, volumes and the grace period depend on them."
  }
}

variable "secret_env" {
  description = "Secret settings of chat-server: for each the Secret and the key in it. The Secrets are made with kubectl."
  type = map(object({
    name     = string
    key      = string
    optional = optional(bool, false)
  }))
  default = {
    # For gated models only, hence optional. CarePath's names.
    HUGGINGFACE_TOKEN = {
      name     = "huggingface-token"
      key      = "token"
      optional = true
    }
  }
  nullable = false
}

variable "database_url_secret" {
  description = "Secret whose key url has DATABASE_URL (PostgreSQL), for example database. Null: SQLite on a block volume."
  type        = string
  default     = null
}

variable "efs_file_system_id" {
  description = "EFS file system of the model cache."
  type        = string
  nullable    = false
}

variable "model_cache_storage_size" {
  description = "Size of the model cache that is claimed."
  type        = string
  default     = "20Gi"
  nullable    = false
}

variable "data_storage_size" {
  description = "Size of the volume of the SQLite file."
  type        = string
  default     = "5Gi"
  nullable    = false
}

variable "cpu_request" {
  description = "Processor time that is kept for a pod. A node of two has about 1.5 left beside the system's own pods."
  type        = string
  default     = "1"
  nullable    = false
}

variable "memory_request" {
  description = "Memory that is kept for a pod: model, KV cache and some more, as docs/models.md computes it."
  type        = string
  default     = "12Gi"
  nullable    = false
}

variable "memory_limit" {
  description = "Most memory of a pod. chat-server refuses a model that does not fit into it."
  type        = string
  default     = "16Gi"
  nullable    = false
}

variable "gpu_enabled" {
  description = "Whether a pod gets a GPU. The image must be that of deploy/Dockerfile.cuda."
  type        = bool
  default     = false
  nullable    = false
}

variable "client_namespaces" {
  description = "Other namespaces whose pods may ask the service, for example that of a gateway."
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
