variables {
  instance     = "fargate"
  secret_names = ["SLACK_WEBHOOK_URL"]
  settings = {
    cluster  = "prod"
    verify   = { name_servers = [] }
    witness  = [{ name = "w1", tcp = "192.0.2.53:53" }]
    notifier = [{ name = "ops", type = "slack", url = { env = "SLACK_WEBHOOK_URL" } }]
  }
  policies = {
    web = {
      zone    = "Example.com."
      zone_id = "Z0123456789ABCDEFGHIJ"
      records = ["WWW.example.com.", "example.com", "*.example.com", "*.a.example.com"]
      ttl     = 30
      check   = { type = "http", port = 8080, headers = { X-Probe = "1" }, expect = { status = ["200-299", 304], body = { regex = "^ok" }, json = { status = "healthy", db = { up = true } } } }
      target = [
        { name = "eu", addresses = ["198.51.100.20", "2001:db8::20"], priority = 2, check = { port = 8081 } },
        { name = "us", addresses = ["192.0.2.10", "2001:db8::10"], priority = 1 },
      ]
      failback = { mode = "auto", window = { cron = "0 0 9 * * Mon-Fri", duration = "8h" } }
      notify   = { to = ["ops"] }
    }
    lb = {
      zone    = "example.net"
      zone_id = "Z00000000000000000002"
      records = ["example.net"]
      check   = { type = "https" }
      target  = [{ name = "a", alias = { name = "lb.example.org", zone_id = "Z35SXDOTRQ7X7K" } }]
    }
    pool = {
      zone    = "example.com"
      zone_id = "Z0123456789ABCDEFGHIJ"
      records = ["pool.example.com"]
      answers = 2
      check   = { type = "tcp", port = 1 }
      target = [
        { name = "c", addresses = ["192.0.2.3"], priority = 1 }, { name = "b", addresses = ["192.0.2.2"], priority = 1 },
        { name = "a", addresses = ["192.0.2.1"], priority = 1 }, { name = "z", addresses = ["192.0.2.9"], priority = 2 },
      ]
    }
    queue = {
      zone    = "example.com"
      zone_id = "Z0123456789ABCDEFGHIJ"
      records = ["queue.example.com"]
      check   = { type = "tcp", port = 1 }
      target  = [{ name = "a", host = "a.example.org", priority = 1 }, { name = "b", host = "b.example.org", priority = 2 }]
    }
  }
}

run "the_best_target_is_published_first" {
  command = plan
  assert {
    condition     = join(" ", flatten([for r in output.records : r.values if r.name == "www.example.com"])) == "192.0.2.10 2001:db8::10"
    error_message = jsonencode(output.records)
  }
  assert {
    condition     = join(" ", flatten([for r in output.records : r.values if r.policy == "pool"])) == "192.0.2.1 192.0.2.2"
    error_message = "as many as answer, by name, of the best priority only: ${jsonencode(output.records)}"
  }
  assert {
    condition     = join(", ", [for r in output.records : "${r.type} ${r.alias.name} ${r.ttl == null}" if r.policy == "lb"]) == "A lb.example.org true, AAAA lb.example.org true"
    error_message = "an alias has both types and no TTL: ${jsonencode(output.records)}"
  }
  assert {
    condition     = join(", ", [for r in output.records : "${r.type} ${r.values[0]} ${r.ttl}" if r.policy == "queue"]) == "CNAME a.example.org 30"
    error_message = jsonencode(output.records)
  }
}

run "a_fence_is_named_after_what_it_locks" {
  command = plan
  assert {
    condition = { for f in output.fences : f.key => f.name if f.policy == "web" } == {
      "www.example.com" = "www._failoverd.example.com"
      "example.com"     = "_apex._failoverd.example.com"
      "*.example.com"   = "_any._failoverd.example.com"
      "*.a.example.com" = "_any.a._failoverd.example.com"
    }
    error_message = jsonencode(output.fences)
  }
}

run "a_zone_stands_once_with_all_its_records" {
  command = plan
  assert {
    condition     = join(" ", [for z in output.zones : "${z.id} ${z.name} ${length(z.records)}"]) == "Z00000000000000000002 example.net 1 Z0123456789ABCDEFGHIJ example.com 6"
    error_message = jsonencode(output.zones)
  }
}

run "one_zone_id_is_one_zone" {
  command = plan
  variables {
    policies = {
      a = { zone = "example.com", zone_id = "Z1", records = ["a.example.com"], check = { type = "tcp", port = 1 }, target = [{ name = "a", addresses = ["192.0.2.1"] }] }
      b = { zone = "example.org", zone_id = "Z1", records = ["b.example.org"], check = { type = "tcp", port = 1 }, target = [{ name = "a", addresses = ["192.0.2.1"] }] }
    }
  }
  expect_failures = [output.zones]
}

