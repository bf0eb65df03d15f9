# Names, statements and sizes; no provider and no account. `terraform test` in this folder.

variables {
  zones = [{ id = "Z1", name = "example.com", records = [{ name = "www.example.com" }] }]
}

run "one_record_moves_and_its_fence_beside_it" {
  assert {
    condition = jsonencode(output.statements[0].Condition) == jsonencode({
      "ForAllValues:StringEquals" = {
        "route53:ChangeResourceRecordSetsActions"               = ["CREATE", "DELETE", "UPSERT"]
        "route53:ChangeResourceRecordSetsNormalizedRecordNames" = ["www._failoverd.example.com", "www.example.com"]
        "route53:ChangeResourceRecordSetsRecordTypes"           = ["A", "TXT"]
      }
      "ForAnyValue:StringEquals" = {
        "route53:ChangeResourceRecordSetsActions"     = "CREATE"
        "route53:ChangeResourceRecordSetsRecordTypes" = "TXT"
      }
      "ForAnyValue:StringLike" = {
        "route53:ChangeResourceRecordSetsActions"               = "UPSERT"
        "route53:ChangeResourceRecordSetsNormalizedRecordNames" = "*._failoverd.example.com"
        "route53:ChangeResourceRecordSetsRecordTypes"           = ["A"]
      }
      Null = {
        "route53:ChangeResourceRecordSetsActions"               = "false"
        "route53:ChangeResourceRecordSetsNormalizedRecordNames" = "false"
        "route53:ChangeResourceRecordSetsRecordTypes"           = "false"
      }
    })
    error_message = jsonencode(output.statements[0])
  }
  assert {
    condition = jsonencode(output.statements[1].Condition) == jsonencode({
      "ForAllValues:StringEquals" = {
        "route53:ChangeResourceRecordSetsActions"               = ["CREATE", "DELETE"]
        "route53:ChangeResourceRecordSetsNormalizedRecordNames" = ["www._failoverd.example.com"]
        "route53:ChangeResourceRecordSetsRecordTypes"           = ["TXT"]
      }
      "ForAnyValue:StringEquals" = { "route53:ChangeResourceRecordSetsActions" = "CREATE" }
      Null = {
        "route53:ChangeResourceRecordSetsActions"               = "false"
        "route53:ChangeResourceRecordSetsNormalizedRecordNames" = "false"
        "route53:ChangeResourceRecordSetsRecordTypes"           = "false"
      }
    })
    error_message = jsonencode(output.statements[1])
  }
  assert {
    condition     = [for s in output.statements : s.Sid] == ["MovesZ1", "FencesZ1", "FollowChanges", "ReadRecords", "ReadZones"]
    error_message = "by zone_id: no listing of zones"
  }
  assert {
    condition     = jsondecode(output.policy_json).Version == "2012-10-17" && jsondecode(output.policy_json).Statement[0].Resource == "arn:aws:route53:::hostedzone/Z1"
    error_message = output.policy_json
  }
  assert {
    condition     = output.size == { characters = length(output.policy_json), limit = 6144 }
    error_message = "the size is told"
  }
}

run "names_as_iam_compares_them_and_fences_as_the_controller_names_them" {
  variables {
    zones = [{
      id = "Z1", name = "Example.COM.", retired = ["Old.example.com."],
      records = [
        { name = "WWW.Example.com." }, { name = "example.com" }, { name = "*.example.com" },
        { name = "\\052.a-b.example.com" }, { name = "x.y_z.example.com" },
      ]
    }]
  }
  assert {
    condition = output.names == { Z1 = {
      "*.a-b.example.com" = { fence = "_any.a-b._failoverd.example.com", iam = "\\052.a-b.example.com" }
      "*.example.com"     = { fence = "_any._failoverd.example.com", iam = "\\052.example.com" }
      "example.com"       = { fence = "_apex._failoverd.example.com", iam = "example.com" }
      "old.example.com"   = { fence = "old._failoverd.example.com", iam = "old.example.com" }
      "www.example.com"   = { fence = "www._failoverd.example.com", iam = "www.example.com" }
      "x.y_z.example.com" = { fence = "x.y_z._failoverd.example.com", iam = "x.y_z.example.com" }
    } }
    error_message = jsonencode(output.names)
  }
  assert {
    condition = alltrue([for key in ["route53:ChangeResourceRecordSetsNormalizedRecordNames"] :
      !contains(output.statements[0].Condition["ForAllValues:StringEquals"][key], "old.example.com") &&
      !contains(output.statements[0].Condition["ForAllValues:StringEquals"][key], "old._failoverd.example.com") &&
      contains(output.statements[1].Condition["ForAllValues:StringEquals"][key], "old._failoverd.example.com")
    ])
    error_message = "of a retired record only the fence may be written, and only by itself"
  }
}

