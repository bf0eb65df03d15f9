# A daemon under systemd on one small machine, for two names with load balancers behind them and a database.

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

variable "ami_id" {
  description = "Amazon Linux 2023 for x86_64. Pinned, because another one replaces the machine."
  type        = string
}

variable "binary" {
  description = "The binary that you built, in a bucket of yours, and its SHA-256."
  type        = object({ url = string, sha256 = string })
}

variable "subnet_ids" {
  description = "Subnets with a way out."
  type        = list(string)
}

variable "security_group_ids" {
  description = "Security groups of the machine."
  type        = list(string)
}

variable "slack_secret_arn" {
  description = "Secret that holds the URL of a Slack incoming webhook."
  type        = string
}

module "failoverd" {
  source = "../.."

  name               = "failoverd"
  service            = "ec2"
  ami_id             = var.ami_id
  binary             = var.binary
  subnet_ids         = var.subnet_ids
  security_group_ids = var.security_group_ids
  secrets            = { SLACK_WEBHOOK_URL = var.slack_secret_arn }
  create_topic       = true

  settings = {
    notifier = [{ name = "ops", type = "slack", url = { env = "SLACK_WEBHOOK_URL" } }]
  }

  policies = {
    web = {
      zone    = "example.com"
      zone_id = var.zone_id
      records = ["example.com", "www.example.com"]
      check   = { type = "https", path = "/healthz" }
      target = [
        { name = "us-east-1", alias = { name = "dualstack.web-1234567890.us-east-1.elb.amazonaws.com", zone_id = "Z35SXDOTRQ7X7K" }, priority = 1 },
        { name = "eu-west-1", alias = { name = "dualstack.web-0987654321.eu-west-1.elb.amazonaws.com", zone_id = "Z32O12XQLNTSW2" }, priority = 2 },
      ]
      notify = { to = ["ops"] }
    }
    db = {
      zone    = "example.com"
      zone_id = var.zone_id
      records = ["db.example.com"]
      ttl     = 60
      adopt   = "manual"
      check   = { type = "tcp", port = 5432, fall = 5, confirm = "20s" }
      target = [
        { name = "primary", region = "us-east-1", addresses = ["192.0.2.40"], priority = 1 },
        { name = "replica", region = "us-west-2", addresses = ["198.51.100.40"], priority = 2 },
      ]
      failover = { flap_budget = "2/h" }
      failback = { mode = "manual", soak = "30m" }
      notify   = { to = ["ops"] }
    }
  }
}
