output "namespace" {
  description = "The namespace."
  value       = kubernetes_namespace_v1.this.metadata[0].name
}

output "service_url" {
  description = "Where pods that may ask reach the service."
  value       = "http://${kubernetes_service_v1.this.metadata[0].name}.${var.namespace}.svc.cluster.local:8002"
}
