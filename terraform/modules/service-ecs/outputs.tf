output "task_role_arn" {
  description = "Role the controller runs as."
  value       = aws_iam_role.task.arn
}

output "task_definition_arn" {
  description = "Task definition, with its revision."
  value       = aws_ecs_task_definition.this.arn
}

output "cluster_arn" {
  description = "Cluster the task runs in."
  value       = local.cluster_arn
}

output "log_group_name" {
  description = "Log group with the controller's lines."
  value       = aws_cloudwatch_log_group.this.name
}

output "alarm_name" {
  description = "Alarm on a missing sign of life."
  value       = aws_cloudwatch_metric_alarm.silent.alarm_name
}
