# A group of nodes with NVIDIA GPUs. Bottlerocket's image for them brings the driver and the device plugin, so nothing
# is to be installed in the cluster. Only pods that tolerate the taint and ask for nvidia.com/gpu get there.

resource "aws_launch_template" "this" {
  name_prefix            = "${var.cluster_name}-gpu-"
  update_default_version = true

  metadata_options {
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  # The system's own disk is /dev/xvda, and has the size of its image. This one holds images and what pods write.
  block_device_mappings {
    device_name = "/dev/xvdb"

    ebs {
      volume_type           = "gp3"
      volume_size           = var.disk_gib
      encrypted             = true
      delete_on_termination = true
    }
  }

  tag_specifications {
    resource_type = "instance"

    tags = {
      Name = "${var.cluster_name}-gpu"
    }
  }
}

resource "aws_eks_node_group" "this" {
  cluster_name           = var.cluster_name
  node_group_name_prefix = "gpu-"
  node_role_arn          = var.node_role_arn
  subnet_ids             = var.subnet_ids
  ami_type               = "BOTTLEROCKET_x86_64_NVIDIA"
  capacity_type          = var.capacity_type
  instance_types         = var.instance_types

  scaling_config {
    min_size     = var.min_size
    max_size     = var.max_size
    desired_size = var.desired_size
  }

  launch_template {
    id      = aws_launch_template.this.id
    version = aws_launch_template.this.latest_version
  }

  taint {
    key    = "nvidia.com/gpu"
    value  = "true"
    effect = "NO_SCHEDULE"
  }

  update_config {
    max_unavailable = 1
  }

  lifecycle {
    create_before_destroy = true
  }
}
