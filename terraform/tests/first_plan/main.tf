# A first plan in which nothing exists yet: what the module is given is made in the same apply.

resource "aws_eip" "web" {}

resource "aws_lb" "web" {
  name = "web"
}

resource "aws_route53_zone" "this" {
  name = "example.com"
}

resource "aws_ecs_cluster" "this" {
  name = "services"
}

resource "aws_efs_file_system" "state" {}

resource "aws_efs_access_point" "state" {
  file_system_id = aws_efs_file_system.state.id
}

resource "aws_subnet" "this" {
  vpc_id     = "vpc-0123456789abcdef0"
  cidr_block = "10.0.0.0/24"
}

resource "aws_security_group" "this" {
  vpc_id = "vpc-0123456789abcdef0"
}

resource "aws_secretsmanager_secret" "slack" {
  name = "slack"
}

resource "aws_sns_topic" "pages" {
  name = "pages"
}

resource "aws_iam_role" "dns" {
  name               = "dns"
  assume_role_policy = jsonencode({ Version = "2012-10-17", Statement = [] })
}

resource "aws_iam_policy" "more" {
  name   = "more"
  policy = jsonencode({ Version = "2012-10-17", Statement = [] })
}

locals {
  policies = {
    web = {
      zone   = "example.com", zone_id = aws_route53_zone.this.zone_id, records = ["www.example.com"], check = { type = "tcp", port = 443 }
      target = [{ name = "a", addresses = [aws_eip.web.public_ip], priority = 1 }, { name = "b", addresses = ["198.51.100.20"], priority = 2 }]
    }
    host = {
      zone   = "example.com", zone_id = aws_route53_zone.this.zone_id, records = ["host.example.com"], check = { type = "tcp", port = 443 }
      target = [{ name = "a", host = aws_lb.web.dns_name }]
    }
    lb = {
      zone   = "example.com", zone_id = aws_route53_zone.this.zone_id, records = ["lb.example.com"], check = { type = "tcp", port = 443 }
      target = [{ name = "a", alias = { name = aws_lb.web.dns_name, zone_id = aws_lb.web.zone_id } }]
    }
  }
  settings = {
    route53  = { role_arn = aws_iam_role.dns.arn }
    notifier = [{ name = "ops", type = "slack", url = { env = "SLACK_WEBHOOK_URL" } }]
  }
}

module "task" {
  source = "../.."

  name               = "task"
  image              = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/failoverd:1"
  cluster            = { arn = aws_ecs_cluster.this.arn }
  state              = { file_system_arn = aws_efs_file_system.state.arn, access_point_arn = aws_efs_access_point.state.arn }
  subnet_ids         = [aws_subnet.this.id]
  security_group_ids = [aws_security_group.this.id]
  secrets            = { SLACK_WEBHOOK_URL = aws_secretsmanager_secret.slack.arn }
  alarm_actions      = [aws_sns_topic.pages.arn]
  settings           = local.settings
  policies           = local.policies
  address_types      = { web = ["A"] }
}

module "passes" {
  source = "../.."

  name               = "passes"
  image              = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/failoverd:1"
  schedule           = "rate(1 minute)"
  cluster            = { arn = aws_ecs_cluster.this.arn }
  subnet_ids         = [aws_subnet.this.id]
  security_group_ids = [aws_security_group.this.id]
  secrets            = { SLACK_WEBHOOK_URL = aws_secretsmanager_secret.slack.arn }
  create_records     = false
  settings           = local.settings
  policies           = local.policies
  address_types      = { web = ["A"] }
}

module "machine" {
  source = "../.."

  name                = "machine"
  service             = "ec2"
  ami_id              = "ami-0123456789abcdef0"
  binary              = { url = "https://releases.example.com/failoverd", sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" }
  subnet_ids          = [aws_subnet.this.id]
  security_group_ids  = [aws_security_group.this.id]
  secrets             = { SLACK_WEBHOOK_URL = aws_secretsmanager_secret.slack.arn }
  managed_policy_arns = [aws_iam_policy.more.arn]
  create_records      = false
  settings            = local.settings
  policies            = local.policies
  address_types       = { web = ["A"] }
}

output "records" {
  description = "Which records are made: known before what they say."
  value       = keys(module.task.record_fqdns)
}
