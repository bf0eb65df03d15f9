# What stands in the account afterwards, and who may do what. Planned with a mocked provider.

mock_provider "aws" {
  override_during = plan
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/mock", id = "mock-role" }
  }
  mock_resource "aws_iam_instance_profile" {
    defaults = { arn = "arn:aws:iam::123456789012:instance-profile/mock" }
  }
  mock_resource "aws_launch_template" {
    defaults = { id = "lt-0123456789abcdef0", latest_version = 7 }
  }
}

variables {
  name                = "web"
  place               = { partition = "aws", region = "eu-west-1" }
  ami_id              = "ami-0123456789abcdef0"
  binary              = { url = "https://releases.example.com/failoverd", sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" }
  files               = { "failoverd.toml" = "x\n" }
  policy_json         = "{\"Version\":\"2012-10-17\",\"Statement\":[]}"
  subnet_ids          = ["subnet-0123456789abcdef0"]
  security_group_ids  = ["sg-0123456789abcdef0"]
  alarm_actions       = ["arn:aws:sns:eu-west-1:123456789012:pages"]
  managed_policy_arns = ["arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"]
}

run "one_machine_always" {
  command = plan
  assert {
    condition     = aws_autoscaling_group.this.min_size == 1 && aws_autoscaling_group.this.max_size == 1 && aws_autoscaling_group.this.desired_capacity == 1 && tolist(aws_autoscaling_group.this.vpc_zone_identifier) == tolist(["subnet-0123456789abcdef0"])
    error_message = jsonencode(aws_autoscaling_group.this)
  }
  assert {
    condition     = aws_autoscaling_group.this.launch_template[0].id == "lt-0123456789abcdef0" && aws_autoscaling_group.this.launch_template[0].version == "7" && aws_autoscaling_group.this.instance_refresh[0].preferences[0].min_healthy_percentage == 0
    error_message = "a changed configuration makes a new machine, and the old one ends first: ${jsonencode(aws_autoscaling_group.this)}"
  }
  assert {
    condition     = aws_launch_template.this.user_data == module.boot.user_data_base64 && aws_launch_template.this.metadata_options[0].http_tokens == "required" && aws_launch_template.this.metadata_options[0].http_put_response_hop_limit == 1
    error_message = jsonencode(aws_launch_template.this.metadata_options)
  }
}

run "silence_is_an_alarm" {
  command = plan
  assert {
    condition     = aws_cloudwatch_metric_alarm.silent.treat_missing_data == "breaching" && aws_cloudwatch_metric_alarm.silent.comparison_operator == "LessThanThreshold" && aws_cloudwatch_metric_alarm.silent.threshold == 1 && aws_cloudwatch_metric_alarm.silent.evaluation_periods == 5 && aws_cloudwatch_metric_alarm.silent.period == 60
    error_message = jsonencode(aws_cloudwatch_metric_alarm.silent)
  }
  assert {
    condition     = tolist(aws_cloudwatch_metric_alarm.silent.alarm_actions) == tolist(["arn:aws:sns:eu-west-1:123456789012:pages"]) && tolist(aws_cloudwatch_metric_alarm.silent.ok_actions) == tolist(["arn:aws:sns:eu-west-1:123456789012:pages"])
    error_message = jsonencode(aws_cloudwatch_metric_alarm.silent.alarm_actions)
  }
  assert {
    condition     = strcontains(module.boot.files["/usr/local/sbin/failoverd-sign-of-life"], "--namespace '${aws_cloudwatch_metric_alarm.silent.namespace}' --metric-name ${aws_cloudwatch_metric_alarm.silent.metric_name} ")
    error_message = "the alarm watches what the machine puts"
  }
}

run "the_role_is_the_machines" {
  command = plan
  assert {
    condition     = [for s in jsondecode(aws_iam_role.machine.assume_role_policy).Statement : [s.Effect, s.Action, s.Principal.Service]] == [["Allow", "sts:AssumeRole", "ec2.amazonaws.com"]]
    error_message = aws_iam_role.machine.assume_role_policy
  }
  assert {
    condition     = aws_iam_role_policy.controller.policy == var.policy_json && aws_iam_role_policy.machine.policy == module.boot.instance_policy_json && aws_iam_instance_profile.this.role == aws_iam_role.machine.name
    error_message = "the machine has what was decided for it"
  }
  assert {
    condition     = aws_iam_role_policy_attachment.more[0].policy_arn == "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
    error_message = jsonencode(aws_iam_role_policy_attachment.more)
  }
}
