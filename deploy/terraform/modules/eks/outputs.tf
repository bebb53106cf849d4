output "cluster_name" {
  description = "The cluster's name, once it has nodes, on which an add-on can run."
  value       = aws_eks_cluster.this.name

  depends_on = [aws_eks_node_group.this]
}

output "cluster_endpoint" {
  description = "Address of its API."
  value       = aws_eks_cluster.this.endpoint
}

output "cluster_ca_certificate" {
  description = "Certificate of the authority that signs for its API, in base64."
  value       = aws_eks_cluster.this.certificate_authority[0].data
}

output "cluster_security_group_id" {
  description = "Security group of the control plane's interfaces and of every node."
  value       = aws_eks_cluster.this.vpc_config[0].cluster_security_group_id
}

output "node_role_arn" {
  description = "Role of the nodes, for further groups of them."
  value       = aws_iam_role.node.arn

  # A group that is made with it is made when its nodes can join.
  depends_on = [
    aws_eks_addon.vpc_cni,
    aws_iam_role_policy_attachment.node,
  ]
}
