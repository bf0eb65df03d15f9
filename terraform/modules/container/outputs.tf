output "definitions_json" {
  description = "container_definitions of the task."
  value       = jsonencode(local.containers)

  precondition {
    condition     = !(var.observe && var.schedule != null)
    error_message = "A scheduled pass cannot only observe: leave schedule out while observe is true."
  }
  precondition {
    condition     = length(jsonencode(local.containers)) <= 60000
    error_message = "The task definition would have ${length(jsonencode(local.containers))} characters; ECS takes 65536. Bake the policies into the image, or use modules/service-ec2."
  }
  precondition {
    condition     = alltrue([for name in local.file_names : can(regex("^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*\\.[A-Za-z0-9]+$", name))])
    error_message = "File names are plain relative paths such as policies/web.toml: ${join(", ", local.file_names)}."
  }
}

output "containers" {
  description = "The same as data."
  value       = local.containers
}

output "volumes" {
  description = "Names of the task's volumes."
  value       = ["config", "state"]
}

output "execution_policy_json" {
  description = "What the execution role needs: its log streams, its images, its secrets."
  value       = jsonencode({ Version = "2012-10-17", Statement = local.execution_statements })
}

output "sign_of_life" {
  description = "CloudWatch Logs pattern of the line that says the controller lives: each minute from the daemon; at the end of each pass that found the provider and could see."
  value       = var.schedule == null ? "{ $.message = \"alive\" }" : "{ ($.message = \"pass ended\") && ($.exit != 1) && ($.exit != 4) && ($.exit != 5) && ($.exit != 7) }"
}

output "silent_minutes" {
  description = "Minutes without a sign of life after which the alarm goes off."
  value       = local.silent_minutes

  precondition {
    condition     = local.silent_minutes != null
    error_message = "alarm_after_minutes is needed with ${coalesce(var.schedule, "this schedule")}: the longest gap between two passes, three times."
  }
  precondition {
    condition     = try(local.silent_minutes >= 2 && local.silent_minutes <= 1440, true)
    error_message = var.alarm_after_minutes == null ? "Three missed passes of ${coalesce(var.schedule, "this schedule")} are ${coalesce(local.silent_minutes, 0)} minutes, and an alarm looks back 1440 (a day) at most, so nobody would be told: pass more often, at the slowest rate(479 minutes)." : "alarm_after_minutes is from 2 to 1440 (a day, the longest an alarm looks back)."
  }
}
