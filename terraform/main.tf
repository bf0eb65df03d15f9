# From one description of the policies: records, fences, permissions, and a controller that runs.

data "aws_partition" "current" {}
data "aws_region" "current" {}
data "aws_caller_identity" "current" {}

locals {
  # A daemon on ECS has no watchdog but its own answer: an API that only the task itself reaches.
  own_api = { api = { listen = "127.0.0.1:8653" } }
  # Requests are signed, and roles taken, in the partition of the service's own region.
  own_route53 = { region = data.aws_region.current.id }
  settings = merge(
    { for key, table in local.own_api : key => table if var.service == "ecs" && var.schedule == null },
    var.settings,
    { for key in ["route53"] : key => merge([local.own_route53, lookup(var.settings, "route53", {})]...) if var.service != "none" },
  )
}

module "config" {
  source = "./modules/config"

  policies          = var.policies
  settings          = local.settings
  instance          = var.name
  secret_names      = keys(var.secrets)
  secrets_directory = var.service == "ec2" ? "/run/credentials/failoverd.service" : null
  alias_types       = var.alias_types
  address_types     = var.address_types
  new_records_at    = var.new_records_at
  retired           = var.retired
}

module "policy" {
  source = "./modules/policy"

  zones      = module.config.zones
  delegation = module.config.asks_delegation
  attach     = "inline"
  beside     = 2048
  observe    = var.observe
  partition  = data.aws_partition.current.partition
}

module "records" {
  source = "./modules/records"

  records = [for r in module.config.records : r if var.create_records]
  fences  = [for f in module.config.fences : f if var.create_records]
}

locals {
  place = {
    partition  = data.aws_partition.current.partition
    region     = data.aws_region.current.id
    account_id = data.aws_caller_identity.current.account_id
  }

  # With a role of its own for Route 53, the service may only take it; that role gets policy_json.
  service_policy_json = module.config.assumes_role == null ? module.policy.policy_json : jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Sid = "TakeTheRole", Effect = "Allow", Action = "sts:AssumeRole", Resource = module.config.assumes_role }]
  })
  alarm_actions = concat(var.alarm_actions, aws_sns_topic.alarm[*].arn)
}

resource "aws_sns_topic" "alarm" {
  count = var.create_topic || length(var.alarm_emails) > 0 ? 1 : 0

  name = "${var.name}-alarm"
  tags = var.tags
}

resource "aws_sns_topic_subscription" "alarm" {
  for_each = toset(var.alarm_emails)

  topic_arn = aws_sns_topic.alarm[0].arn
  protocol  = "email"
  endpoint  = each.value
}

# Both services start after the records exist and end before they go: the controller never sees a fence vanish.
module "service_ecs" {
  source = "./modules/service-ecs"
  count  = var.service == "ecs" ? 1 : 0

  name                 = var.name
  place                = local.place
  image                = var.image
  files_image          = var.files_image
  files                = module.config.files
  policy_json          = local.service_policy_json
  secrets              = var.secrets
  secrets_kms_key_arns = var.secrets_kms_key_arns
  environment          = var.environment
  observe              = var.observe
  schedule             = var.schedule
  health_port          = module.config.health_port
  deadline             = var.deadline
  subnet_ids           = var.subnet_ids
  security_group_ids   = var.security_group_ids
  assign_public_ip     = var.assign_public_ip
  cluster              = var.cluster
  state                = var.state
  log_retention_days   = var.log_retention_days
  alarm_actions        = local.alarm_actions
  alarm_after_minutes  = var.alarm_after_minutes
  wait_for             = module.records
  tags                 = var.tags
}

module "service_ec2" {
  source = "./modules/service-ec2"
  count  = var.service == "ec2" ? 1 : 0

  name                 = var.name
  place                = local.place
  ami_id               = var.ami_id
  instance_type        = var.instance_type
  binary               = var.binary
  observe              = var.observe
  files                = module.config.files
  policy_json          = local.service_policy_json
  secrets              = var.secrets
  secrets_kms_key_arns = var.secrets_kms_key_arns
  subnet_ids           = var.subnet_ids
  security_group_ids   = var.security_group_ids
  assign_public_ip     = var.assign_public_ip
  managed_policy_arns  = var.managed_policy_arns
  alarm_actions        = local.alarm_actions
  alarm_after_minutes  = coalesce(var.alarm_after_minutes, 5)
  wait_for             = module.records
  tags                 = var.tags
}
