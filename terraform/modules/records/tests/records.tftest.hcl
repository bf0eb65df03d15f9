mock_provider "aws" {}

variables {
  records = [
    { key = "www.example.com A", zone_id = "Z1", name = "www.example.com", type = "A", ttl = 30, values = ["192.0.2.10"] },
    { key = "example.com AAAA", zone_id = "Z1", name = "example.com", type = "AAAA", alias = { name = "lb.example.org", zone_id = "Z35SXDOTRQ7X7K" } },
  ]
  fences = [{ key = "www.example.com", zone_id = "Z1", name = "www._failoverd.example.com", ttl = 60, value = "v=1 e=0" }]
}

run "records_and_fences_are_made" {
  command = plan
  assert {
    condition     = length(aws_route53_record.managed) == 2 && aws_route53_record.fence["www.example.com"].type == "TXT"
    error_message = "two records, one fence"
  }
  assert {
    condition     = one(aws_route53_record.managed["example.com AAAA"].alias).name == "lb.example.org" && aws_route53_record.managed["example.com AAAA"].ttl == null
    error_message = "an alias has no TTL"
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
