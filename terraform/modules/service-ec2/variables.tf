variable "name" {
  description = "Name of the service and prefix of everything made for it."
  type        = string
  default     = "failoverd"

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$", var.name))
    error_message = "name is at most 32 lower case letters, digits and hyphens."
  }
}

variable "ami_id" {
  description = "Image of the machine: Amazon Linux 2023, or any with systemd 252 or newer, cloud-init, the AWS CLI, curl and python3. A new one replaces the machine."
  type        = string
  nullable    = false
}

variable "instance_type" {
  description = "Type of the machine, of the binary's architecture."
  type        = string
  default     = "t3.micro"
}

variable "binary" {
  description = "Where the failoverd binary is (https://... or s3://bucket/key) and its SHA-256, from your own build; none is published."
  type        = object({ url = string, sha256 = string })
  nullable    = false
}

variable "files" {
  description = "The controller's files by relative path, as modules/config gives them with secrets_directory = \"/run/credentials/failoverd.service\"."
  type        = map(string)
}

variable "policy_json" {
  description = "What the controller may do in Route 53."
  type        = string
}

variable "observe" {
  description = "Run with --observe: everything but writing."
  type        = bool
  default     = false
}

variable "secrets" {
  description = "Secret's name to the ARN of a Secrets Manager secret (or one of its JSON keys) or an SSM parameter."
  type        = map(string)
  default     = {}
}

variable "secrets_kms_key_arns" {
  description = "Keys of your own that the secrets are encrypted with, or the bucket of the binary."
  type        = list(string)
  default     = []
}

variable "subnet_ids" {
  description = "Subnets the machine may start in, with a way out to AWS, the targets, the witnesses and port 53 of the name servers."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) > 0
    error_message = "At least one subnet."
  }
}

variable "security_group_ids" {
  description = "Security groups of the machine. It needs no way in."
  type        = list(string)
}

variable "assign_public_ip" {
  description = "Give the machine a public address: needed in a subnet without NAT."
  type        = bool
  default     = false
}

variable "managed_policy_arns" {
  description = "More policies of the machine's role, such as AmazonSSMManagedInstanceCore for Session Manager (which also reads every SSM parameter)."
  type        = list(string)
  default     = []
}

variable "alarm_actions" {
  description = "ARNs told when no sign of life came, and when it came again: an SNS topic."
  type        = list(string)
  default     = []
}

variable "alarm_after_minutes" {
  description = "Minutes without a sign of life before the alarm."
  type        = number
  default     = 5

  validation {
    condition     = var.alarm_after_minutes >= 2 && var.alarm_after_minutes <= 1440
    error_message = "alarm_after_minutes is from 2 to 1440."
  }
}

variable "place" {
  description = "Partition, region of the service. Given and not looked up, so that a plan knows them even when it waits for something else."
  type        = object({ partition = string, region = string })
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
