output "user_data" {
  description = "The script of the machine's first start."
  value       = local.user_data

  precondition {
    condition     = length(base64gzip(local.user_data)) <= 21000
    error_message = "The user data is too long for EC2 (16 KB compressed): fewer policies, or an image of your own."
  }
}

output "user_data_base64" {
  description = "The same, compressed, as EC2 takes it."
  value       = base64gzip(local.user_data)
}

output "files" {
  description = "Every file of the machine by its path."
  value       = local.all_files
}

output "instance_policy_json" {
  description = "What the machine needs beside the controller's own policy: its metric, its binary, its secrets."
  value       = jsonencode({ Version = "2012-10-17", Statement = local.statements })
}
