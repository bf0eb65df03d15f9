# Targets whose values are known only after apply, as at a first plan that makes them too.

resource "terraform_data" "address" {
  input = "192.0.2.10"
}

resource "terraform_data" "other_family" {
  input = "2001:db8::10"
}

resource "terraform_data" "name" {
  input = "a.example.net"
}

variable "address_types" {
  description = "Types of the policies whose addresses nobody knows yet."
  type        = map(list(string))
  default     = { both = ["A", "AAAA"], one = ["A"] }
}

module "config" {
  source = "../.."

  address_types = var.address_types
  policies = {
    both = {
      zone   = "example.com", zone_id = "Z1", records = ["both.example.com"], check = { type = "tcp", port = 1 }
      target = [{ name = "a", addresses = [terraform_data.address.output, terraform_data.other_family.output] }]
    }
    one = {
      zone = "example.com", zone_id = "Z1", records = ["one.example.com"], check = { type = "tcp", port = 1 }
      target = [
        { name = "a", addresses = [terraform_data.address.output], priority = 1 },
        { name = "b", addresses = ["198.51.100.20"], priority = 2 },
      ]
    }
    host = {
      zone   = "example.com", zone_id = "Z1", records = ["host.example.com"], check = { type = "tcp", port = 1 }
      target = [{ name = "a", host = terraform_data.name.output }]
    }
    lb = {
      zone   = "example.com", zone_id = "Z1", records = ["lb.example.com"], check = { type = "tcp", port = 1 }
      target = [{ name = "a", alias = { name = terraform_data.name.output, zone_id = "Z35SXDOTRQ7X7K" } }]
    }
  }
}

resource "terraform_data" "record" {
  for_each = { for r in module.config.records : r.key => r }
  input    = each.value
}

resource "terraform_data" "fence" {
  for_each = { for f in module.config.fences : f.key => f }
}

resource "terraform_data" "file" {
  for_each = module.config.files
}

output "records" {
  description = "The records as they were made."
  value       = { for key, r in terraform_data.record : key => r.output }
}
