variable "name" {
  description = "Name of the service; the namespace of its metric is failoverd/NAME."
  type        = string
}

variable "binary" {
  description = "Where the failoverd binary for the machine's architecture is (https://... or s3://bucket/key) and its SHA-256."
  type        = object({ url = string, sha256 = string })

  validation {
    condition     = can(regex("^(https|s3)://[A-Za-z0-9._~:/?&=%+@-]+$", var.binary.url)) && can(regex("^[0-9a-f]{64}$", var.binary.sha256))
    error_message = "binary.url is https://... or s3://bucket/key, binary.sha256 is 64 lower case hex digits."
  }
}

variable "files" {
  description = "The controller's files by relative path, as modules/config gives them."
  type        = map(string)
}

variable "observe" {
  description = "Run with --observe: everything but writing."
  type        = bool
  default     = false
}

variable "secrets" {
  description = "Secret's name to the ARN of a Secrets Manager secret (or one of its JSON keys) or an SSM parameter. Each becomes a systemd credential of that name."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name, arn in var.secrets : can(regex("^[A-Za-z_][A-Za-z0-9_]*$", name)) && can(regex("^arn:[^:]+:(secretsmanager:[^:]+:[0-9]+:secret:|ssm:[^:]+:[0-9]+:parameter/)[A-Za-z0-9/_+=.@:-]+$", arn))])
    error_message = "secrets maps a name to an ARN of Secrets Manager (arn:aws:secretsmanager:...:secret:...) or SSM (arn:aws:ssm:...:parameter/...)."
  }
}

variable "region" {
  description = "Region of the machine."
  type        = string
}

variable "partition" {
  description = "Partition of the account."
  type        = string
  default     = "aws"
}
