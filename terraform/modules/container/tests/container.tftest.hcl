variables {
  image     = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/ops/failoverd@sha256:00"
  log_group = "/failoverd/web"
  region    = "eu-west-1"
  files = {
    "failoverd.toml"    = "instance = \"a\"\n# $(touch /tmp/x) `id` 'q'\n"
    "policies/web.toml" = "zone = \"example.com\"\n"
  }
}

run "the_daemon_says_alive_each_minute" {
  command = plan
  assert {
    condition     = output.sign_of_life == "{ $.message = \"alive\" }" && output.silent_minutes == 5
    error_message = "${output.sign_of_life} ${output.silent_minutes}"
  }
  assert {
    condition     = join(" ", jsondecode(output.definitions_json)[1].command) == "-c /etc/failoverd/failoverd.toml --log json run"
    error_message = output.definitions_json
  }
}

run "who_observes_says_so_on_its_command_line" {
  command = plan
  variables { observe = true }
  assert {
    condition     = join(" ", jsondecode(output.definitions_json)[1].command) == "-c /etc/failoverd/failoverd.toml --log json run --observe"
    error_message = output.definitions_json
  }
}

run "a_pass_cannot_only_observe" {
  command = plan
  variables {
    observe  = true
    schedule = "rate(1 minute)"
  }
  expect_failures = [output.definitions_json]
}

run "a_daemon_with_an_api_is_asked_whether_it_is_well" {
  command = plan
  variables { health_port = 8653 }
  assert {
    condition     = join(" ", jsondecode(output.definitions_json)[1].healthCheck.command) == "CMD /usr/bin/failoverd probe http://127.0.0.1:8653/healthz"
    error_message = output.definitions_json
  }
}

run "a_pass_is_not_asked" {
  command = plan
  variables {
    health_port = 8653
    schedule    = "rate(1 minute)"
  }
  assert {
    condition     = !can(jsondecode(output.definitions_json)[1].healthCheck) && join(" ", jsondecode(output.definitions_json)[1].command) == "-c /etc/failoverd/failoverd.toml --log json once --deadline 50s"
    error_message = output.definitions_json
  }
}

run "the_controller_is_not_root_and_cannot_write_its_image" {
  command = plan
  assert {
    condition     = alltrue([for c in jsondecode(output.definitions_json) : c.readonlyRootFilesystem]) && jsondecode(output.definitions_json)[1].user == "65532:65532"
    error_message = output.definitions_json
  }
  assert {
    condition     = jsondecode(output.definitions_json)[1].logConfiguration.options.mode == "non-blocking"
    error_message = "a log service that hangs would stop the loop"
  }
}

run "no_text_of_a_file_stands_in_the_script" {
  command = plan
  assert {
    condition     = !strcontains(jsondecode(output.definitions_json)[0].command[0], "touch") && strcontains(jsondecode(output.definitions_json)[0].command[0], "printf '%s' \"$FILE_0\" > 'failoverd.toml'")
    error_message = output.definitions_json
  }
}

run "an_image_of_ecr_may_be_pulled_and_no_other" {
  command = plan
  assert {
    condition     = strcontains(output.execution_policy_json, "arn:aws:ecr:eu-west-1:123456789012:repository/ops/failoverd\"") && length([for s in jsondecode(output.execution_policy_json).Statement : s if contains(s.Resource, "*")]) == 1
    error_message = output.execution_policy_json
  }
}

run "other_registries_need_no_right" {
  command = plan
  variables { image = "ghcr.io/example/failoverd:1" }
  assert {
    condition     = join(",", [for s in jsondecode(output.execution_policy_json).Statement : s.Sid]) == "Logs"
    error_message = output.execution_policy_json
  }
}

run "secrets_are_named_exactly" {
  command = plan
  variables {
    secrets = {
      SLACK_WEBHOOK_URL = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:ops-AbCdEf:slack::"
      SIGNING_KEY       = "arn:aws:ssm:eu-west-1:123456789012:parameter/failoverd/key"
    }
  }
  assert {
    condition     = join(" ", [for s in jsondecode(output.execution_policy_json).Statement : s.Resource[0] if s.Sid == "Secrets" || s.Sid == "Parameters"]) == "arn:aws:secretsmanager:eu-west-1:123456789012:secret:ops-AbCdEf arn:aws:ssm:eu-west-1:123456789012:parameter/failoverd/key"
    error_message = output.execution_policy_json
  }
  assert {
    condition     = join(" ", [for s in jsondecode(output.definitions_json)[1].secrets : s.name]) == "SIGNING_KEY SLACK_WEBHOOK_URL" && !can(jsondecode(output.definitions_json)[0].secrets)
    error_message = output.definitions_json
  }
}

run "a_secret_is_an_arn" {
  command = plan
  variables { secrets = { SLACK_WEBHOOK_URL = "https://hooks.slack.com/services/x" } }
  expect_failures = [var.secrets]
}

run "root_is_refused" {
  command = plan
  variables { user = "0:0" }
  expect_failures = [var.user]
}

run "three_missed_passes_are_an_alarm" {
  command = plan
  variables { schedule = "rate(2 minutes)" }
  assert {
    condition     = output.silent_minutes == 8 && startswith(output.sign_of_life, "{ ($.message = \"pass ended\") && ")
    error_message = "${output.sign_of_life} ${output.silent_minutes}"
  }
}

run "hours_are_understood" {
  command = plan
  variables { schedule = "rate(1 hour)" }
  assert {
    condition     = output.silent_minutes == 182
    error_message = output.silent_minutes
  }
}

run "a_pass_a_day_cannot_be_watched" {
  command = plan
  variables { schedule = "rate(1 day)" }
  expect_failures = [output.silent_minutes]
}

run "the_slowest_that_can" {
  command = plan
  variables { schedule = "rate(479 minutes)" }
  assert {
    condition     = output.silent_minutes == 1439
    error_message = output.silent_minutes
  }
}

run "a_cron_schedule_needs_a_persons_word" {
  command = plan
  variables { schedule = "cron(0/5 * * * ? *)" }
  expect_failures = [output.silent_minutes]
}

run "too_many_policies_for_a_task_definition_are_told" {
  command = plan
  variables { files = { "failoverd.toml" = format("%070000d", 1) } }
  expect_failures = [output.definitions_json]
}

run "a_shared_file_system_keeps_its_owner" {
  command = plan
  variables { shared_state = true }
  assert {
    condition     = !strcontains(jsondecode(output.definitions_json)[0].command[0], "chown") && length(jsondecode(output.definitions_json)[0].mountPoints) == 1
    error_message = output.definitions_json
  }
}

run "a_file_stays_in_its_directory" {
  command = plan
  variables { files = { "../evil.toml" = "x" } }
  expect_failures = [output.definitions_json]
}
