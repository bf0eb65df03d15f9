variable "image" {
  description = "Image of failoverd, from your own build; none is published."
  type        = string
}

variable "files_image" {
  description = "Image of the short first container that writes the configuration; needs sh, mkdir, printf and chmod. Default: busybox from AWS's public registry; mirror and pin it by digest for production."
  type        = string
  default     = "public.ecr.aws/docker/library/busybox:1.37"
}

variable "observe" {
  description = "Run with --observe: everything but writing."
  type        = bool
  default     = false
}

variable "deadline" {
  description = "Longest time of a scheduled pass."
  type        = string
  default     = "50s"
}

variable "health_port" {
  description = "Port of the HTTP API on the container's loopback: ECS asks /healthz there and replaces a daemon that hangs. Null: it is not asked."
  type        = number
  default     = null
}

variable "files" {
  description = "The controller's files by relative path, as modules/config gives them."
  type        = map(string)
}

variable "user" {
  description = "uid:gid the controller runs as."
  type        = string
  default     = "65532:65532"

  validation {
    condition     = can(regex("^[1-9][0-9]*:[0-9]+$", var.user))
    error_message = "user is uid:gid by number, and not root."
  }
}

variable "shared_state" {
  description = "The state directory is a file system that outlives the task, with its owner set already."
  type        = bool
  default     = false
}

variable "secrets" {
  description = "Environment variable to the ARN of a Secrets Manager secret (or one of its JSON keys) or an SSM parameter."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name, arn in var.secrets : can(regex("^[A-Za-z_][A-Za-z0-9_]*$", name)) && can(regex("^arn:[^:]+:(secretsmanager:[^:]+:[0-9]+:secret:|ssm:[^:]+:[0-9]+:parameter/)", arn))])
    error_message = "secrets maps the name of an environment variable to an ARN of Secrets Manager (arn:aws:secretsmanager:...:secret:...) or SSM (arn:aws:ssm:...:parameter/...)."
  }
}

variable "environment" {
  description = "More environment variables of the controller, such as RUST_LOG. Never a secret."
  type        = map(string)
  default     = {}
}

variable "log_group" {
  description = "CloudWatch log group."
  type        = string
}

variable "region" {
  description = "Region of the log group."
  type        = string
}

variable "partition" {
  description = "Partition of the account: aws, aws-cn or aws-us-gov."
  type        = string
  default     = "aws"
}

variable "schedule" {
  description = "EventBridge expression when passes are scheduled; null for the daemon."
  type        = string
  default     = null
}

variable "alarm_after_minutes" {
  description = "Minutes without a sign of life after which the alarm goes off. Default: 5 for the daemon; three missed passes and 2 minutes for rate(...)."
  type        = number
  default     = null
}
