# The controller under systemd on one machine, in an autoscaling group of one: a machine that dies is made
# anew, in another subnet when it must. What the machine does is decided in ../boot, without a provider.

module "boot" {
  source = "../boot"

  name      = var.name
  binary    = var.binary
  files     = var.files
  secrets   = var.secrets
  observe   = var.observe
  region    = var.place.region
  partition = var.place.partition
}

resource "aws_iam_role" "machine" {
  name = "${var.name}-machine"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "ec2.amazonaws.com" } }]
  })
  tags = var.tags
}

resource "aws_iam_role_policy" "controller" {
  name   = "controller"
  role   = aws_iam_role.machine.id
  policy = var.policy_json
}

resource "aws_iam_role_policy" "machine" {
  name   = "machine"
  role   = aws_iam_role.machine.id
  policy = module.boot.instance_policy_json
}

resource "aws_iam_role_policy" "secrets_keys" {
  count = length(var.secrets_kms_key_arns) == 0 ? 0 : 1

  name = "secrets-keys"
  role = aws_iam_role.machine.id
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Sid = "SecretsKeys", Effect = "Allow", Action = "kms:Decrypt", Resource = var.secrets_kms_key_arns }]
  })
}

resource "aws_iam_role_policy_attachment" "more" {
  # By place in the list, because a policy made in the same apply has no ARN yet.
  count = length(var.managed_policy_arns)

  role       = aws_iam_role.machine.name
  policy_arn = var.managed_policy_arns[count.index]
}

resource "aws_iam_instance_profile" "this" {
  name = var.name
  role = aws_iam_role.machine.name
  tags = var.tags
}

resource "aws_launch_template" "this" {
  name          = var.name
  image_id      = var.ami_id
  instance_type = var.instance_type
  user_data     = module.boot.user_data_base64
  tags          = var.tags

  iam_instance_profile {
    arn = aws_iam_instance_profile.this.arn
  }

  # The daemon is no container: one hop is enough for it, and nothing else on the machine gets its role.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  network_interfaces {
    associate_public_ip_address = var.assign_public_ip
    security_groups             = var.security_group_ids
    delete_on_termination       = true
  }

  tag_specifications {
    resource_type = "instance"
    tags          = merge(var.tags, { Name = var.name })
  }

  # A machine that starts before its rights exist cannot fetch its binary.
  depends_on = [aws_iam_role_policy.controller, aws_iam_role_policy.machine, aws_iam_role_policy.secrets_keys]
}

resource "aws_autoscaling_group" "this" {
  name                = var.name
  min_size            = 1
  max_size            = 1
  desired_capacity    = 1
  vpc_zone_identifier = var.subnet_ids
  health_check_type   = "EC2"

  launch_template {
    id      = aws_launch_template.this.id
    version = aws_launch_template.this.latest_version
  }

  # A changed configuration makes a new machine; the old one ends first.
  instance_refresh {
    strategy = "Rolling"

    preferences {
      min_healthy_percentage = 0
    }
  }

  dynamic "tag" {
    for_each = merge(var.tags, { Name = var.name })
    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = false
    }
  }

  depends_on = [var.wait_for]
}

resource "aws_cloudwatch_metric_alarm" "silent" {
  alarm_name          = "${var.name}-silent"
  alarm_description   = "failoverd ${var.name} has given no sign of life for ${var.alarm_after_minutes} minutes: nothing would fail over. Traffic stays where it is."
  namespace           = "failoverd/${var.name}"
  metric_name         = "SignOfLife"
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = var.alarm_after_minutes
  threshold           = 1
  comparison_operator = "LessThanThreshold"
  treat_missing_data  = "breaching"
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
  tags                = var.tags
}
