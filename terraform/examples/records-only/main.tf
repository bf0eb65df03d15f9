# Records, fences and the permission document for a controller that runs somewhere else.

provider "aws" {
  region = "us-east-1"
}

variable "zone_id" {
  description = "Hosted zone of example.com."
  type        = string
}

module "failoverd" {
  source = "../.."

  service = "none"

  policies = {
    web = {
      zone    = "example.com"
      zone_id = var.zone_id
      records = ["www.example.com"]
      check   = { type = "https", path = "/healthz" }
      target = [
        { name = "us-east-1", addresses = ["192.0.2.10"], priority = 1 },
        { name = "eu-west-1", addresses = ["198.51.100.20"], priority = 2 },
      ]
    }
  }
}

output "policy_json" {
  description = "To be attached to the role or user that the controller runs as."
  value       = module.failoverd.policy_json
}

output "files" {
  description = "To be put where the controller runs: failoverd.toml and policies/."
  value       = module.failoverd.files
}