run "swap_needs_no_upsert" {
  variables {
    zones = [{ id = "Z1", name = "example.com", records = [{ name = "www.example.com", types = ["A", "AAAA"], write = "swap" }] }]
  }
  assert {
    condition     = jsonencode(output.statements[0].Condition["ForAllValues:StringEquals"]["route53:ChangeResourceRecordSetsActions"]) == jsonencode(["CREATE", "DELETE"])
    error_message = jsonencode(output.statements[0])
  }
  assert {
    condition     = !contains(keys(output.statements[0].Condition["ForAnyValue:StringLike"]), "route53:ChangeResourceRecordSetsActions")
    error_message = jsonencode(output.statements[0])
  }
}

run "both_ways_in_one_zone_ride_in_one_request" {
  variables {
    zones = [{ id = "Z1", name = "example.com", records = [{ name = "www.example.com" }, { name = "cdn.example.com", types = ["CNAME"], write = "swap" }] }]
  }
  assert {
    condition     = jsonencode(output.statements[0].Condition["ForAllValues:StringEquals"]["route53:ChangeResourceRecordSetsActions"]) == jsonencode(["CREATE", "DELETE", "UPSERT"])
    error_message = jsonencode(output.statements[0])
  }
  assert {
    condition     = !contains(keys(output.statements[0].Condition["ForAnyValue:StringLike"]), "route53:ChangeResourceRecordSetsActions")
    error_message = "a request of swaps alone has no UPSERT"
  }
}

run "a_pair_for_each_zone" {
  variables {
    zones = [
      { id = "Z1", name = "example.com", records = [{ name = "www.example.com" }] },
      { id = "Z2", name = "example.org", records = [{ name = "www.example.org" }], by_name = true, private = true },
    ]
  }
  assert {
    condition     = [for s in output.statements : s.Sid] == ["MovesZ1", "MovesZ2", "FencesZ1", "FencesZ2", "FollowChanges", "ReadRecords", "ReadZones", "FindZones"]
    error_message = jsonencode(output.statements[*].Sid)
  }
  assert {
    condition     = jsonencode(output.statements[5].Resource) == jsonencode(["arn:aws:route53:::hostedzone/Z1", "arn:aws:route53:::hostedzone/Z2"]) && jsonencode(output.statements[6].Resource) == jsonencode(["arn:aws:route53:::hostedzone/Z1"])
    error_message = "a private zone found by name is never looked up by id"
  }
}

run "a_zone_by_name_is_looked_up_for_its_delegation_only" {
  variables {
    zones      = [{ id = "Z1", name = "example.com", records = [{ name = "www.example.com" }], by_name = true }]
    delegation = false
  }
  assert {
    condition     = [for s in output.statements : s.Sid] == ["MovesZ1", "FencesZ1", "FollowChanges", "ReadRecords", "FindZones"]
    error_message = jsonencode(output.statements[*].Sid)
  }
}

run "with_the_delegation_it_is" {
  variables {
    zones = [{ id = "Z1", name = "example.com", records = [{ name = "www.example.com" }], by_name = true }]
  }
  assert {
    condition     = [for s in output.statements : s.Sid] == ["MovesZ1", "FencesZ1", "FollowChanges", "ReadRecords", "ReadZones", "FindZones"]
    error_message = jsonencode(output.statements[*].Sid)
  }
}

run "an_observer_writes_nothing_and_needs_no_records" {
  variables {
    zones     = [{ id = "Z1", name = "example.com" }]
    observe   = true
    partition = "aws-us-gov"
  }
  assert {
    condition     = [for s in output.statements : s.Sid] == ["ReadRecords", "ReadZones"]
    error_message = jsonencode(output.statements)
  }
  assert {
    condition     = !strcontains(output.policy_json, "Change") && strcontains(output.policy_json, "arn:aws-us-gov:route53:::hostedzone/Z1")
    error_message = output.policy_json
  }
}

run "retired_records_alone" {
  variables {
    zones = [{ id = "Z1", name = "example.com", retired = ["old.example.com"] }]
  }
  assert {
    condition     = output.statements[0].Sid == "FencesZ1"
    error_message = jsonencode(output.statements)
  }
}

run "forty_records_of_one_zone_fit" {
  variables {
    zones = [{ id = "Z1", name = "example.com", records = [for n in range(40) : { name = "service-${n}.example.com" }] }]
  }
  assert {
    condition     = output.size.characters <= output.size.limit
    error_message = jsonencode(output.size)
  }
}

run "a_hundred_do_not" {
  command = plan
  variables {
    zones = [{ id = "Z1", name = "example.com", records = [for n in range(100) : { name = "service-${n}.example.com" }] }]
  }
  expect_failures = [output.policy_json]
}

