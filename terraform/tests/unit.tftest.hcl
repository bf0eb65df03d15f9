# The whole module with a mocked provider: what is made in each case, and what is not.

mock_provider "aws" {
  # A managed record cannot be destroyed, not even at the end of a test: so it is only planned.
  override_during = plan
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_region" {
    defaults = { id = "eu-west-1", name = "eu-west-1" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/mock" }
  }
  mock_resource "aws_iam_instance_profile" {
    defaults = { arn = "arn:aws:iam::123456789012:instance-profile/mock" }
  }
  mock_resource "aws_ecs_cluster" {
    defaults = { arn = "arn:aws:ecs:eu-west-1:123456789012:cluster/mock" }
  }
  mock_resource "aws_ecs_task_definition" {
    defaults = { arn = "arn:aws:ecs:eu-west-1:123456789012:task-definition/mock:1" }
  }
  mock_resource "aws_cloudwatch_event_rule" {
    defaults = { arn = "arn:aws:events:eu-west-1:123456789012:rule/mock" }
  }
  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:eu-west-1:123456789012:mock" }
  }
  mock_resource "aws_launch_template" {
    defaults = { id = "lt-0123456789abcdef0", latest_version = 1 }
  }
}

variables {
  image              = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/failoverd:1"
  subnet_ids         = ["subnet-0123456789abcdef0"]
  security_group_ids = ["sg-0123456789abcdef0"]
  policies = {
    web = {
      zone    = "example.com"
      zone_id = "Z0123456789ABCDEFGHIJ"
      records = ["www.example.com"]
      check   = { type = "https", path = "/healthz" }
      target = [
        { name = "us-east-1", addresses = ["192.0.2.10"], priority = 1 },
        { name = "eu-west-1", addresses = ["198.51.100.20"], priority = 2 },
      ]
    }
  }
}

run "one_task_one_record_one_fence_one_alarm" {
  command = plan
  assert {
    condition     = join(",", keys(output.record_fqdns)) == "www.example.com A" && output.fence_names["www.example.com"] == "www._failoverd.example.com"
    error_message = jsonencode([output.record_fqdns, output.fence_names])
  }
  assert {
    condition     = output.alarm_name == "failoverd-silent" && output.log_group_name == "/failoverd/failoverd" && output.topic_arn == null
    error_message = jsonencode([output.alarm_name, output.log_group_name, output.topic_arn])
  }
  assert {
    condition     = length(module.service_ec2) == 0
    error_message = "no machine beside the task"
  }
  assert {
    condition     = strcontains(output.policy_json, "www._failoverd.example.com") && !strcontains(output.policy_json, "ListHostedZonesByName")
    error_message = output.policy_json
  }
}

run "fences_and_permissions_agree" {
  command = plan
  variables {
    policies = { web = {
      zone   = "example.com", zone_id = "Z0123456789ABCDEFGHIJ", records = ["example.com", "*.example.com", "*.A.example.com.", "b.example.com"], check = { type = "tcp", port = 1 },
      target = [{ name = "a", addresses = ["192.0.2.1"] }]
    } }
  }
  assert {
    condition = sort(values(output.fence_names)) == sort([
      for n in jsondecode(output.policy_json).Statement[0].Condition["ForAllValues:StringEquals"]["route53:ChangeResourceRecordSetsNormalizedRecordNames"] : n if strcontains(n, "_failoverd")
    ])
    error_message = "${jsonencode(output.fence_names)} and ${output.policy_json}"
  }
}

run "who_only_observes_cannot_write" {
  command = plan
  variables { observe = true }
  assert {
    condition     = !strcontains(output.policy_json, "route53:ChangeResourceRecordSets") && strcontains(output.policy_json, "route53:ListResourceRecordSets")
    error_message = output.policy_json
  }
}

run "passes_instead_of_a_daemon" {
  command = plan
  variables { schedule = "rate(1 minute)" }
  assert {
    condition     = output.alarm_name == "failoverd-silent" && output.role_arn == "arn:aws:iam::123456789012:role/mock"
    error_message = "alarm"
  }
}

