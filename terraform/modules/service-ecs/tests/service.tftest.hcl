# What stands in the account afterwards, and who may do what. Planned with a mocked provider.

mock_provider "aws" {
  override_during = plan
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/mock", id = "mock-role" }
  }
  mock_resource "aws_ecs_cluster" {
    defaults = { arn = "arn:aws:ecs:eu-west-1:123456789012:cluster/own" }
  }
  mock_resource "aws_ecs_task_definition" {
    defaults = { arn = "arn:aws:ecs:eu-west-1:123456789012:task-definition/web:1" }
  }
  mock_resource "aws_cloudwatch_event_rule" {
    defaults = { arn = "arn:aws:events:eu-west-1:123456789012:rule/web-passes" }
  }
}

variables {
  name               = "web"
  place              = { partition = "aws", region = "eu-west-1", account_id = "123456789012" }
  image              = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/failoverd:1"
  files              = { "failoverd.toml" = "x\n" }
  policy_json        = "{\"Version\":\"2012-10-17\",\"Statement\":[]}"
  subnet_ids         = ["subnet-0123456789abcdef0"]
  security_group_ids = ["sg-0123456789abcdef0"]
  alarm_actions      = ["arn:aws:sns:eu-west-1:123456789012:pages"]
}

run "one_task_that_runs_always" {
  command = plan
  assert {
    condition     = aws_ecs_service.this[0].desired_count == 1 && aws_ecs_service.this[0].launch_type == "FARGATE" && aws_ecs_service.this[0].task_definition == "arn:aws:ecs:eu-west-1:123456789012:task-definition/web:1" && aws_ecs_service.this[0].cluster == "arn:aws:ecs:eu-west-1:123456789012:cluster/own"
    error_message = jsonencode(aws_ecs_service.this)
  }
  assert {
    condition     = aws_ecs_service.this[0].deployment_minimum_healthy_percent == 0 && aws_ecs_service.this[0].deployment_maximum_percent == 100
    error_message = "the old task ends before the new one starts"
  }
  assert {
    condition     = aws_ecs_service.this[0].deployment_circuit_breaker[0].enable && aws_ecs_service.this[0].deployment_circuit_breaker[0].rollback
    error_message = "a task that does not stay up is rolled back"
  }
  assert {
    condition     = tolist(aws_ecs_service.this[0].network_configuration[0].subnets) == tolist(["subnet-0123456789abcdef0"]) && tolist(aws_ecs_service.this[0].network_configuration[0].security_groups) == tolist(["sg-0123456789abcdef0"])
    error_message = jsonencode(aws_ecs_service.this[0].network_configuration)
  }
  assert {
    condition     = length(aws_cloudwatch_event_rule.passes) + length(aws_cloudwatch_event_target.pass) + length(aws_iam_role.events) == 0
    error_message = "no passes beside the daemon"
  }
}

run "a_task_for_each_pass" {
  command = plan
  variables { schedule = "rate(1 minute)" }
  assert {
    condition     = length(aws_ecs_service.this) == 0 && aws_cloudwatch_event_rule.passes[0].schedule_expression == "rate(1 minute)"
    error_message = "no daemon beside the passes"
  }
  assert {
    condition     = aws_cloudwatch_event_target.pass[0].rule == "web-passes" && aws_cloudwatch_event_target.pass[0].arn == "arn:aws:ecs:eu-west-1:123456789012:cluster/own" && aws_cloudwatch_event_target.pass[0].role_arn == "arn:aws:iam::123456789012:role/mock"
    error_message = jsonencode(aws_cloudwatch_event_target.pass)
  }
  assert {
    condition     = aws_cloudwatch_event_target.pass[0].ecs_target[0].task_definition_arn == "arn:aws:ecs:eu-west-1:123456789012:task-definition/web:1" && aws_cloudwatch_event_target.pass[0].ecs_target[0].task_count == 1 && aws_cloudwatch_event_target.pass[0].ecs_target[0].launch_type == "FARGATE"
    error_message = jsonencode(aws_cloudwatch_event_target.pass[0].ecs_target)
  }
  assert {
    condition     = aws_cloudwatch_event_target.pass[0].retry_policy[0].maximum_retry_attempts == 0
    error_message = "the next pass is better than a late one"
  }
  assert {
    condition = [for s in jsondecode(aws_iam_role.events[0].assume_role_policy).Statement : [s.Effect, s.Action, s.Principal.Service, s.Condition.StringEquals["aws:SourceAccount"], s.Condition.ArnEquals["aws:SourceArn"]]] == [
      ["Allow", "sts:AssumeRole", "events.amazonaws.com", "123456789012", "arn:aws:events:eu-west-1:123456789012:rule/web-passes"]
    ]
    error_message = aws_iam_role.events[0].assume_role_policy
  }
  assert {
    condition = [for s in jsondecode(aws_iam_role_policy.events[0].policy).Statement : [s.Action, try(s.Condition.ArnEquals["ecs:cluster"], s.Condition.StringEquals["iam:PassedToService"])]] == [
      ["ecs:RunTask", "arn:aws:ecs:eu-west-1:123456789012:cluster/own"], ["iam:PassRole", "ecs-tasks.amazonaws.com"]
    ] && jsondecode(aws_iam_role_policy.events[0].policy).Statement[0].Resource == "arn:aws:ecs:eu-west-1:123456789012:task-definition/web:*"
    error_message = aws_iam_role_policy.events[0].policy
  }
}

