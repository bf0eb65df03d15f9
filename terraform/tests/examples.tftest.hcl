# Each example is planned with a mocked provider.

mock_provider "aws" {
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_region" {
    defaults = { id = "eu-central-1", name = "eu-central-1" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
}

variables {
  zone_id            = "Z0123456789ABCDEFGHIJ"
  image              = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/failoverd:1"
  vpc_id             = "vpc-0123456789abcdef0"
  subnet_ids         = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
  security_group_ids = ["sg-0123456789abcdef0"]
  slack_secret_arn   = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:slack-AbCdEf"
  ami_id             = "ami-0123456789abcdef0"
  binary             = { url = "s3://releases/failoverd", sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" }
}

run "ecs" {
  command = plan
  module { source = "./examples/ecs" }
}

run "scheduled" {
  command = plan
  module { source = "./examples/scheduled" }
}

run "ec2" {
  command = plan
  module { source = "./examples/ec2" }
}

run "records_only" {
  command = plan
  module { source = "./examples/records-only" }
}
