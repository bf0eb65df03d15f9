# From policies in HCL to everything that must agree about them: the controller's files, the records
# and fences to be made, and the names its permissions are limited to. Needs no provider.

locals {
  # The keys of the two JSON Schemas; tests/terraform compares them. An unknown key is an error here
  # because the conversion below would drop it without a word.
  policy_keys = ["adopt", "answers", "importance", "min_active", "observe", "reconcile", "records", "ttl", "zone", "zone_id"]
  policy_tables = {
    failback = ["mode", "soak"]
    failover = ["drift", "flap_budget", "hold_down", "write"]
    notify   = ["to"]
  }
  window_keys = ["cron", "duration", "timezone"]
  check_keys = [
    "ca_file", "confirm", "fall", "fast_interval", "host", "interval", "max_body", "method", "min_cert_days", "path", "port",
    "receive", "redirects", "rise", "schedule", "send", "settle", "sni", "timeout", "type", "verify_tls",
  ]
  expect_keys = ["status"]
  target_keys = ["addresses", "host", "name", "priority", "region"]
  alias_keys  = ["evaluate_target_health", "name", "zone_id"]

  main_keys = ["cluster"]
  main_tables = {
    api       = ["listen"]
    guard     = ["floor", "max_changed", "per"]
    rehearsal = ["schedule"]
    route53   = ["burst", "endpoint_url", "region", "requests_per_second", "role_arn", "share"]
    verify    = ["name_servers", "timeout"]
  }
  witness_keys  = ["name", "region", "tcp", "url"]
  notifier_keys = ["name", "type"]
  secret_keys   = ["secret", "url"]

  policies = { for id, p in var.policies : id => p }
  cluster  = try(var.settings.cluster, "default")

  unknown_keys = sort(flatten(concat(
    [for id, p in local.policies : concat(
      [for k in setsubtract(keys(p), concat(local.policy_keys, keys(local.policy_tables), ["check", "target"])) : "${id}.${k}"],
      [for table, known in local.policy_tables : [
        for k in setsubtract(try(keys(p[table]), []), concat(known, table == "failback" ? ["window"] : [])) : "${id}.${table}.${k}"
      ]],
      [for k in setsubtract(try(keys(p.failback.window), []), local.window_keys) : "${id}.failback.window.${k}"],
      [for at, check in merge({ check = try(p.check, {}) }, { for i, t in p.target : "target[${i}].check" => t.check if try(t.check, null) != null }) : concat(
        [for k in setsubtract(try(keys(check), []), concat(local.check_keys, ["expect", "headers"])) : "${id}.${at}.${k}"],
        [for k in setsubtract(try(keys(check.expect), []), concat(local.expect_keys, ["body", "json"])) : "${id}.${at}.expect.${k}"],
      )],
      [for i, t in p.target : concat(
        [for k in setsubtract(keys(t), concat(local.target_keys, ["alias", "check"])) : "${id}.target[${i}].${k}"],
        [for k in setsubtract(try(keys(t.alias), []), local.alias_keys) : "${id}.target[${i}].alias.${k}"],
      )],
    )],
    [for k in setsubtract(keys(var.settings), concat(local.main_keys, keys(local.main_tables), ["notifier", "witness"])) : "settings.${k}"],
    [for table, known in local.main_tables : [for k in setsubtract(try(keys(var.settings[table]), []), concat(known, table == "api" ? ["token"] : [])) : "settings.${table}.${k}"]],
    [for i, w in try(var.settings.witness, []) : [for k in setsubtract(keys(w), local.witness_keys) : "settings.witness[${i}].${k}"]],
    [for i, n in try(var.settings.notifier, []) : [for k in setsubtract(keys(n), concat(local.notifier_keys, local.secret_keys)) : "settings.notifier[${i}].${k}"]],
  )))

  wanted_secrets = toset(concat(
    flatten([for n in try(var.settings.notifier, []) : [for k in local.secret_keys : try([n[k].env], [])]]),
    try([var.settings.api.token.env], []),
  ))
}

