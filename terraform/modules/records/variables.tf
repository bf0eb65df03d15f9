variable "records" {
  description = "Records to be made once, as modules/config gives them."
  type = list(object({
    key     = string
    zone_id = string
    name    = string
    type    = string
    ttl     = optional(number)
    values  = optional(list(string))
    alias = optional(object({
      name                   = string
      zone_id                = string
      evaluate_target_health = optional(bool, false)
    }))
  }))

  validation {
    condition     = alltrue([for r in var.records : contains(["A", "AAAA", "CNAME"], r.type)])
    error_message = "The controller moves A, AAAA and CNAME records."
  }
  validation {
    condition     = alltrue([for r in var.records : (r.alias == null) == (r.values != null) && (r.alias == null) == (r.ttl != null)])
    error_message = "A record has values and a ttl, or an alias without a ttl."
  }
}

variable "fences" {
  description = "Fences to be made once, as modules/config gives them; empty to leave that to the controller."
  type = list(object({
    key     = string
    zone_id = string
    name    = string
    ttl     = number
    value   = string
  }))
  default = []
}
