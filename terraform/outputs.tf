output "policy_json" {
  description = "What the controller may do in Route 53, and no more. With `settings.route53.role_arn` this belongs to that role."
  value       = module.policy.policy_json
}

output "files" {
  description = "The controller's files by path: the same configuration for a person's own machine."
  value       = module.config.files
}

output "record_fqdns" {
  description = "Full names of the managed records made here."
  value       = module.records.fqdns
}

output "fence_names" {
  description = "Names of the fences, by managed name, whoever makes them."
  value       = { for f in module.config.fences : f.key => f.name }
}

output "role_arn" {
  description = "Role the controller runs as; null without a service."
  value       = one(concat(module.service_ecs[*].task_role_arn, module.service_ec2[*].role_arn))
}

output "log_group_name" {
  description = "With `ecs`: log group with the controller's lines."
  value       = one(module.service_ecs[*].log_group_name)
}

output "alarm_name" {
  description = "Alarm on a missing sign of life; null without a service."
  value       = one(concat(module.service_ecs[*].alarm_name, module.service_ec2[*].alarm_name))
}

output "topic_arn" {
  description = "SNS topic of the alarm, when one was made."
  value       = one(aws_sns_topic.alarm[*].arn)
}