run "nor_inline" {
  command = plan
  variables {
    zones  = [{ id = "Z1", name = "example.com", records = [for n in range(100) : { name = "service-${n}.example.com" }] }]
    attach = "inline"
  }
  expect_failures = [output.policy_json]
}

run "seventy_do_inline" {
  variables {
    zones  = [{ id = "Z1", name = "example.com", records = [for n in range(70) : { name = "service-${n}.example.com" }] }]
    attach = "inline"
  }
  assert {
    condition     = output.size.characters > 6144 && output.size.characters <= 10240
    error_message = jsonencode(output.size)
  }
}

run "unless_others_need_the_room" {
  command = plan
  variables {
    zones  = [{ id = "Z1", name = "example.com", records = [for n in range(70) : { name = "service-${n}.example.com" }] }]
    attach = "inline"
    beside = 2048
  }
  expect_failures = [output.policy_json]
}

run "more_room_than_there_is" {
  command = plan
  variables {
    beside = 10240
  }
  expect_failures = [var.beside]
}

run "a_writer_needs_records" {
  command = plan
  variables {
    zones = [{ id = "Z1", name = "example.com" }]
  }
  expect_failures = [output.policy_json]
}

run "no_zones" {
  command = plan
  variables {
    zones = []
  }
  expect_failures = [var.zones]
}

run "an_id_with_its_path" {
  command = plan
  variables {
    zones = [{ id = "/hostedzone/Z1", name = "example.com", records = [{ name = "www.example.com" }] }]
  }
  expect_failures = [var.zones]
}

run "a_zone_twice" {
  command = plan
  variables {
    zones = [
      { id = "Z1", name = "example.com", records = [{ name = "www.example.com" }] },
      { id = "Z1", name = "example.com", records = [{ name = "api.example.com" }] },
    ]
  }
  expect_failures = [var.zones]
}

run "a_name_outside_its_zone" {
  command = plan
  variables {
    zones = [{ id = "Z1", name = "example.com", records = [{ name = "wwwexample.com" }] }]
  }
  expect_failures = [var.zones]
}

run "a_name_without_its_zone" {
  command = plan
  variables {
    zones = [{ id = "Z1", name = "example.com", records = [{ name = "www" }] }]
  }
  expect_failures = [var.zones]
}

run "a_name_the_controller_cannot_manage" {
  command = plan
  variables {
    zones = [{ id = "Z1", name = "example.com", records = [{ name = "w w.example.com" }] }]
  }
  expect_failures = [var.zones]
}

run "a_star_in_the_middle" {
  command = plan
  variables {
    zones = [{ id = "Z1", name = "example.com", records = [{ name = "a.*.example.com" }] }]
  }
  expect_failures = [var.zones]
}

run "a_fence_as_a_record" {
  command = plan
  variables {
    zones = [{ id = "Z1", name = "example.com", records = [{ name = "www._failoverd.example.com" }] }]
  }
  expect_failures = [var.zones]
}

run "a_name_whose_fence_is_too_long" {
  command = plan
  variables {
    zones = [{ id = "Z1", name = "example.com", records = [{ name = "${join(".", [for n in range(4) : format("%058d", n)])}.example.com" }] }]
  }
  expect_failures = [var.zones]
}

run "a_record_twice" {
  command = plan
  variables {
    zones = [{ id = "Z1", name = "example.com", records = [{ name = "*.example.com" }, { name = "\\052.EXAMPLE.com." }] }]
  }
  expect_failures = [var.zones]
}

run "a_record_that_is_retired_as_well" {
  command = plan
  variables {
    zones = [{ id = "Z1", name = "example.com", records = [{ name = "www.example.com" }], retired = ["www.example.com"] }]
  }
  expect_failures = [var.zones]
}

run "a_type_the_controller_does_not_write" {
  command = plan
  variables {
    zones = [{ id = "Z1", name = "example.com", records = [{ name = "www.example.com", types = ["MX"] }] }]
  }
  expect_failures = [var.zones]
}

run "a_cname_beside_an_address" {
  command = plan
  variables {
    zones = [{ id = "Z1", name = "example.com", records = [{ name = "www.example.com", types = ["A", "CNAME"] }] }]
  }
  expect_failures = [var.zones]
}

run "a_cname_at_the_zones_own_name" {
  command = plan
  variables {
    zones = [{ id = "Z1", name = "example.com", records = [{ name = "Example.com.", types = ["CNAME"] }] }]
  }
  expect_failures = [var.zones]
}

run "another_way_to_write" {
  command = plan
  variables {
    zones = [{ id = "Z1", name = "example.com", records = [{ name = "www.example.com", write = "replace" }] }]
  }
  expect_failures = [var.zones]
}

run "another_way_to_attach" {
  command = plan
  variables {
    attach = "group"
  }
  expect_failures = [var.attach]
}

run "another_partition" {
  command = plan
  variables {
    partition = "moon"
  }
  expect_failures = [var.partition]
}
