output "repository_urls" {
  description = "Addresses to push to, by name."
  value       = { for name, repository in aws_ecr_repository.this : name => repository.repository_url }
}
