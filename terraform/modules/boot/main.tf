# What a machine does at its first start, as text: files, the binary, systemd units, a sign of life each
# minute. Needs no provider. For Amazon Linux 2023, or any systemd with cloud-init, the AWS CLI, curl and python3.

locals {
  secret_base = { for name, arn in var.secrets : name => strcontains(arn, ":secretsmanager:") ? join(":", slice(split(":", arn), 0, 7)) : arn }
  secret_key  = { for name, arn in var.secrets : name => strcontains(arn, ":secretsmanager:") && length(split(":", arn)) > 7 ? split(":", arn)[7] : "" }

  fetch_secrets = join("\n", concat(
    ["#!/bin/sh", "# Brings the secrets to where only root reads them; systemd hands them on. Tries until it has them all.", "set -eu", "umask 077", "mkdir -p /run/failoverd-secrets", "cd /run/failoverd-secrets"],
    [for name in sort(keys(var.secrets)) : format("until %s > %s.new && mv %s.new %s; do sleep 10; done",
      strcontains(var.secrets[name], ":ssm:") ?
      "aws ssm get-parameter --region ${split(":", var.secrets[name])[3]} --with-decryption --name '${local.secret_base[name]}' --query Parameter.Value --output text" :
      "aws secretsmanager get-secret-value --region ${split(":", var.secrets[name])[3]} --secret-id '${local.secret_base[name]}' --query SecretString --output text${local.secret_key[name] == "" ? "" : " | python3 -c 'import json, sys; sys.stdout.write(json.load(sys.stdin)[sys.argv[1]])' '${local.secret_key[name]}'"}",
    name, name, name)],
    [""],
  ))

  sign_of_life = <<-EOT
    #!/bin/sh
    # Passes the daemon's own sign of life on as a metric; no line, no metric, and the alarm goes off.
    set -eu
    journalctl -u failoverd -o cat --since '90 seconds ago' | grep -q '"message":"alive"' || exit 0
    aws cloudwatch put-metric-data --region ${var.region} --namespace 'failoverd/${var.name}' --metric-name SignOfLife --value 1
  EOT

  drop_in = join("\n", concat(
    ["[Unit]"],
    length(var.secrets) == 0 ? [] : ["Requires=failoverd-secrets.service", "After=failoverd-secrets.service"],
    ["[Service]", "ExecStart=", "ExecStart=/usr/bin/failoverd -c /etc/failoverd/failoverd.toml --log json run${var.observe ? " --observe" : ""}"],
    [for name in sort(keys(var.secrets)) : "LoadCredential=${name}:/run/failoverd-secrets/${name}"],
    [""],
  ))

  units = merge(
    {
      "/etc/systemd/system/failoverd.service"                     = file("${path.module}/failoverd.service")
      "/etc/systemd/system/failoverd.service.d/10-terraform.conf" = local.drop_in
      "/etc/systemd/system/failoverd-sign-of-life.service"        = "[Unit]\nDescription=Sign of life of failoverd\n\n[Service]\nType=oneshot\nExecStart=/usr/local/sbin/failoverd-sign-of-life\n"
      "/etc/systemd/system/failoverd-sign-of-life.timer"          = "[Unit]\nDescription=Sign of life of failoverd, each minute\n\n[Timer]\nOnBootSec=60\nOnUnitActiveSec=60\nAccuracySec=1\n\n[Install]\nWantedBy=timers.target\n"
    },
    length(var.secrets) == 0 ? {} : {
      "/etc/systemd/system/failoverd-secrets.service" = "[Unit]\nDescription=Secrets of failoverd\nWants=network-online.target\nAfter=network-online.target\n\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/usr/local/sbin/failoverd-secrets\n"
    },
  )
  programs = merge(
    { "/usr/local/sbin/failoverd-sign-of-life" = local.sign_of_life },
    length(var.secrets) == 0 ? {} : { "/usr/local/sbin/failoverd-secrets" = local.fetch_secrets },
  )
  all_files = merge(local.units, local.programs, { for name, text in var.files : "/etc/failoverd/${name}" => text })

  download = startswith(var.binary.url, "s3://") ? "aws s3 cp --only-show-errors '${var.binary.url}' \"$new\"" : "curl --fail --silent --show-error --location --proto '=https' --retry 5 --output \"$new\" '${var.binary.url}'"

  user_data = join("\n", concat(
    ["#!/bin/sh", "# failoverd ${var.name}, by Terraform. Every file travels as base64, so none is ever read as a command.", "set -eu", "umask 022"],
    flatten([for path in sort(keys(local.all_files)) : [
      "mkdir -p '${dirname(path)}'",
      "echo '${base64encode(local.all_files[path])}' | base64 -d > '${path}'",
    ]]),
    [for path in sort(keys(local.programs)) : "chmod 755 '${path}'"],
    [
      "new=$(mktemp /usr/bin/.failoverd.XXXXXX)",
      "# For as long as it takes: rights, network and the binary itself may come after the machine.",
      "until ${local.download} && echo '${var.binary.sha256}  '\"$new\" | sha256sum --check --quiet -; do",
      "  echo 'failoverd: no binary with the sum ${var.binary.sha256} at ${var.binary.url} yet, trying again. An object encrypted with a KMS key of your own needs that key in secrets_kms_key_arns.' >&2",
      "  sleep 15",
      "done",
      "chmod 755 \"$new\"",
      "mv \"$new\" /usr/bin/failoverd",
      "systemctl daemon-reload",
      "systemctl enable --now failoverd-sign-of-life.timer",
      "systemctl enable --now --no-block failoverd.service",
      "",
    ],
  ))

  statements = concat(
    [{
      Sid       = "SignOfLife"
      Effect    = "Allow"
      Action    = ["cloudwatch:PutMetricData"]
      Resource  = ["*"]
      Condition = { StringEquals = { "cloudwatch:namespace" = "failoverd/${var.name}" } }
    }],
    [for url in [var.binary.url] : {
      Sid      = "Binary"
      Effect   = "Allow"
      Action   = ["s3:GetObject"]
      Resource = ["arn:${var.partition}:s3:::${trimprefix(url, "s3://")}"]
    } if startswith(url, "s3://")],
    [for arns in [distinct([for name, arn in local.secret_base : arn if strcontains(arn, ":secretsmanager:")])] : {
      Sid      = "Secrets"
      Effect   = "Allow"
      Action   = ["secretsmanager:GetSecretValue"]
      Resource = arns
    } if length(arns) > 0],
    [for arns in [distinct([for name, arn in local.secret_base : arn if strcontains(arn, ":ssm:")])] : {
      Sid      = "Parameters"
      Effect   = "Allow"
      Action   = ["ssm:GetParameter"]
      Resource = arns
    } if length(arns) > 0],
  )
}
