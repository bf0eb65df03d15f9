variable "zones" {
  description = <<-EOT
    The hosted zones and what the controller manages in each. Every record of one zone belongs here together:
    writes of one zone ride in one request.
      id       bare hosted zone id.
      name     the zone's own name.
      records  name: as in the controller's `records`. types: what its targets are published as: A, AAAA or both
               for addresses and aliases, CNAME for host names. write: as in the controller's `failover.write`.
      retired  records managed before, so that `release --orphan` may still mark their fences released.
      by_name  the controller's policies name this zone by `zone` only, without `zone_id`.
      private  a private zone has no delegation to ask for.
  EOT
  type = list(object({
    id   = string
    name = string
    records = optional(list(object({
      name  = string
      types = optional(list(string), ["A"])
      write = optional(string, "upsert")
    })), [])
    retired = optional(list(string), [])
    by_name = optional(bool, false)
    private = optional(bool, false)
  }))
  nullable = false

  validation {
    condition     = length(var.zones) > 0
    error_message = "zones is empty: name at least one zone, or leave this module out."
  }
  validation {
    condition     = alltrue([for z in var.zones : can(regex("^[A-Z0-9]{1,32}$", z.id))])
    error_message = "A zone's id is the bare hosted zone id, such as Z0123456789ABCDEFGHIJ: capitals and digits, without /hostedzone/."
  }
  validation {
    condition     = length(distinct([for z in var.zones : z.id])) == length(var.zones)
    error_message = "A zone stands twice in zones: put all its records into one entry, since they share requests."
  }
  validation {
    condition     = alltrue([for z in var.zones : can(regex("^([a-z0-9_-]{1,63}\\.)+[a-z0-9_-]{1,63}\\.?$", lower(z.name)))])
    error_message = "A zone's name is a plain DNS name such as example.com."
  }
  validation {
    condition = alltrue(flatten([for z in var.zones : [for n in concat(z.records[*].name, z.retired) :
      can(regex("^((\\*|\\\\052|[a-z0-9_-]{1,63})\\.)?([a-z0-9_-]{1,63}\\.)*[a-z0-9_-]{1,63}\\.?$", lower(n)))
    ]]))
    error_message = "A record's name has labels of a-z, 0-9, - and _, or * as its whole first label; the controller manages no other names."
  }
  validation {
    condition = alltrue(flatten([for z in var.zones : [for n in concat(z.records[*].name, z.retired) :
      endswith(".${trimsuffix(lower(n), ".")}", ".${trimsuffix(lower(z.name), ".")}")
    ]]))
    error_message = "A record is not in its zone: its name must be the zone's name, or end with it. Write the full name, www.example.com and not www."
  }
  validation {
    condition = alltrue(flatten([for z in var.zones : [for n in concat(z.records[*].name, z.retired) :
      !endswith(".${trimsuffix(lower(n), ".")}", "._failoverd.${trimsuffix(lower(z.name), ".")}")
    ]]))
    error_message = "Names below _failoverd are the fences; they follow from the records and are not listed."
  }
  validation {
    condition = alltrue(flatten([for z in var.zones : [for n in concat(z.records[*].name, z.retired) :
      # `_any` is two characters longer than `*`, `_apex.` stands where nothing stood.
      length(trimsuffix(lower(n), ".")) + length("._failoverd") + (startswith(n, "*") ? 3 : 0) + (length(trimsuffix(n, ".")) == length(trimsuffix(z.name, ".")) ? 6 : 0) <= 253
    ]]))
    error_message = "A record's name is too long: with _failoverd in it, its fence's name would have more than 253 characters."
  }
  validation {
    condition = alltrue([for z in var.zones :
      length(distinct([for n in concat(z.records[*].name, z.retired) : replace(trimsuffix(lower(n), "."), "\\052", "*")]))
      == length(z.records) + length(z.retired)
    ])
    error_message = "A record stands twice in a zone: one controller policy manages it, with all its types in one entry, and it is not retired as well."
  }
  validation {
    condition     = alltrue(flatten([for z in var.zones : [for r in z.records : length(r.types) > 0 && alltrue([for t in r.types : contains(["A", "AAAA", "CNAME"], t)])]]))
    error_message = "A record's types are A, AAAA or CNAME, in capitals, and at least one. TXT goes without saying: the fences are TXT."
  }
  validation {
    condition     = alltrue(flatten([for z in var.zones : [for r in z.records : !contains(r.types, "CNAME") || length(r.types) == 1]]))
    error_message = "A name that is a CNAME can be nothing else: write types = [\"CNAME\"] alone, or A and AAAA."
  }
  validation {
    condition     = alltrue(flatten([for z in var.zones : [for r in z.records : !contains(r.types, "CNAME") || trimsuffix(lower(r.name), ".") != trimsuffix(lower(z.name), ".")]]))
    error_message = "The zone's own name cannot be a CNAME; publish addresses or an alias there."
  }
  validation {
    condition     = alltrue(flatten([for z in var.zones : [for r in z.records : contains(["upsert", "swap"], r.write)]]))
    error_message = "A record's write is \"upsert\" or \"swap\", as in the controller's failover.write."
  }
}

variable "observe" {
  description = "Only read: for `run --observe`, `plan` and `doctor`."
  type        = bool
  default     = false
  nullable    = false
}

variable "delegation" {
  description = "The controller finds the name servers it asks by the zone's delegation: `verify.name_servers = \"delegation\"`, its default."
  type        = bool
  default     = true
  nullable    = false
}

variable "attach" {
  description = "How the policy is attached, which bounds its size: \"managed\" (6,144 characters) or \"inline\" (10,240 for all inline policies of a role together)."
  type        = string
  default     = "managed"
  nullable    = false
  validation {
    condition     = contains(["managed", "inline"], var.attach)
    error_message = "attach is \"managed\" or \"inline\"."
  }
}

variable "beside" {
  description = "Characters kept free for the role's other inline policies, when attach is \"inline\"."
  type        = number
  default     = 0
  nullable    = false
  validation {
    condition     = var.beside >= 0 && var.beside < 10240
    error_message = "beside is a number of characters from 0 to 10239."
  }
}

variable "partition" {
  description = "AWS partition of the ARNs."
  type        = string
  default     = "aws"
  nullable    = false
  validation {
    condition     = can(regex("^aws(-[a-z]+)*$", var.partition))
    error_message = "partition is aws, aws-cn, aws-us-gov or alike."
  }
}
