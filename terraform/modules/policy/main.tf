# What the controller may do in Route 53, as data. No provider, no account: the decisions are names and statements.
# What such a policy cannot say stands in docs/aws.md.
terraform {
  required_version = ">= 1.5"
}

locals {
  prefix = "route53:ChangeResourceRecordSets"
  keys   = { names = "${local.prefix}NormalizedRecordNames", types = "${local.prefix}RecordTypes", actions = "${local.prefix}Actions" }
  limit  = var.attach == "inline" ? 10240 - var.beside : 6144

  # One spelling, the controller's: lower case, no last dot, `*` and not its escape.
  plain = { for z in var.zones : z.id => {
    zone    = trimsuffix(lower(z.name), ".")
    records = [for r in z.records : replace(trimsuffix(lower(r.name), "."), "\\052", "*")]
    retired = [for n in z.retired : replace(trimsuffix(lower(n), "."), "\\052", "*")]
  } }

  # A fence is named after what it locks; `_apex` stands for the zone's own name and `_any` for `*`.
  fence_of = { for id, p in local.plain : id => { for n in concat(p.records, p.retired) : n =>
    n == p.zone ? "_apex._failoverd.${p.zone}" :
    "${replace(trimsuffix(n, ".${p.zone}"), "*", "_any")}._failoverd.${p.zone}"
  } }

  # As IAM compares: every character but a-z 0-9 - _ and the dots is an octal escape. Of those a record has only `*`.
  zones = [for z in var.zones : {
    id      = z.id
    arn     = "arn:${var.partition}:route53:::hostedzone/${z.id}"
    fences  = "*._failoverd.${local.plain[z.id].zone}"
    records = sort([for n in local.plain[z.id].records : replace(n, "*", "\\052")])
    locks   = sort([for n in local.plain[z.id].records : local.fence_of[z.id][n]])
    retired = sort([for n in local.plain[z.id].retired : local.fence_of[z.id][n]])
    types   = sort(distinct(flatten(z.records[*].types)))
    writes  = distinct(z.records[*].write)
    # A zone that is given by id is looked up by id; one that is found by name has its servers there.
    looked_up = !z.by_name || (var.delegation && !z.private)
    found     = z.by_name
  }]

  # `ForAllValues` holds of a request without the key; the guard makes the key necessary.
  guard = { for key in values(local.keys) : key => "false" }

  # A move: at least a fence created, an address, and in the default mode an UPSERT; nothing outside the lists.
  moves = [for z in local.zones : {
    Sid      = "Moves${z.id}"
    Effect   = "Allow"
    Action   = local.prefix
    Resource = z.arn
    Condition = {
      "ForAllValues:StringEquals" = {
        (local.keys.names)   = sort(concat(z.records, z.locks))
        (local.keys.types)   = concat(z.types, ["TXT"])
        (local.keys.actions) = contains(z.writes, "upsert") ? ["CREATE", "DELETE", "UPSERT"] : ["CREATE", "DELETE"]
      }
      "ForAnyValue:StringEquals" = { (local.keys.types) = "TXT", (local.keys.actions) = "CREATE" }
      # A second list of what must be there; the same operator cannot ask twice of one key.
      "ForAnyValue:StringLike" = merge(
        { (local.keys.names) = z.fences, (local.keys.types) = z.types },
        { for key in [local.keys.actions] : key => "UPSERT" if !contains(z.writes, "swap") },
      )
      Null = local.guard
    }
  } if length(z.records) > 0]

  # Fences alone: rehearsal, freeze, release, takeover, and the burn after a lost reply.
  fences = [for z in local.zones : {
    Sid      = "Fences${z.id}"
    Effect   = "Allow"
    Action   = local.prefix
    Resource = z.arn
    Condition = {
      "ForAllValues:StringEquals" = {
        (local.keys.names)   = sort(concat(z.locks, z.retired))
        (local.keys.types)   = ["TXT"]
        (local.keys.actions) = ["CREATE", "DELETE"]
      }
      "ForAnyValue:StringEquals" = { (local.keys.actions) = "CREATE" }
      Null                       = local.guard
    }
  } if length(z.locks) + length(z.retired) > 0]

  reads = concat(
    [{
      Sid      = "ReadRecords"
      Effect   = "Allow"
      Action   = "route53:ListResourceRecordSets"
      Resource = local.zones[*].arn
    }],
    [for arns in [[for z in local.zones : z.arn if z.looked_up]] : {
      Sid      = "ReadZones"
      Effect   = "Allow"
      Action   = "route53:GetHostedZone"
      Resource = arns
    } if length(arns) > 0],
    [for found in [anytrue(local.zones[*].found)] : {
      Sid      = "FindZones"
      Effect   = "Allow"
      Action   = "route53:ListHostedZonesByName"
      Resource = "*"
    } if found],
  )

  follow = {
    Sid      = "FollowChanges"
    Effect   = "Allow"
    Action   = "route53:GetChange"
    Resource = "arn:${var.partition}:route53:::change/*"
  }

  writes      = concat(local.moves, local.fences)
  statements  = concat([for s in local.writes : s if !var.observe], [for s in [local.follow] : s if !var.observe], local.reads)
  policy_json = jsonencode({ Version = "2012-10-17", Statement = local.statements })
}