# TOML: a JSON scalar, text or list of these is the same in TOML.
locals {
  lines = { for id, p in local.policies : id => {
    top = join("", [for k in local.policy_keys : "${k} = ${jsonencode(p[k])}\n" if try(p[k], null) != null])
    tables = join("", concat(
      [for table in ["failover", "failback", "notify"] :
        "\n[${table}]\n${join("", [for k in local.policy_tables[table] : "${k} = ${jsonencode(p[table][k])}\n" if try(p[table][k], null) != null])}"
        if try(p[table], null) != null
      ],
      try(p.failback.window, null) == null ? [] : [
        "\n[failback.window]\n${join("", [for k in local.window_keys : "${k} = ${jsonencode(p.failback.window[k])}\n" if try(p.failback.window[k], null) != null])}"
      ],
    ))
    targets = [for t in p.target : join("", concat(
      [for k in local.target_keys : "${k} = ${jsonencode(t[k])}\n" if try(t[k], null) != null],
      try(t.alias, null) == null ? [] : [
        "alias = { ${join(", ", [for k in local.alias_keys : "${k} = ${jsonencode(t.alias[k])}" if try(t.alias[k], null) != null])} }\n"
      ],
    ))]
  } }

  # One entry for the policy's own check (at = "check") and one for each target's.
  checks = merge([for id, p in local.policies : merge(
    { "${id} check" = { at = "check", check = p.check } },
    { for i, t in p.target : "${id} ${i}" => { at = "target.check", check = t.check } if try(t.check, null) != null },
  )]...)

  check_text = { for key, c in local.checks : key => join("", concat(
    ["\n[${c.at}]\n"],
    [for k in local.check_keys : "${k} = ${jsonencode(c.check[k])}\n" if try(c.check[k], null) != null],
    try(c.check.headers, null) == null ? [] : ["\n[${c.at}.headers]\n", join("", [for k, v in c.check.headers : "${jsonencode(k)} = ${jsonencode(v)}\n"])],
    try(c.check.expect, null) == null ? [] : concat(
      ["\n[${c.at}.expect]\n"],
      [for k in local.expect_keys : "${k} = ${jsonencode(c.check.expect[k])}\n" if try(c.check.expect[k], null) != null],
      try(c.check.expect.body, null) == null ? [] : [
        can(c.check.expect.body.regex) ? "body = { regex = ${jsonencode(c.check.expect.body.regex)} }\n" : "body = ${jsonencode(c.check.expect.body)}\n"
      ],
      try(c.check.expect.json, null) == null ? [] : ["\n[${c.at}.expect.json]\n", join("", flatten([
        for k, v in c.check.expect.json : can(keys(v)) ? [for k2, v2 in v : "${jsonencode(k)}.${jsonencode(k2)} = ${jsonencode(v2)}\n"] : ["${jsonencode(k)} = ${jsonencode(v)}\n"]
      ]))],
    ),
  )) }

  policy_files = { for id, p in local.policies : "policies/${id}.toml" => join("", concat(
    [local.lines[id].top, local.check_text["${id} check"], local.lines[id].tables],
    [for i, text in local.lines[id].targets : "\n[[target]]\n${text}${try(local.check_text["${id} ${i}"], "")}"],
  )) }

  token = try(var.settings.api.token, null)
  token_line = local.token == null ? "" : can(local.token.file) ? "token = { file = ${jsonencode(local.token.file)} }\n" : (
    var.secrets_directory == null ? "token = { env = ${jsonencode(local.token.env)} }\n" : "token = { file = ${jsonencode("${var.secrets_directory}/${local.token.env}")} }\n"
  )

  main_file = join("", concat(
    ["instance = ${jsonencode(var.instance)}\n", "cluster = ${jsonencode(local.cluster)}\n", "state = ${jsonencode(var.state_path)}\n"],
    [for table, known in local.main_tables :
      "\n[${table}]\n${join("", [for k in known : "${k} = ${jsonencode(var.settings[table][k])}\n" if try(var.settings[table][k], null) != null])}${table == "api" ? local.token_line : ""}"
      if try(var.settings[table], null) != null
    ],
    [for w in try(var.settings.witness, []) : "\n[[witness]]\n${join("", [for k in local.witness_keys : "${k} = ${jsonencode(w[k])}\n" if try(w[k], null) != null])}"],
    [for n in try(var.settings.notifier, []) : join("", concat(
      ["\n[[notifier]]\n"],
      [for k in local.notifier_keys : "${k} = ${jsonencode(n[k])}\n" if try(n[k], null) != null],
      [for k in local.secret_keys : (
        can(n[k].env) ? (
          var.secrets_directory == null ? "${k} = { env = ${jsonencode(n[k].env)} }\n" : "${k} = { file = ${jsonencode("${var.secrets_directory}/${n[k].env}")} }\n"
        ) : can(n[k].file) ? "${k} = { file = ${jsonencode(n[k].file)} }\n" : "${k} = ${jsonencode(n[k])}\n"
      ) if try(n[k], null) != null],
    ))],
  ))
}

