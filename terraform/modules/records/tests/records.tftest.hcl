mock_provider "aws" {}

variables {
  protect = false
  records = [
    { key = "www.example.com A", zone_id = "Z1", name = "www.example.com", type = "A", ttl = 30, values = ["192.0.2.10"] },
    { key = "example.com AAAA", zone_id = "Z1", name = "example.com", type = "AAAA", alias = { name = "lb.example.org", zone_id = "Z35SXDOTRQ7X7K" } },
  ]
  fences = [{ key = "www.example.com", zone_id = "Z1", name = "www._failoverd.example.com", ttl = 60, value = "v=1 e=0" }]
}

run "records_and_fences_are_made" {
  command = apply
  assert {
    condition     = length(aws_route53_record.plain) == 2 && length(aws_route53_record.protected) == 0 && aws_route53_record.fence["www.example.com"].type == "TXT"
    error_message = "two records, one fence"
  }
  assert {
    condition     = one(aws_route53_record.plain["example.com AAAA"].alias).name == "lb.example.org" && aws_route53_record.plain["example.com AAAA"].ttl == null
    error_message = "an alias has no TTL"
  }
}

run "what_they_say_later_is_not_terraforms" {
  command = plan
  variables {
    records = [
      { key = "www.example.com A", zone_id = "Z1", name = "www.example.com", type = "A", ttl = 60, values = ["198.51.100.20"] },
      { key = "example.com AAAA", zone_id = "Z1", name = "example.com", type = "AAAA", alias = { name = "other.example.org", zone_id = "Z35SXDOTRQ7X7K" } },
    ]
    fences = [{ key = "www.example.com", zone_id = "Z1", name = "www._failoverd.example.com", ttl = 60, value = "v=1 e=7" }]
  }
  assert {
    condition     = join("", aws_route53_record.plain["www.example.com A"].records) == "192.0.2.10" && aws_route53_record.plain["www.example.com A"].ttl == 30
    error_message = "values and TTL are the controller's"
  }
  assert {
    condition     = one(aws_route53_record.plain["example.com AAAA"].alias).name == "lb.example.org" && join("", aws_route53_record.fence["www.example.com"].records) == "v=1 e=0"
    error_message = "aliases and fences are the controller's"
  }
}

run "values_and_an_alias_are_one_too_many" {
  command = plan
  variables {
    records = [{ key = "a", zone_id = "Z1", name = "a.example.com", type = "A", ttl = 30, values = ["192.0.2.1"], alias = { name = "lb.example.org", zone_id = "Z2" } }]
  }
  expect_failures = [var.records]
}

run "an_mx_record_is_refused" {
  command = plan
  variables { records = [{ key = "a", zone_id = "Z1", name = "a.example.com", type = "MX", ttl = 30, values = ["10 mx"] }] }
  expect_failures = [var.records]
}
