output "role_arn" {
  description = "Role of the machine."
  value       = aws_iam_role.machine.arn
}

output "autoscaling_group_name" {
  description = "The group of one."
  value       = aws_autoscaling_group.this.name
}

output "alarm_name" {
  description = "Alarm on a missing sign of life."
  value       = aws_cloudwatch_metric_alarm.silent.alarm_name
}
