# What runs in the cluster: chat-api with its configuration, its volumes and its service. The same as deploy/k8s, by
# another way; use one of the two.

locals {
  labels = { app = "chat-api" }

  # SQLite is one file that one process writes; PostgreSQL is shared by any number.
  is_shared = var.database_url_secret != null

  # Settings of chat-server that are no secrets. What is fixed here must agree with the rest of this file.
  config = merge(
    {
      LLM_MODE      = var.llm_mode
      MODEL         = var.model
      LOG_LEVEL     = var.log_level
      MAX_CONTEXT   = "4096"
      MAX_SEQUENCES = "8"
    },
    var.gpu_enabled ? { DEVICE = "cuda" } : {},
    var.extra_env,
    {
      CHAT_API_HOST    = "0.0.0.0"
      CHAT_API_PORT    = "8002"
      MODEL_CACHE_DIR  = "/app/models"
      DATA_DIR         = "/app/data"
      LOG_FORMAT       = "json"
      SHUTDOWN_TIMEOUT = "600"
    },
  )

  # Secrets stay in the cluster: Terraform knows their names, so they are not in its state.
  secret_env = merge(
    var.secret_env,
    local.is_shared ? { DATABASE_URL = { name = var.database_url_secret, key = "url", optional = false } } : {},
  )
}

resource "kubernetes_namespace_v1" "this" {
  metadata {
    name = var.namespace

    labels = {
      "pod-security.kubernetes.io/enforce" = "restricted"
    }
  }
}

resource "kubernetes_config_map_v1" "this" {
  metadata {
    name      = "chat-api"
    namespace = kubernetes_namespace_v1.this.metadata[0].name
    labels    = local.labels
  }

  data = local.config
}

resource "kubernetes_service_account_v1" "this" {
  metadata {
    name      = "chat-api"
    namespace = kubernetes_namespace_v1.this.metadata[0].name
    labels    = local.labels
  }

  # The service asks nothing of the cluster.
  automount_service_account_token = false
}

# An access point for each volume, whose files belong to the service's user whoever writes them. Mounts go over TLS,
# which is the driver's default.
resource "kubernetes_storage_class_v1" "efs" {
  metadata {
    name = "efs-sc"
  }

  storage_provisioner = "efs.csi.aws.com"
  reclaim_policy      = "Delete"
  volume_binding_mode = "Immediate"

  parameters = {
    provisioningMode = "efs-ap"
    fileSystemId     = var.efs_file_system_id
    directoryPerms   = "700"
    uid              = "10001"
    gid              = "10001"
  }
}

resource "kubernetes_persistent_volume_claim_v1" "model_cache" {
  metadata {
    name      = "model-cache"
    namespace = kubernetes_namespace_v1.this.metadata[0].name
    labels    = local.labels
  }

  wait_until_bound = false

  spec {
    access_modes       = ["ReadWriteMany"]
    storage_class_name = kubernetes_storage_class_v1.efs.metadata[0].name

    resources {
      requests = {
        # EFS grows by itself; a claim must name a size.
        storage = var.model_cache_storage_size
      }
    }
  }
}

# The SQLite file. Its write-ahead log needs a block volume, not NFS. The volume is retained: whatever is destroyed, the
# conversations stay in the account until somebody deletes them.
resource "kubernetes_storage_class_v1" "data" {
  count = local.is_shared ? 0 : 1

  metadata {
    name = "chat-api-data"
  }

  storage_provisioner = "ebs.csi.aws.com"
  reclaim_policy      = "Retain"
  # In the zone of the pod that uses it.
  volume_binding_mode    = "WaitForFirstConsumer"
  allow_volume_expansion = true

  parameters = {
    type      = "gp3"
    encrypted = "true"
  }
}

resource "kubernetes_persistent_volume_claim_v1" "data" {
  count = local.is_shared ? 0 : 1

  metadata {
    name      = "chat-api-data"
    namespace = kubernetes_namespace_v1.this.metadata[0].name
    labels    = local.labels
  }

  # It is bound when the pod is placed.
  wait_until_bound = false

  spec {
    access_modes       = ["ReadWriteOnce"]
    storage_class_name = kubernetes_storage_class_v1.data[0].metadata[0].name

    resources {
      requests = {
        storage = var.data_storage_size
      }
    }
  }
}

