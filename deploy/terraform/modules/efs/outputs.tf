output "file_system_id" {
  description = "The file system, once it can be mounted and the driver is there."
  value       = aws_efs_file_system.this.id

  depends_on = [
    aws_eks_addon.driver,
    aws_efs_file_system_policy.this,
    aws_efs_mount_target.this,
  ]
}
