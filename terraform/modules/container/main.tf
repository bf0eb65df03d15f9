# What runs in ECS, as data: containers, what the execution role needs for them, and what counts as a
# sign of life. Needs no provider.

locals {
  config_directory = "/etc/failoverd"
  state_directory  = "/var/lib/failoverd"

  # One environment variable for each file, and a script that only names them: no file's text is
  # ever read as a command.
  file_names  = sort(keys(var.files))
  file_env    = [for i, name in local.file_names : { name = format("FILE_%d", i), value = var.files[name] }]
  directories = distinct(compact([for name in local.file_names : dirname(name) == "." ? "" : dirname(name)]))
  script = join("\n", concat(
    ["set -eu", "umask 022", "cd ${local.config_directory}"],
    [for d in local.directories : "mkdir -p '${d}'"],
    [for i, name in local.file_names : "printf '%s' \"$FILE_${i}\" > '${name}'"],
    # A task's own volume is root's at first; a file system's access point has its owner already.
    var.shared_state ? [] : ["chown ${var.user} ${local.state_directory}", "chmod 700 ${local.state_directory}"],
  ))

  logs = {
    logDriver = "awslogs"
    options = {
      awslogs-group         = var.log_group
      awslogs-region        = var.region
      awslogs-stream-prefix = "failoverd"
      # A log service that hangs must not stop the loop at its next line.
      mode            = "non-blocking"
      max-buffer-size = "4m"
    }
  }

  command = var.schedule == null ? concat(["run"], var.observe ? ["--observe"] : []) : ["once", "--deadline", var.deadline]

  # The image has no shell and no curl; failoverd asks itself. From the loop: one that hangs answers no more.
  health_check = [for port in var.health_port[*] : {
    command     = ["CMD", "/usr/bin/failoverd", "probe", "http://127.0.0.1:${port}/healthz"]
    interval    = 30
    timeout     = 10
    retries     = 3
    startPeriod = 60
  } if var.schedule == null]

  containers = [
    {
      name                   = "files"
      image                  = var.files_image
      essential              = false
      user                   = "0:0"
      readonlyRootFilesystem = true
      entryPoint             = ["sh", "-c"]
      command                = [local.script]
      environment            = local.file_env
      mountPoints = concat(
        [{ sourceVolume = "config", containerPath = local.config_directory, readOnly = false }],
        var.shared_state ? [] : [{ sourceVolume = "state", containerPath = local.state_directory, readOnly = false }],
      )
      logConfiguration = local.logs
    },
    merge({ for check in local.health_check : "healthCheck" => check }, {
      name                   = "failoverd"
      image                  = var.image
      essential              = true
      user                   = var.user
      readonlyRootFilesystem = true
      command                = concat(["-c", "${local.config_directory}/failoverd.toml", "--log", "json"], local.command)
      environment            = [for name in sort(keys(var.environment)) : { name = name, value = var.environment[name] }]
      secrets                = [for name in sort(keys(var.secrets)) : { name = name, valueFrom = var.secrets[name] }]
      dependsOn              = [{ containerName = "files", condition = "SUCCESS" }]
      stopTimeout            = 60
      ulimits                = [{ name = "nofile", softLimit = 65536, hardLimit = 65536 }]
      mountPoints = [
        { sourceVolume = "config", containerPath = local.config_directory, readOnly = true },
        { sourceVolume = "state", containerPath = local.state_directory, readOnly = false },
      ]
      logConfiguration = local.logs
    }),
  ]

  # Secrets Manager: what follows the seventh colon names a key within the secret.
  secret_arns    = distinct([for arn in values(var.secrets) : join(":", slice(split(":", arn), 0, 7)) if strcontains(arn, ":secretsmanager:")])
  parameter_arns = distinct([for arn in values(var.secrets) : arn if strcontains(arn, ":ssm:")])
  ecr_images = distinct(flatten([for image in [var.image, var.files_image] : [
    for m in try([regex("^([0-9]{12})\\.dkr\\.ecr\\.([a-z0-9-]+)\\.amazonaws\\.com(?:\\.cn)?/([^:@]+)", image)], []) :
    "arn:${var.partition}:ecr:${m[1]}:${m[0]}:repository/${m[2]}"
  ]]))

  execution_statements = concat(
    [{
      Sid      = "Logs"
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource = ["arn:${var.partition}:logs:${var.region}:*:log-group:${var.log_group}:log-stream:*"]
    }],
    length(local.ecr_images) == 0 ? [] : [
      { Sid = "RegistryToken", Effect = "Allow", Action = ["ecr:GetAuthorizationToken"], Resource = ["*"] },
      {
        Sid      = "Image"
        Effect   = "Allow"
        Action   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
        Resource = local.ecr_images
      },
    ],
    length(local.secret_arns) == 0 ? [] : [
      { Sid = "Secrets", Effect = "Allow", Action = ["secretsmanager:GetSecretValue"], Resource = local.secret_arns },
    ],
    length(local.parameter_arns) == 0 ? [] : [
      { Sid = "Parameters", Effect = "Allow", Action = ["ssm:GetParameters"], Resource = local.parameter_arns },
    ],
  )

  # rate(N minutes|hours); null for cron(...), whose gaps only a person knows.
  rate           = try(regex("^rate\\(([0-9]+) (minute|minutes|hour|hours|day|days)\\)$", var.schedule), null)
  rate_minutes   = local.rate == null ? null : tonumber(local.rate[0]) * (startswith(local.rate[1], "minute") ? 1 : startswith(local.rate[1], "hour") ? 60 : 1440)
  silent_minutes = var.alarm_after_minutes != null ? var.alarm_after_minutes : var.schedule == null ? 5 : local.rate_minutes == null ? null : 3 * local.rate_minutes + 2
}
