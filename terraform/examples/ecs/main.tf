# A daemon on Fargate for one service in two regions, with a Slack channel, three witnesses and an alarm by mail.

provider "aws" {
  region = var.region
}

variable "region" {
  description = "Region of the controller. Best one that none of the targets is in."
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

variable "subnet_ids" {
  description = "Subnets with a way out."
  type        = list(string)
}

variable "vpc_id" {
  description = "VPC of the subnets."
  type        = string
}

variable "slack_secret_arn" {
  description = "Secret that holds the URL of a Slack incoming webhook."
  type        = string
}

# Nothing comes in; out go 443 to AWS, the targets, the witnesses, and port 53 of the zone's name servers.
resource "aws_security_group" "controller" {
  name_prefix = "failoverd-"
  description = "failoverd: all out, nothing in"
  vpc_id      = var.vpc_id

  egress {
    description      = "AWS, targets, witnesses, name servers"
    from_port        = 0
    to_port          = 0
    protocol         = "-1"
    cidr_blocks      = ["0.0.0.0/0"]
    ipv6_cidr_blocks = ["::/0"]
  }
}

module "failoverd" {
  source = "../.."

  name               = "failoverd"
  image              = var.image
  subnet_ids         = var.subnet_ids
  security_group_ids = [aws_security_group.controller.id]
  secrets            = { SLACK_WEBHOOK_URL = var.slack_secret_arn }
  create_topic       = true
  alarm_emails       = ["oncall@example.com"]

  settings = {
    cluster = "prod"
    witness = [
      { name = "resolver-1", tcp = "192.0.2.51:443" },
      { name = "resolver-2", tcp = "198.51.100.51:443" },
      { name = "status", url = "https://status.example.org/" },
    ]
    notifier = [{ name = "ops", type = "slack", url = { env = "SLACK_WEBHOOK_URL" } }]
  }

  policies = {
    web = {
      zone    = "example.com"
      zone_id = var.zone_id
      records = ["www.example.com", "api.example.com"]
      ttl     = 30
      check   = { type = "https", path = "/healthz", expect = { status = ["200-299"] } }
      target = [
        { name = "us-east-1", addresses = ["192.0.2.10"], priority = 1 },
        { name = "eu-west-1", addresses = ["198.51.100.20"], priority = 2 },
      ]
      notify = { to = ["ops"] }
    }
  }

  tags = { service = "failoverd" }
}

output "policy_json" {
  description = "What the controller may do."
  value       = module.failoverd.policy_json
}

output "files" {
  description = "The controller's files, for a person's own machine."
  value       = module.failoverd.files
}
