output "node_group_name" {
  description = "The group of nodes."
  value       = aws_eks_node_group.this.node_group_name
}