resource "kubernetes_deployment_v1" "this" {
  # checkov:skip=CKV_K8S_11:no limit of processor time on purpose, see resources
  # checkov:skip=CKV_K8S_12:the limit of memory is there, in a merge() that checkov does not compute
  # checkov:skip=CKV_K8S_14:the variable refuses latest and no tag
  # checkov:skip=CKV_K8S_15:tags are immutable, so a node that has the image has the right one
  # checkov:skip=CKV_K8S_35:chat-server takes its secrets from the environment, as every setting
  # checkov:skip=CKV_K8S_43:a digest is taken where it is given; tags are immutable in module ecr
  metadata {
    name      = "chat-api"
    namespace = kubernetes_namespace_v1.this.metadata[0].name
    labels    = local.labels
  }

  # A first start downloads the model, and Secrets are made by hand: `kubectl rollout status` waits for it.
  wait_for_rollout = false

  spec {
    replicas = var.replicas
    # A first start downloads the model; /ready answers 503 until it is loaded.
    progress_deadline_seconds = 3600
    revision_history_limit    = 10

    selector {
      match_labels = local.labels
    }

    strategy {
      # The block volume is mounted by one pod at a time.
      type = local.is_shared ? "RollingUpdate" : "Recreate"

      dynamic "rolling_update" {
        for_each = local.is_shared ? [1] : []

        content {
          max_surge       = "1"
          max_unavailable = "0"
        }
      }
    }

    template {
      metadata {
        labels = local.labels

        annotations = {
          # Pods read the ConfigMap when they start: another one makes new pods.
          "carepath/config" = sha256(jsonencode(local.config))
        }
      }

      spec {
        service_account_name            = kubernetes_service_account_v1.this.metadata[0].name
        automount_service_account_token = false
        enable_service_links            = false
        # SHUTDOWN_TIMEOUT, and some time to close the store.
        termination_grace_period_seconds = 630

        security_context {
          run_as_non_root        = true
          run_as_user            = "10001"
          run_as_group           = "10001"
          fs_group               = "10001"
          fs_group_change_policy = "OnRootMismatch"

          seccomp_profile {
            type = "RuntimeDefault"
          }
        }

        dynamic "toleration" {
          for_each = var.gpu_enabled ? [1] : []

          content {
            key      = "nvidia.com/gpu"
            operator = "Exists"
            effect   = "NoSchedule"
          }
        }

        topology_spread_constraint {
          max_skew           = 1
          topology_key       = "kubernetes.io/hostname"
          when_unsatisfiable = "ScheduleAnyway"

          label_selector {
            match_labels = local.labels
          }
        }

        container {
          name              = "chat-api"
          image             = var.image
          image_pull_policy = "IfNotPresent"

          port {
            name           = "http"
            container_port = 8002
          }

          # The operators' port, 8003, listens on loopback only: `kubectl exec … -- chat-server ctl` reaches it.

          env_from {
            config_map_ref {
              name = kubernetes_config_map_v1.this.metadata[0].name
            }
          }

          dynamic "env" {
            for_each = local.secret_env

            content {
              name = env.key

              value_from {
                secret_key_ref {
                  name     = env.value.name
                  key      = env.value.key
                  optional = env.value.optional
                }
              }
            }
          }

          readiness_probe {
            period_seconds    = 10
            timeout_seconds   = 5
            failure_threshold = 3

            http_get {
              path = "/ready"
              port = "http"
            }
          }

          # 200 also while a model is downloaded or loaded, so that no start needs a long grace.
          liveness_probe {
            period_seconds    = 10
            timeout_seconds   = 5
            failure_threshold = 6

            http_get {
              path = "/health"
              port = "http"
            }
          }

          # No preStop: the image has no program that sleeps, and this provider does not know the kubelet's own
          # `sleep` (its issue 2837). So in a rolling update a new connection can be refused for about a second, until
          # the service has forgotten the pod. deploy/k8s has it.

          resources {
            requests = {
              cpu    = var.cpu_request
              memory = var.memory_request
            }

            # No limit of processor time: THREADS counts it, and what nobody else uses makes answers faster.
            limits = merge(
              { memory = var.memory_limit },
              var.gpu_enabled ? { "nvidia.com/gpu" = "1" } : {},
            )
          }

          security_context {
            allow_privilege_escalation = false
            read_only_root_filesystem  = true
            privileged                 = false

            capabilities {
              drop = ["ALL"]
            }
          }

          volume_mount {
            name       = "models"
            mount_path = "/app/models"
          }

          volume_mount {
            name       = "data"
            mount_path = "/app/data"
          }

          volume_mount {
            name       = "tmp"
            mount_path = "/tmp"
          }
        }

        volume {
          name = "models"

          persistent_volume_claim {
            claim_name = kubernetes_persistent_volume_claim_v1.model_cache.metadata[0].name
          }
        }

        dynamic "volume" {
          for_each = kubernetes_persistent_volume_claim_v1.data

          content {
            name = "data"

            persistent_volume_claim {
              claim_name = volume.value.metadata[0].name
            }
          }
        }

        # With PostgreSQL nothing is written there.
        dynamic "volume" {
          for_each = local.is_shared ? [1] : []

          content {
            name = "data"

            empty_dir {
              size_limit = "64Mi"
            }
          }
        }

        volume {
          name = "tmp"

          empty_dir {
            size_limit = "64Mi"
          }
        }
      }
    }
  }
}

