variable "policies" {
  description = "Policies by id, with the keys of a policy file (see policies/policy.schema.json). Each needs zone_id beside zone."
  type        = any

  validation {
    condition     = can(keys(var.policies)) && length(try(keys(var.policies), [])) > 0
    error_message = "policies is an object with at least one policy: { web = { zone = ..., zone_id = ..., records = [...], check = {...}, target = [...] } }."
  }
  validation {
    condition     = alltrue([for id in try(keys(var.policies), []) : can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", id))])
    error_message = "A policy's key is its id: lower case letters, digits and hyphens, such as web or db-primary."
  }
  validation {
    condition = alltrue([for p in try(values(var.policies), []) : (
      can(regex("^[A-Z0-9]{1,32}$", p.zone_id)) && can(regex("^[A-Za-z0-9_-]+(\\.[A-Za-z0-9_-]+)*\\.?$", p.zone)) && try(length(p.records) > 0, false) && can(keys(p.check)) && try(length(p.target) > 0, false)
    )])
    error_message = "Each policy needs zone (example.com), zone_id (a bare hosted zone id such as Z0123456789ABCDEFGHIJ), records, check and target."
  }
}

variable "settings" {
  description = "Keys of failoverd.toml but for instance, policies and state: cluster, route53, verify, guard, rehearsal, api, witness, notifier."
  type        = any
  default     = {}
}

variable "instance" {
  description = "Name of this controller within its cluster. Give each controller of one cluster its own."
  type        = string
  default     = "failoverd"

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", var.instance))
    error_message = "instance is one label: lower case letters, digits and hyphens, at most 63."
  }
}

variable "state_path" {
  description = "Absolute path of the state file."
  type        = string
  default     = "/var/lib/failoverd/failoverd.db"
}

variable "secret_names" {
  description = "Names that { env = \"NAME\" } in settings may use."
  type        = set(string)
  default     = []
}

variable "secrets_directory" {
  description = "When set, { env = \"NAME\" } becomes { file = \"DIRECTORY/NAME\" }: for a service that gets its secrets as files."
  type        = string
  default     = null
}

variable "alias_types" {
  description = "Record types made for a record whose targets are aliases; A alone, or A and AAAA. The controller may write both."
  type        = list(string)
  default     = ["A", "AAAA"]

  validation {
    condition     = length(var.alias_types) > 0 && length(setsubtract(var.alias_types, ["A", "AAAA"])) == 0
    error_message = "alias_types is [\"A\"] or [\"A\", \"AAAA\"]."
  }
}

variable "address_types" {
  description = "Policy id to the types its addresses are published as. Needed where the addresses are known only after apply, because records are told apart by type before; otherwise the addresses say it."
  type        = map(list(string))
  default     = {}

  validation {
    condition     = alltrue([for types in values(var.address_types) : length(types) > 0 && length(distinct(types)) == length(types) && length(setsubtract(types, ["A", "AAAA"])) == 0])
    error_message = "address_types maps a policy's id to [\"A\"], [\"AAAA\"] or both."
  }
}

variable "new_records_at" {
  description = "Policy id to the name of the target that its records are made with, instead of the best by priority and name."
  type        = map(string)
  default     = {}
}

variable "retired" {
  description = "Zone id to the zone's name and the records managed there before: their fences may still be released."
  type        = map(object({ zone = string, records = list(string) }))
  default     = {}
}