run "silence_is_an_alarm" {
  command = plan
  assert {
    condition     = aws_cloudwatch_metric_alarm.silent.treat_missing_data == "breaching" && aws_cloudwatch_metric_alarm.silent.comparison_operator == "LessThanThreshold" && aws_cloudwatch_metric_alarm.silent.threshold == 1 && aws_cloudwatch_metric_alarm.silent.evaluation_periods == 5 && aws_cloudwatch_metric_alarm.silent.period == 60 && aws_cloudwatch_metric_alarm.silent.statistic == "Sum"
    error_message = jsonencode(aws_cloudwatch_metric_alarm.silent)
  }
  assert {
    condition     = tolist(aws_cloudwatch_metric_alarm.silent.alarm_actions) == tolist(["arn:aws:sns:eu-west-1:123456789012:pages"]) && tolist(aws_cloudwatch_metric_alarm.silent.ok_actions) == tolist(["arn:aws:sns:eu-west-1:123456789012:pages"])
    error_message = jsonencode(aws_cloudwatch_metric_alarm.silent.alarm_actions)
  }
  assert {
    condition = (
      aws_cloudwatch_log_metric_filter.sign_of_life.log_group_name == aws_cloudwatch_log_group.this.name && aws_cloudwatch_log_metric_filter.sign_of_life.pattern == "{ $.message = \"alive\" }"
      && aws_cloudwatch_log_metric_filter.sign_of_life.metric_transformation[0].name == aws_cloudwatch_metric_alarm.silent.metric_name && aws_cloudwatch_log_metric_filter.sign_of_life.metric_transformation[0].namespace == aws_cloudwatch_metric_alarm.silent.namespace
    )
    error_message = "the alarm watches what the filter counts: ${jsonencode(aws_cloudwatch_log_metric_filter.sign_of_life)}"
  }
}

run "roles_are_for_tasks_of_this_account" {
  command = plan
  assert {
    condition = alltrue([for document in [aws_iam_role.task.assume_role_policy, aws_iam_role.execution.assume_role_policy] : [for s in jsondecode(document).Statement : [s.Effect, s.Action, s.Principal.Service, s.Condition.StringEquals["aws:SourceAccount"], s.Condition.ArnLike["aws:SourceArn"]]] == [
      ["Allow", "sts:AssumeRole", "ecs-tasks.amazonaws.com", "123456789012", "arn:aws:ecs:eu-west-1:123456789012:*"]
    ]])
    error_message = aws_iam_role.task.assume_role_policy
  }
  assert {
    condition     = aws_iam_role_policy.controller.policy == var.policy_json && aws_iam_role_policy.controller.role == aws_iam_role.task.id && aws_iam_role_policy.execution.role == aws_iam_role.execution.id
    error_message = "the controller has what was decided for it"
  }
  assert {
    condition     = length(aws_iam_role_policy.state) + length(aws_iam_role_policy.secrets_keys) == 0
    error_message = "no right without its reason"
  }
}

run "a_file_system_by_its_access_point_alone" {
  command = plan
  variables {
    state                = { file_system_arn = "arn:aws:elasticfilesystem:eu-west-1:123456789012:file-system/fs-0123456789abcdef0", access_point_arn = "arn:aws:elasticfilesystem:eu-west-1:123456789012:access-point/fsap-0123456789abcdef0" }
    secrets_kms_key_arns = ["arn:aws:kms:eu-west-1:123456789012:key/k"]
  }
  assert {
    condition     = jsondecode(aws_iam_role_policy.state[0].policy).Statement[0].Condition.StringEquals["elasticfilesystem:AccessPointArn"] == "arn:aws:elasticfilesystem:eu-west-1:123456789012:access-point/fsap-0123456789abcdef0"
    error_message = aws_iam_role_policy.state[0].policy
  }
  assert {
    condition     = jsondecode(aws_iam_role_policy.secrets_keys[0].policy).Statement[0].Resource == ["arn:aws:kms:eu-west-1:123456789012:key/k"]
    error_message = aws_iam_role_policy.secrets_keys[0].policy
  }
  assert {
    condition = [for v in aws_ecs_task_definition.this.volume : [for e in v.efs_volume_configuration : [e.file_system_id, e.transit_encryption, e.authorization_config[0].access_point_id, e.authorization_config[0].iam]] if v.name == "state"] == [
      [["fs-0123456789abcdef0", "ENABLED", "fsap-0123456789abcdef0", "ENABLED"]]
    ]
    error_message = jsonencode(aws_ecs_task_definition.this.volume)
  }
}

run "another_cluster" {
  command = plan
  variables { cluster = { arn = "arn:aws:ecs:eu-west-1:123456789012:cluster/other" } }
  assert {
    condition     = length(aws_ecs_cluster.this) == 0 && aws_ecs_service.this[0].cluster == "arn:aws:ecs:eu-west-1:123456789012:cluster/other"
    error_message = jsonencode(aws_ecs_service.this)
  }
}