# Inside the cluster only: the service has no authentication and no TLS. Put a gateway that has them before it.
resource "kubernetes_service_v1" "this" {
  metadata {
    name      = "chat-api"
    namespace = kubernetes_namespace_v1.this.metadata[0].name
    labels    = local.labels
  }

  spec {
    type     = "ClusterIP"
    selector = local.labels

    port {
      name        = "http"
      port        = 8002
      target_port = "http"
      protocol    = "TCP"
    }
  }
}

# Who may ask, and whom the service may ask. It takes the VPC CNI's network policies, which module eks turns on; the
# kubelet's probes are always let through.
resource "kubernetes_network_policy_v1" "this" {
  metadata {
    name      = "chat-api"
    namespace = kubernetes_namespace_v1.this.metadata[0].name
    labels    = local.labels
  }

  spec {
    policy_types = ["Ingress", "Egress"]

    pod_selector {
      match_labels = local.labels
    }

    ingress {
      ports {
        port     = "8002"
        protocol = "TCP"
      }

      # Pods of its own namespace.
      from {
        pod_selector {}
      }

      dynamic "from" {
        for_each = toset(var.client_namespaces)

        content {
          namespace_selector {
            match_labels = {
              "kubernetes.io/metadata.name" = from.value
            }
          }
        }
      }
    }

    # Names.
    egress {
      ports {
        port     = "53"
        protocol = "UDP"
      }

      ports {
        port     = "53"
        protocol = "TCP"
      }

      to {
        namespace_selector {
          match_labels = {
            "kubernetes.io/metadata.name" = "kube-system"
          }
        }
      }
    }

    # The Hub, remote models, PostgreSQL; not the node's metadata.
    egress {
      dynamic "ports" {
        for_each = toset([for port in var.egress_ports : tostring(port)])

        content {
          port     = ports.value
          protocol = "TCP"
        }
      }

      to {
        ip_block {
          cidr   = "0.0.0.0/0"
          except = ["169.254.0.0/16"]
        }
      }
    }
  }
}

resource "kubernetes_pod_disruption_budget_v1" "this" {
  # With one replica it would keep a node from being drained.
  count = var.replicas > 1 ? 1 : 0

  metadata {
    name      = "chat-api"
    namespace = kubernetes_namespace_v1.this.metadata[0].name
    labels    = local.labels
  }

  spec {
    max_unavailable = "1"

    selector {
      match_labels = local.labels
    }
  }
}
