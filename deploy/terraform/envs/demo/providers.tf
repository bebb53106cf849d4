provider "aws" {
  region = var.aws_region

  default_tags {
    tags = {
      Project     = "carepath"
      Environment = var.environment
      ManagedBy   = "terraform"
    }
  }
}

# A token for each run, of whoever runs it: none is stored.
provider "kubernetes" {
  host                   = module.eks.cluster_endpoint
  cluster_ca_certificate = base64decode(module.eks.cluster_ca_certificate)

  exec {
    api_version = "client.authentication.k8s.io/v1beta1"
    command     = "aws"
    args        = ["eks", "get-token", "--cluster-name", module.eks.cluster_name, "--region", var.aws_region]
  }
}
