# The controller on Fargate: as one task that runs always, or as a task for each pass. What runs is decided
# in ../container, without a provider.

locals {
  account   = var.place.account_id
  partition = var.place.partition
  region    = var.place.region
  scheduled = var.schedule != null

  cluster_arn = var.cluster != null ? var.cluster.arn : aws_ecs_cluster.this[0].arn

  trust_tasks = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Condition = {
        StringEquals = { "aws:SourceAccount" = local.account }
        ArnLike      = { "aws:SourceArn" = "arn:${local.partition}:ecs:${local.region}:${local.account}:*" }
      }
    }]
  })
}

module "container" {
  source = "../container"

  image               = var.image
  files_image         = coalesce(var.files_image, "public.ecr.aws/docker/library/busybox:1.37")
  files               = var.files
  observe             = var.observe
  deadline            = var.deadline
  health_port         = var.health_port
  shared_state        = var.state != null
  secrets             = var.secrets
  environment         = var.environment
  log_group           = "/failoverd/${var.name}"
  region              = local.region
  partition           = local.partition
  schedule            = var.schedule
  alarm_after_minutes = var.alarm_after_minutes
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/failoverd/${var.name}"
  retention_in_days = var.log_retention_days
  tags              = var.tags
}

resource "aws_iam_role" "task" {
  name               = "${var.name}-task"
  assume_role_policy = local.trust_tasks
  tags               = var.tags
}

resource "aws_iam_role_policy" "controller" {
  name   = "controller"
  role   = aws_iam_role.task.id
  policy = var.policy_json
}

resource "aws_iam_role_policy" "state" {
  count = var.state == null ? 0 : 1

  name = "state"
  role = aws_iam_role.task.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "State"
      Effect    = "Allow"
      Action    = ["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"]
      Resource  = var.state.file_system_arn
      Condition = { StringEquals = { "elasticfilesystem:AccessPointArn" = var.state.access_point_arn } }
    }]
  })
}

# Pulls the image, reads the secrets and writes the log; the controller itself never has these rights.
resource "aws_iam_role" "execution" {
  name               = "${var.name}-execution"
  assume_role_policy = local.trust_tasks
  tags               = var.tags
}

resource "aws_iam_role_policy" "execution" {
  name   = "start"
  role   = aws_iam_role.execution.id
  policy = module.container.execution_policy_json
}

resource "aws_iam_role_policy" "secrets_keys" {
  count = length(var.secrets_kms_key_arns) == 0 ? 0 : 1

  name = "secrets-keys"
  role = aws_iam_role.execution.id
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Sid = "SecretsKeys", Effect = "Allow", Action = "kms:Decrypt", Resource = var.secrets_kms_key_arns }]
  })
}

resource "aws_ecs_cluster" "this" {
  count = var.cluster == null ? 1 : 0

  name = var.name
  tags = var.tags
}

resource "aws_ecs_task_definition" "this" {
  family                   = var.name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.cpu
  memory                   = var.memory
  task_role_arn            = aws_iam_role.task.arn
  execution_role_arn       = aws_iam_role.execution.arn
  container_definitions    = module.container.definitions_json
  tags                     = var.tags

  volume {
    name = "config"
  }

  volume {
    name = "state"

    dynamic "efs_volume_configuration" {
      for_each = var.state[*]
      content {
        file_system_id     = reverse(split("/", efs_volume_configuration.value.file_system_arn))[0]
        transit_encryption = "ENABLED"

        authorization_config {
          access_point_id = reverse(split("/", efs_volume_configuration.value.access_point_arn))[0]
          iam             = "ENABLED"
        }
      }
    }
  }

  # A task that starts before its rights exist fails.
  depends_on = [aws_iam_role_policy.controller, aws_iam_role_policy.execution, aws_iam_role_policy.state, aws_iam_role_policy.secrets_keys]
}

resource "aws_ecs_service" "this" {
  count = local.scheduled ? 0 : 1

  name            = var.name
  cluster         = local.cluster_arn
  task_definition = aws_ecs_task_definition.this.arn
  desired_count   = 1
  launch_type     = "FARGATE"
  tags            = var.tags

  # The old task ends before the new one starts: one writer of one state file. A task that does not stay up
  # (a configuration it refuses) is rolled back to the one before.
  deployment_minimum_healthy_percent = 0
  deployment_maximum_percent         = 100

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = var.subnet_ids
    security_groups  = var.security_group_ids
    assign_public_ip = var.assign_public_ip
  }

  depends_on = [var.wait_for]
}

resource "aws_cloudwatch_event_rule" "passes" {
  count = local.scheduled ? 1 : 0

  name                = "${var.name}-passes"
  description         = "failoverd once"
  schedule_expression = var.schedule
  tags                = var.tags
}

resource "aws_iam_role" "events" {
  count = local.scheduled ? 1 : 0

  name = "${var.name}-events"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "events.amazonaws.com" }
      Condition = {
        StringEquals = { "aws:SourceAccount" = local.account }
        ArnEquals    = { "aws:SourceArn" = aws_cloudwatch_event_rule.passes[0].arn }
      }
    }]
  })
  tags = var.tags
}

resource "aws_iam_role_policy" "events" {
  count = local.scheduled ? 1 : 0

  name = "start-a-pass"
  role = aws_iam_role.events[0].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "RunTask"
        Effect    = "Allow"
        Action    = "ecs:RunTask"
        Resource  = "arn:${local.partition}:ecs:${local.region}:${local.account}:task-definition/${var.name}:*"
        Condition = { ArnEquals = { "ecs:cluster" = local.cluster_arn } }
      },
      {
        Sid       = "PassRoles"
        Effect    = "Allow"
        Action    = "iam:PassRole"
        Resource  = [aws_iam_role.task.arn, aws_iam_role.execution.arn]
        Condition = { StringEquals = { "iam:PassedToService" = "ecs-tasks.amazonaws.com" } }
      },
    ]
  })
}

resource "aws_cloudwatch_event_target" "pass" {
  count = local.scheduled ? 1 : 0

  rule     = aws_cloudwatch_event_rule.passes[0].name
  arn      = local.cluster_arn
  role_arn = aws_iam_role.events[0].arn

  ecs_target {
    task_definition_arn = aws_ecs_task_definition.this.arn
    launch_type         = "FARGATE"
    task_count          = 1

    network_configuration {
      subnets          = var.subnet_ids
      security_groups  = var.security_group_ids
      assign_public_ip = var.assign_public_ip
    }
  }

  # The next pass is better than a late one.
  retry_policy {
    maximum_event_age_in_seconds = 60
    maximum_retry_attempts       = 0
  }

  depends_on = [var.wait_for]
}

resource "aws_cloudwatch_log_metric_filter" "sign_of_life" {
  name           = "${var.name}-sign-of-life"
  log_group_name = aws_cloudwatch_log_group.this.name
  pattern        = module.container.sign_of_life

  metric_transformation {
    name      = "SignOfLife"
    namespace = "failoverd/${var.name}"
    value     = "1"
  }
}

resource "aws_cloudwatch_metric_alarm" "silent" {
  alarm_name          = "${var.name}-silent"
  alarm_description   = "failoverd ${var.name} has given no sign of life for ${module.container.silent_minutes} minutes: nothing would fail over. Traffic stays where it is."
  namespace           = "failoverd/${var.name}"
  metric_name         = "SignOfLife"
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = module.container.silent_minutes
  threshold           = 1
  comparison_operator = "LessThanThreshold"
  treat_missing_data  = "breaching"
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
  tags                = var.tags
}
