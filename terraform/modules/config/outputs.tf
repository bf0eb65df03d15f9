output "files" {
  description = "The controller's files by path relative to its configuration directory."
  value       = merge({ "failoverd.toml" = local.main_file }, local.policy_files)

  precondition {
    condition     = length(local.unknown_keys) == 0
    error_message = "Unknown keys: ${join(", ", local.unknown_keys)}. The keys are those of a policy file and of failoverd.toml; `failoverd schema` prints them."
  }
  precondition {
    condition     = length(setsubtract(local.wanted_secrets, var.secret_names)) == 0
    error_message = "settings name secrets that nothing provides: ${join(", ", setsubtract(local.wanted_secrets, var.secret_names))}. Add them to the variable secrets."
  }
  precondition {
    condition     = length(local.outside_zone) == 0
    error_message = "Records outside of their zone: ${join(", ", local.outside_zone)}."
  }
  precondition {
    condition     = length(local.doubled) == 0
    error_message = "Two policies name one record: ${join(", ", local.doubled)}."
  }
  precondition {
    condition     = local.cluster != "unowned"
    error_message = "cluster = \"unowned\" is the owner of fences that nobody has yet; choose another name."
  }
}

output "records" {
  description = "The records to be made, each with what is published first."
  value       = local.records

  precondition {
    condition     = length(local.nowhere) == 0
    error_message = "No such policy or target: ${join(", ", local.nowhere)}. new_records_at maps a policy's id to the name of one of its targets, address_types a policy's id to record types."
  }
  precondition {
    condition     = length(local.other_types) == 0
    error_message = "address_types says other types than the addresses of the targets: ${join(", ", local.other_types)}."
  }
}

output "fences" {
  description = "The fences to be made, owned by nobody until the controller adopts them."
  value       = local.fences
}

output "zones" {
  description = "The zones with their records, as modules/policy takes them."
  value = concat(
    [for id, list in local.names_by_zone : {
      id   = id
      name = list[0].zone
      records = [for n in list : {
        name = n.name
        # Of an alias always both: where one does not stand the controller makes it.
        types = local.kinds[n.policy] == "alias" ? ["A", "AAAA"] : local.types[n.policy]
        write = coalesce(try(local.policies[n.policy].failover.write, null), "upsert")
      }]
      retired = flatten([for other, old in var.retired : old.records if other == id])
    }],
    [for id, old in var.retired : { id = id, name = trimsuffix(lower(old.zone), "."), records = [], retired = old.records } if !contains(keys(local.names_by_zone), id)],
  )

  precondition {
    condition     = alltrue([for id, list in local.names_by_zone : length(distinct(concat(list[*].zone, [for other, old in var.retired : trimsuffix(lower(old.zone), ".") if other == id]))) == 1])
    error_message = "One zone_id stands with two different zones."
  }
}

output "asks_delegation" {
  description = "Whether the controller reads who serves a zone (verify.name_servers is the delegation)."
  value       = try(var.settings.verify.name_servers, "delegation") == "delegation"
}

output "assumes_role" {
  description = "The role the controller takes for Route 53 (settings.route53.role_arn), or null."
  value       = try(var.settings.route53.role_arn, null)
}

output "health_port" {
  description = "Port of the HTTP API where loopback reaches it, or null."
  value       = try(tonumber(regex("^(?:127\\.0\\.0\\.1|0\\.0\\.0\\.0):([0-9]+)$", var.settings.api.listen)[0]), null)
}
