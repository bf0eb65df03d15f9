variable "name" {
  description = "Name of the service, prefix of everything made, and name of the controller within its cluster."
  type        = string
  default     = "failoverd"

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$", var.name))
    error_message = "name is at most 32 lower case letters, digits and hyphens."
  }
}

variable "policies" {
  description = "Policies by id, with the keys of a policy file; each has `zone` and `zone_id`. Files, records, fences and permissions all follow from this one variable."
  type        = any
}

variable "settings" {
  description = "Keys of failoverd.toml but for `instance`, `policies` and `state`: `cluster`, `route53`, `verify`, `guard`, `rehearsal`, `api`, `witness`, `notifier`."
  type        = any
  default     = {}
}

variable "secrets" {
  description = "What `{ env = \"NAME\" }` in settings means: NAME to the ARN of a Secrets Manager secret (`…:secret:NAME-XXXXXX`, one of its JSON keys `…:KEY::`) or an SSM parameter."
  type        = map(string)
  default     = {}
}

variable "secrets_kms_key_arns" {
  description = "Keys of your own that the secrets are encrypted with, with `ec2` also the bucket of the binary."
  type        = list(string)
  default     = []
}

variable "create_records" {
  description = "Make the managed records, once, with the best targets' answer, and a fence for each that nobody owns yet. false: both exist already, or the controller makes the fences."
  type        = bool
  default     = true
}

variable "retired" {
  description = "Zone id to the zone's name and the records managed there before, so that `failoverd release --orphan RECORD` may still mark their fences released."
  type        = map(object({ zone = string, records = list(string) }))
  default     = {}
}

variable "new_records_at" {
  description = "Policy id to the name of the target that records made from now on begin with. Default: the best by `priority`, then name, which may be down: Terraform cannot know."
  type        = map(string)
  default     = {}
}

variable "address_types" {
  description = "Policy id to the types of its records, `[\"A\"]`, `[\"AAAA\"]` or both. Needed where a target's addresses are known only after apply, such as `aws_eip.web.public_ip`; otherwise the addresses say it."
  type        = map(list(string))
  default     = {}
}

variable "alias_types" {
  description = "Record types made where the targets are aliases: `[\"A\"]`, or A and AAAA."
  type        = list(string)
  default     = ["A", "AAAA"]
}

variable "service" {
  description = "Where the controller runs: `ecs`, `ec2`, or `none` (records and permissions only)."
  type        = string
  default     = "ecs"

  validation {
    condition     = contains(["ecs", "ec2", "none"], var.service)
    error_message = "service is ecs, ec2 or none."
  }
}

variable "observe" {
  description = "Watch only: `failoverd run --observe` with permissions that cannot write. Start with it for a week."
  type        = bool
  default     = false
}

variable "schedule" {
  description = "With `ecs`: an EventBridge expression such as `rate(1 minute)` for passes of `failoverd once` instead of the daemon."
  type        = string
  default     = null
}

variable "deadline" {
  description = "Longest time of a scheduled pass."
  type        = string
  default     = "50s"
}

variable "image" {
  description = "With `ecs`: image of failoverd for linux/amd64, from your own build."
  type        = string
  default     = null
}

variable "files_image" {
  description = "With `ecs`: image of the short container that writes the configuration. Default: busybox 1.37 from AWS's public registry, by its tag; mirror it and give a digest for a zone that matters."
  type        = string
  default     = null
}

variable "cluster" {
  description = "With `ecs`: cluster to run in, which may be made in the same apply. Null: one of its own."
  type        = object({ arn = string })
  default     = null
}

variable "state" {
  description = "With `ecs`: EFS that keeps the state file. Null: the task's own disk."
  type        = object({ file_system_arn = string, access_point_arn = string })
  default     = null
}

variable "log_retention_days" {
  description = "With `ecs`: days that log lines are kept."
  type        = number
  default     = 30
}

variable "binary" {
  description = "With `ec2`: where the binary is (`https://…` or `s3://bucket/key`) and its SHA-256, from your own build."
  type        = object({ url = string, sha256 = string })
  default     = null
}

variable "ami_id" {
  description = "With `ec2`: image of the machine, Amazon Linux 2023 or alike."
  type        = string
  default     = null
}

variable "instance_type" {
  description = "With `ec2`: type of the machine."
  type        = string
  default     = "t3.micro"
}

variable "managed_policy_arns" {
  description = "With `ec2`: more policies of the machine's role."
  type        = list(string)
  default     = []
}

variable "environment" {
  description = "With `ecs`: more environment variables of the controller. Never a secret."
  type        = map(string)
  default     = {}
}

variable "subnet_ids" {
  description = "Subnets of the task or machine, with a way out to AWS, the targets, the witnesses and port 53 of the name servers."
  type        = list(string)
  default     = []
}

variable "security_group_ids" {
  description = "Security groups of the task or machine. It needs no way in."
  type        = list(string)
  default     = []
}

variable "assign_public_ip" {
  description = "Give the task or machine a public address: needed in a subnet without NAT."
  type        = bool
  default     = false
}

variable "alarm_after_minutes" {
  description = "Minutes without a sign of life before the alarm. Default: 5, or three passes of rate(…) and 2 minutes; needed with cron(…)."
  type        = number
  default     = null
}

variable "create_topic" {
  description = "Make an SNS topic for the alarm, also without `alarm_emails`."
  type        = bool
  default     = false
}

variable "alarm_emails" {
  description = "Addresses that are sent a request to confirm, then the alarm, through a topic that is made."
  type        = list(string)
  default     = []
}

variable "alarm_actions" {
  description = "More ARNs told by the alarm."
  type        = list(string)
  default     = []
}

variable "tags" {
  description = "Tags of everything that takes tags."
  type        = map(string)
  default     = {}
}
