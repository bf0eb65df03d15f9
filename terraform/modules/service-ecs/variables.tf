variable "name" {
  description = "Name of the service and prefix of everything made for it."
  type        = string
  default     = "failoverd"

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$", var.name))
    error_message = "name is at most 32 lower case letters, digits and hyphens."
  }
}

variable "image" {
  description = "Image of failoverd for linux/amd64, from your own build; none is published."
  type        = string
  nullable    = false
}

variable "files_image" {
  description = "Image of the short first container that writes the configuration. Default: see modules/container."
  type        = string
  default     = null
}

variable "files" {
  description = "The controller's files by relative path, as modules/config gives them."
  type        = map(string)
}

variable "policy_json" {
  description = "What the controller may do: the policy of the task role."
  type        = string
}

variable "observe" {
  description = "Run with --observe: everything but writing."
  type        = bool
  default     = false
}

variable "secrets" {
  description = "Environment variable to the ARN of a Secrets Manager secret (or one of its JSON keys) or an SSM parameter."
  type        = map(string)
  default     = {}
}

variable "secrets_kms_key_arns" {
  description = "Keys of your own that the secrets are encrypted with."
  type        = list(string)
  default     = []
}

variable "environment" {
  description = "More environment variables of the controller, such as RUST_LOG. Never a secret."
  type        = map(string)
  default     = {}
}

variable "health_port" {
  description = "Port of the controller's HTTP API on loopback; ECS asks it and replaces a daemon that hangs. Null: it is not asked."
  type        = number
  default     = null
}

variable "schedule" {
  description = "EventBridge expression, such as rate(1 minute): passes of `failoverd once` instead of the daemon. Null: the daemon."
  type        = string
  default     = null

  validation {
    condition     = var.schedule == null || can(regex("^(rate|cron)\\(.+\\)$", var.schedule))
    error_message = "schedule is rate(...) or cron(...)."
  }
}

variable "deadline" {
  description = "Longest time of a scheduled pass."
  type        = string
  default     = "50s"
}

variable "subnet_ids" {
  description = "Subnets of the task, with a way out to Route 53, the targets, the witnesses and port 53 of the name servers."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) > 0
    error_message = "At least one subnet."
  }
}

variable "security_group_ids" {
  description = "Security groups of the task. It needs no way in."
  type        = list(string)
  default     = []
}

variable "assign_public_ip" {
  description = "Give the task a public address: needed in a subnet without NAT."
  type        = bool
  default     = false
}

variable "cluster" {
  description = "ECS cluster to run in. Null: one is made. An object, so that a plan knows that there is one before it knows its ARN."
  type        = object({ arn = string })
  default     = null
}

variable "cpu" {
  description = "CPU units of the task."
  type        = number
  default     = 256
}

variable "memory" {
  description = "Memory of the task, MiB."
  type        = number
  default     = 512
}

variable "state" {
  description = "EFS that keeps the state file: its ARN and that of an access point owned by the container's uid. Null: the task's own disk, gone with the task."
  type        = object({ file_system_arn = string, access_point_arn = string })
  default     = null
}

variable "log_retention_days" {
  description = "Days that log lines are kept."
  type        = number
  default     = 30
}

variable "alarm_actions" {
  description = "ARNs told when no sign of life came, and when it came again: an SNS topic."
  type        = list(string)
  default     = []
}

variable "alarm_after_minutes" {
  description = "Minutes without a sign of life before the alarm. Default: 5, or three passes of rate(...) and 2 minutes; needed with cron(...)."
  type        = number
  default     = null
}

variable "place" {
  description = "Partition, region and account of the service. Given and not looked up, so that a plan knows them even when it waits for something else."
  type        = object({ partition = string, region = string, account_id = string })
}

variable "wait_for" {
  description = "Anything that must exist before the controller starts and until it has ended: the records. Only waited for."
  type        = any
  default     = null
}

variable "tags" {
  description = "Tags of everything that takes tags."
  type        = map(string)
  default     = {}
}
