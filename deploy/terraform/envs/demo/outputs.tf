output "vpc_id" {
  description = "VPC."
  value       = module.network.vpc_id
}

output "private_subnet_ids" {
  description = "Private subnets."
  value       = module.network.private_subnet_ids
}

output "public_subnet_ids" {
  description = "Public subnets."
  value       = module.network.public_subnet_ids
}

output "chat_api_repo_url" {
  description = "Where the image is pushed to: make docker-push-chat IMAGE=<this> TAG=<tag>."
  value       = module.ecr.repository_urls["carepath/chat-api"]
}

output "eks_cluster_name" {
  description = "EKS cluster."
  value       = module.eks.cluster_name
}

output "eks_cluster_endpoint" {
  description = "Address of its API."
  value       = module.eks.cluster_endpoint
}

output "efs_file_system_id" {
  description = "EFS file system of the model cache."
  value       = module.efs.file_system_id
}

output "gpu_node_group_name" {
  description = "Group of GPU nodes, where there is one."
  value       = one(module.gpu[*].node_group_name)
}

output "app_namespace" {
  description = "Kubernetes namespace, once the service is there."
  value       = one(module.app[*].namespace)
}

output "chat_api_service_url" {
  description = "Where pods that may ask reach the service. There is no way in from outside: put a gateway before it."
  value       = one(module.app[*].service_url)
}

output "kubectl_config_command" {
  description = "Command that tells kubectl of the cluster."
  value       = "aws eks update-kubeconfig --region ${var.aws_region} --name ${module.eks.cluster_name}"
}
