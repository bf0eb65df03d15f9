# Nothing exists yet, so nearly every value is unknown: what is made must be known all the same.

mock_provider "aws" {
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_region" {
    defaults = { id = "eu-west-1", name = "eu-west-1" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
}

run "a_first_plan_that_makes_everything" {
  command = plan
  module { source = "./tests/first_plan" }
  assert {
    condition     = join(", ", output.records) == "host.example.com CNAME, lb.example.com A, lb.example.com AAAA, www.example.com A"
    error_message = jsonencode(output.records)
  }
}