# What is published first: the best targets by priority and name, as many as may answer, or the one that was named.
# Values may be known only after apply; which records there are may not. So nothing below looks at a value where
# a key says enough, and `try` and `can` stand around nothing that holds values of targets.
locals {
  first = { for id, p in local.policies : id => slice(
    sort([for i, t in p.target : format("%04d %s %04d", try(t.priority, 0), t.name, i) if try(t.priority, 0) == min([for other in p.target : try(other.priority, 0)]...)]),
    0,
    min(try(p.answers, 1), length([for t in p.target : t if try(t.priority, 0) == min([for other in p.target : try(other.priority, 0)]...)])),
  ) }
  named     = { for id, p in local.policies : id => [for t in p.target : t if t.name == lookup(var.new_records_at, id, "")] }
  published = { for id, p in local.policies : id => concat(local.named[id], [for key in local.first[id] : p.target[tonumber(split(" ", key)[2])] if length(local.named[id]) == 0]) }

  nowhere = sort(concat(
    [for id, target in var.new_records_at : "new_records_at.${id} = ${target}" if length(lookup(local.named, id, [])) == 0],
    [for id in setsubtract(keys(var.address_types), keys(local.policies)) : "address_types.${id}"],
  ))

  # Of a target whose type has all three keys, such as an element of list(object(...)), the one that is not null.
  kind_keys = { for id, p in local.policies : id => [for k in keys(p.target[0]) : k if contains(["addresses", "alias", "host"], k)] }
  kinds = { for id, p in local.policies : id => length(local.kind_keys[id]) == 1 ? local.kind_keys[id][0] : (
    contains(local.kind_keys[id], "addresses") && p.target[0].addresses != null ? "addresses" : contains(local.kind_keys[id], "alias") && p.target[0].alias != null ? "alias" : "host"
  ) }
  said_types = { for id, p in local.policies : id => compact(local.kinds[id] != "addresses" ? [] : [
    anytrue([for a in p.target[0].addresses : !strcontains(a, ":")]) ? "A" : "",
    anytrue([for a in p.target[0].addresses : strcontains(a, ":")]) ? "AAAA" : "",
  ]) }
  types = { for id, p in local.policies : id => (
    local.kinds[id] == "host" ? ["CNAME"] : local.kinds[id] == "alias" ? var.alias_types : lookup(var.address_types, id, null) != null ? lookup(var.address_types, id, []) : local.said_types[id]
  ) }
  other_types = [for id, types in var.address_types : id if lookup(local.kinds, id, "") != "addresses" || sort(types) != sort(lookup(local.said_types, id, []))]

  names = flatten([for id, p in local.policies : [for record in p.records : {
    policy   = id
    name     = trimsuffix(lower(record), ".")
    zone     = trimsuffix(lower(p.zone), ".")
    zone_id  = p.zone_id
    relative = trimsuffix(lower(record), ".") == trimsuffix(lower(p.zone), ".") ? "" : trimsuffix(trimsuffix(lower(record), "."), ".${trimsuffix(lower(p.zone), ".")}")
  }]])

  names_by_zone = { for n in local.names : n.zone_id => n... }

  outside_zone = [for n in local.names : "${n.policy}: ${n.name}" if n.name != n.zone && !endswith(n.name, ".${n.zone}")]
  doubled      = [for name, list in { for n in local.names : "${n.zone_id} ${n.name}" => n.policy... } : name if length(list) > 1]

  records = flatten([for n in local.names : [for type in local.types[n.policy] : {
    key     = "${n.name} ${type}"
    policy  = n.policy
    zone_id = n.zone_id
    name    = n.name
    type    = type
    ttl     = local.kinds[n.policy] == "alias" ? null : try(local.policies[n.policy].ttl, 30)
    values = local.kinds[n.policy] == "alias" ? null : local.kinds[n.policy] == "host" ? [local.published[n.policy][0].host] : flatten([
      for t in local.published[n.policy] : [for a in t.addresses : a if strcontains(a, ":") == (type == "AAAA")]
    ])
    alias = local.kinds[n.policy] != "alias" ? null : {
      name                   = local.published[n.policy][0].alias.name
      zone_id                = local.published[n.policy][0].alias.zone_id
      evaluate_target_health = try(local.published[n.policy][0].alias.evaluate_target_health, false)
    }
  }]])

  # A fence that nobody owns yet: the controller takes it by itself on a calm day (adopt = "auto").
  fences = [for n in local.names : {
    key     = n.name
    policy  = n.policy
    zone_id = n.zone_id
    name    = "${n.relative == "" ? "_apex" : n.relative == "*" ? "_any" : startswith(n.relative, "*.") ? "_any.${trimprefix(n.relative, "*.")}" : n.relative}._failoverd.${n.zone}"
    ttl     = 60
    value   = "v=1 e=0 p=${n.policy} o=unowned/terraform a=terraform t=0 k=release h=0 m=released u=0 c=none"
  }]
}