run "a_machine" {
  command = plan
  variables {
    service = "ec2"
    image   = null
    ami_id  = "ami-0123456789abcdef0"
    binary  = { url = "s3://releases/failoverd", sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" }
  }
  assert {
    condition     = length(module.service_ecs) == 0 && output.log_group_name == null && output.alarm_name == "failoverd-silent"
    error_message = "a machine and no task"
  }
}

run "records_and_permissions_only" {
  command = plan
  variables {
    service = "none"
    image   = null
  }
  assert {
    condition     = output.role_arn == null && length(output.record_fqdns) == 1
    error_message = "no service"
  }
}

run "records_that_exist_already_are_left_alone" {
  command = plan
  variables { create_records = false }
  assert {
    condition     = length(output.record_fqdns) == 0 && output.fence_names["www.example.com"] == "www._failoverd.example.com"
    error_message = jsonencode(output.record_fqdns)
  }
}

run "a_role_of_its_own_for_route_53" {
  command = plan
  variables { settings = { route53 = { role_arn = "arn:aws:iam::210987654321:role/dns" } } }
  assert {
    condition     = strcontains(output.files["failoverd.toml"], "region = \"eu-west-1\"\nrole_arn = \"arn:aws:iam::210987654321:role/dns\"")
    error_message = output.files["failoverd.toml"]
  }
  assert {
    condition     = [for s in jsondecode(local.service_policy_json).Statement : [s.Effect, s.Action, s.Resource]] == [["Allow", "sts:AssumeRole", "arn:aws:iam::210987654321:role/dns"]]
    error_message = "the service may take that role and nothing else: ${local.service_policy_json}"
  }
  assert {
    condition     = strcontains(output.policy_json, "route53:ChangeResourceRecordSets")
    error_message = "the role gets this: ${output.policy_json}"
  }
}

run "without_it_the_service_has_the_policy_itself" {
  command = plan
  assert {
    condition     = local.service_policy_json == output.policy_json
    error_message = local.service_policy_json
  }
}

run "requests_are_signed_in_the_region_of_the_service" {
  command = plan
  assert {
    condition     = strcontains(output.files["failoverd.toml"], "[route53]\nregion = \"eu-west-1\"\n")
    error_message = output.files["failoverd.toml"]
  }
}

run "unless_a_person_says_another" {
  command = plan
  variables { settings = { route53 = { region = "us-gov-west-1", share = 0.5 } } }
  assert {
    condition     = strcontains(output.files["failoverd.toml"], "[route53]\nregion = \"us-gov-west-1\"\nshare = 0.5\n")
    error_message = output.files["failoverd.toml"]
  }
}

run "or_the_controller_runs_somewhere_else" {
  command = plan
  variables {
    service = "none"
    image   = null
  }
  assert {
    condition     = !strcontains(output.files["failoverd.toml"], "region")
    error_message = output.files["failoverd.toml"]
  }
}

run "an_alarm_by_mail_has_a_topic" {
  command = plan
  variables {
    alarm_emails  = ["ops@example.com"]
    alarm_actions = ["arn:aws:sns:eu-west-1:123456789012:pages"]
  }
  assert {
    condition     = output.topic_arn == "arn:aws:sns:eu-west-1:123456789012:mock"
    error_message = "topic"
  }
  assert {
    condition     = [for s in aws_sns_topic_subscription.alarm : [s.topic_arn, s.protocol, s.endpoint]] == [["arn:aws:sns:eu-west-1:123456789012:mock", "email", "ops@example.com"]]
    error_message = jsonencode(aws_sns_topic_subscription.alarm)
  }
  assert {
    condition     = local.alarm_actions == ["arn:aws:sns:eu-west-1:123456789012:pages", "arn:aws:sns:eu-west-1:123456789012:mock"]
    error_message = jsonencode(local.alarm_actions)
  }
}

run "a_topic_without_mail" {
  command = plan
  variables { create_topic = true }
  assert {
    condition     = output.topic_arn == "arn:aws:sns:eu-west-1:123456789012:mock" && length(aws_sns_topic_subscription.alarm) == 0
    error_message = "topic"
  }
}

run "records_managed_before_may_still_be_released" {
  command = plan
  variables { retired = {
    Z0123456789ABCDEFGHIJ = { zone = "example.com", records = ["old.example.com"] }
    Z00000000000000000002 = { zone = "example.net", records = ["gone.example.net"] }
  } }
  assert {
    condition = alltrue([for zone, fence in { Z0123456789ABCDEFGHIJ = "old._failoverd.example.com", Z00000000000000000002 = "gone._failoverd.example.net" } : anytrue([
      for s in jsondecode(output.policy_json).Statement : s.Sid == "Fences${zone}" && contains(try(s.Condition["ForAllValues:StringEquals"]["route53:ChangeResourceRecordSetsNormalizedRecordNames"], []), fence)
    ])])
    error_message = output.policy_json
  }
  assert {
    condition     = !strcontains(output.policy_json, "\"old.example.com\"") && !strcontains(output.policy_json, "MovesZ00000000000000000002")
    error_message = "fences and no records: ${output.policy_json}"
  }
}

run "an_alias_may_be_written_in_both_types" {
  command = plan
  variables {
    alias_types = ["A"]
    policies = { lb = {
      zone   = "example.com", zone_id = "Z0123456789ABCDEFGHIJ", records = ["lb.example.com"], check = { type = "tcp", port = 1 },
      target = [{ name = "a", alias = { name = "lb.example.org", zone_id = "Z35SXDOTRQ7X7K" } }]
    } }
  }
  assert {
    condition     = keys(output.record_fqdns) == ["lb.example.com A"] && jsondecode(output.policy_json).Statement[0].Condition["ForAllValues:StringEquals"]["route53:ChangeResourceRecordSetsRecordTypes"] == ["A", "AAAA", "TXT"]
    error_message = "${jsonencode(keys(output.record_fqdns))} ${output.policy_json}"
  }
}

run "a_service_that_is_none_of_these_is_refused" {
  command = plan
  variables { service = "lambda" }
  expect_failures = [var.service]
}
