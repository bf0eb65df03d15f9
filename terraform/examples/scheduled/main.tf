# A pass of `failoverd once` each minute, with its state on EFS so that history and the time a target has been
# healthy outlive the pass. Slower than the daemon (a task needs half a minute to start), and cheaper.

provider "aws" {
  region = var.region
}

variable "region" {
  description = "Region of the controller."
  type        = string
  default     = "eu-central-1"
}

variable "zone_id" {
  description = "Hosted zone of example.com."
  type        = string
}

variable "image" {
  description = "Image of failoverd that you built and pushed."
  type        = string
}

variable "vpc_id" {
  description = "VPC of the subnets."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets with a way out, each in another zone."
  type        = list(string)
}

variable "security_group_ids" {
  description = "Security groups of the task."
  type        = list(string)
}

resource "aws_efs_file_system" "state" {
  encrypted = true
  tags      = { Name = "failoverd-state" }
}

# The container's uid, on a directory of its own.
resource "aws_efs_access_point" "state" {
  file_system_id = aws_efs_file_system.state.id

  posix_user {
    uid = 65532
    gid = 65532
  }

  root_directory {
    path = "/failoverd"
    creation_info {
      owner_uid   = 65532
      owner_gid   = 65532
      permissions = "700"
    }
  }
}

resource "aws_security_group" "state" {
  name_prefix = "failoverd-state-"
  description = "NFS from the failoverd task alone"
  vpc_id      = var.vpc_id

  ingress {
    description     = "NFS"
    from_port       = 2049
    to_port         = 2049
    protocol        = "tcp"
    security_groups = var.security_group_ids
  }
}

resource "aws_efs_mount_target" "state" {
  count = length(var.subnet_ids)

  file_system_id  = aws_efs_file_system.state.id
  subnet_id       = var.subnet_ids[count.index]
  security_groups = [aws_security_group.state.id]
}

module "failoverd" {
  source = "../.."

  name               = "failoverd"
  image              = var.image
  schedule           = "rate(1 minute)"
  deadline           = "50s"
  subnet_ids         = var.subnet_ids
  security_group_ids = var.security_group_ids
  create_topic       = true

  # By way of the mount targets, so that no pass starts before it can mount.
  state = {
    file_system_arn  = aws_efs_mount_target.state[0].file_system_arn
    access_point_arn = aws_efs_access_point.state.arn
  }

  policies = {
    web = {
      zone    = "example.com"
      zone_id = var.zone_id
      records = ["www.example.com"]
      ttl     = 60
      check   = { type = "https", path = "/healthz" }
      target = [
        { name = "us-east-1", addresses = ["192.0.2.10"], priority = 1 },
        { name = "eu-west-1", addresses = ["198.51.100.20"], priority = 2 },
      ]
      # Soak counts over passes while none is missed for so long.
      failback = { mode = "auto", soak = "10m" }
    }
  }
}
