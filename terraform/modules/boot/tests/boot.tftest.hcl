variables {
  name   = "web"
  region = "eu-west-1"
  binary = { url = "https://releases.example.com/failoverd-0.1.0-x86_64", sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" }
  files  = { "failoverd.toml" = "# $(touch /tmp/x) 'q'\n", "policies/web.toml" = "x\n" }
}

run "no_text_of_a_file_stands_in_the_script" {
  command = plan
  assert {
    condition     = !strcontains(output.user_data, "touch") && strcontains(output.user_data, base64encode("# $(touch /tmp/x) 'q'\n"))
    error_message = output.user_data
  }
}

run "the_binary_is_checked_before_it_is_put_in_place" {
  command = plan
  assert {
    condition     = can(regex("(?s)until curl .* && echo .*sha256sum --check.*mv .*systemctl enable --now --no-block failoverd.service", output.user_data))
    error_message = output.user_data
  }
  assert {
    condition     = join(",", [for s in jsondecode(output.instance_policy_json).Statement : s.Sid]) == "SignOfLife"
    error_message = output.instance_policy_json
  }
}

run "who_observes_says_so_on_its_command_line" {
  command = plan
  variables { observe = true }
  assert {
    condition     = strcontains(output.files["/etc/systemd/system/failoverd.service.d/10-terraform.conf"], "--log json run --observe\n")
    error_message = jsonencode(output.files)
  }
}

run "a_bucket_needs_the_right_to_one_object" {
  command = plan
  variables { binary = { url = "s3://releases/failoverd", sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" } }
  assert {
    condition     = join(" ", flatten([for s in jsondecode(output.instance_policy_json).Statement : s.Resource if s.Sid == "Binary"])) == "arn:aws:s3:::releases/failoverd"
    error_message = output.instance_policy_json
  }
}

run "secrets_become_credentials_and_stand_in_no_file" {
  command = plan
  variables {
    secrets = {
      SLACK_WEBHOOK_URL = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:ops-AbCdEf:slack::"
      SIGNING_KEY       = "arn:aws:ssm:eu-west-1:123456789012:parameter/failoverd/key"
    }
  }
  assert {
    condition     = strcontains(output.files["/etc/systemd/system/failoverd.service.d/10-terraform.conf"], "LoadCredential=SLACK_WEBHOOK_URL:/run/failoverd-secrets/SLACK_WEBHOOK_URL")
    error_message = jsonencode(output.files)
  }
  assert {
    condition     = strcontains(output.files["/usr/local/sbin/failoverd-secrets"], "--secret-id 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:ops-AbCdEf'") && strcontains(output.files["/usr/local/sbin/failoverd-secrets"], "'slack' > SLACK_WEBHOOK_URL.new && mv ")
    error_message = output.files["/usr/local/sbin/failoverd-secrets"]
  }
  assert {
    condition     = join(" ", flatten([for s in jsondecode(output.instance_policy_json).Statement : s.Resource if s.Sid == "Secrets"])) == "arn:aws:secretsmanager:eu-west-1:123456789012:secret:ops-AbCdEf"
    error_message = output.instance_policy_json
  }
}

run "a_binary_without_its_sum_is_refused" {
  command = plan
  variables { binary = { url = "https://releases.example.com/failoverd", sha256 = "latest" } }
  expect_failures = [var.binary]
}

run "a_binary_over_plain_http_is_refused" {
  command = plan
  variables { binary = { url = "http://releases.example.com/failoverd", sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" } }
  expect_failures = [var.binary]
}