run "the_files_say_what_the_variables_say" {
  command = plan
  assert {
    condition     = join(" ", sort(keys(output.files))) == "failoverd.toml policies/lb.toml policies/pool.toml policies/queue.toml policies/web.toml"
    error_message = jsonencode(keys(output.files))
  }
  assert {
    condition     = strcontains(output.files["failoverd.toml"], "name_servers = []") && strcontains(output.files["failoverd.toml"], "url = { env = \"SLACK_WEBHOOK_URL\" }")
    error_message = output.files["failoverd.toml"]
  }
  assert {
    condition     = strcontains(output.files["policies/web.toml"], "status = [\"200-299\",304]") && strcontains(output.files["policies/web.toml"], "\"db\".\"up\" = true") && strcontains(output.files["policies/web.toml"], "[target.check]\nport = 8081")
    error_message = output.files["policies/web.toml"]
  }
}

run "secrets_may_come_as_files" {
  command = plan
  variables { secrets_directory = "/run/credentials/failoverd.service" }
  assert {
    condition     = strcontains(output.files["failoverd.toml"], "url = { file = \"/run/credentials/failoverd.service/SLACK_WEBHOOK_URL\" }")
    error_message = output.files["failoverd.toml"]
  }
}

run "a_misspelt_key_is_refused" {
  command = plan
  variables {
    policies = { web = {
      zone   = "example.com", zone_id = "Z1", records = ["www.example.com"], check = { type = "tcp", port = 1, intreval = "5s" },
      target = [{ name = "a", addresses = ["192.0.2.1"] }]
    } }
  }
  expect_failures = [output.files]
}

run "a_secret_that_nothing_provides_is_refused" {
  command = plan
  variables { secret_names = [] }
  expect_failures = [output.files]
}

run "a_record_outside_of_its_zone_is_refused" {
  command = plan
  variables {
    policies = { web = { zone = "example.com", zone_id = "Z1", records = ["www.example.org"], check = { type = "tcp", port = 1 }, target = [{ name = "a", addresses = ["192.0.2.1"] }] } }
  }
  expect_failures = [output.files]
}

run "one_record_has_one_policy" {
  command = plan
  variables {
    policies = {
      a = { zone = "example.com", zone_id = "Z1", records = ["www.example.com"], check = { type = "tcp", port = 1 }, target = [{ name = "a", addresses = ["192.0.2.1"] }] }
      b = { zone = "example.com", zone_id = "Z1", records = ["WWW.example.com."], check = { type = "tcp", port = 1 }, target = [{ name = "a", addresses = ["192.0.2.1"] }] }
    }
  }
  expect_failures = [output.files]
}

run "a_policy_without_a_zone_id_is_refused" {
  command = plan
  variables {
    policies = { web = { zone = "example.com", zone_id = "/hostedzone/Z1", records = ["www.example.com"], check = { type = "tcp", port = 1 }, target = [{ name = "a", addresses = ["192.0.2.1"] }] } }
  }
  expect_failures = [var.policies]
}

run "new_records_begin_where_a_person_says" {
  command = plan
  variables { new_records_at = { web = "eu", pool = "z" } }
  assert {
    condition     = join(" ", flatten([for r in output.records : r.values if contains(["web", "pool"], r.policy) && !startswith(r.name, "*") && r.name != "example.com"])) == "192.0.2.9 198.51.100.20 2001:db8::20"
    error_message = jsonencode(output.records)
  }
  assert {
    condition     = join(" ", flatten([for r in output.records : r.values if r.policy == "queue"])) == "a.example.org"
    error_message = "other policies begin at their best: ${jsonencode(output.records)}"
  }
}

run "a_target_that_is_none_is_refused" {
  command = plan
  variables { new_records_at = { web = "ap" } }
  expect_failures = [output.records]
}

run "other_types_than_the_addresses_have_are_refused" {
  command = plan
  variables { address_types = { web = ["A"] } }
  expect_failures = [output.records]
}

run "a_target_may_have_keys_that_are_null" {
  command = plan
  variables {
    policies = { for id, target in {
      a = { name = "t", addresses = ["2001:db8::1"], host = null, alias = null }
      h = { name = "t", addresses = null, host = "h.example.net", alias = null }
      l = { name = "t", addresses = null, host = null, alias = { name = "l.example.net", zone_id = "Z2" } }
    } : id => { zone = "example.com", zone_id = "Z1", records = ["${id}.example.com"], check = { type = "tcp", port = 1 }, target = [target] } }
  }
  assert {
    condition     = join(", ", [for r in output.records : r.key]) == "a.example.com AAAA, h.example.com CNAME, l.example.com A, l.example.com AAAA"
    error_message = jsonencode(output.records)
  }
}

run "which_records_there_are_is_known_before_their_values" {
  command = plan
  module { source = "./tests/unknown" }
  assert {
    condition     = join(", ", keys(terraform_data.record)) == "both.example.com A, both.example.com AAAA, host.example.com CNAME, lb.example.com A, lb.example.com AAAA, one.example.com A"
    error_message = jsonencode(keys(terraform_data.record))
  }
}

run "and_then_they_say_what_they_should" {
  command = apply
  module { source = "./tests/unknown" }
  assert {
    condition     = join(" ", [for key in ["both.example.com A", "both.example.com AAAA", "one.example.com A", "host.example.com CNAME"] : output.records[key].values[0]]) == "192.0.2.10 2001:db8::10 192.0.2.10 a.example.net"
    error_message = jsonencode(output.records)
  }
}
