# The managed records and their fences, made once. From then on what they say is the controller's:
# Terraform reads it, and never writes it again. That a record exists stays Terraform's.

locals {
  records = { for r in var.records : r.key => r }
}

resource "aws_route53_record" "protected" {
  for_each = { for key, r in local.records : key => r if var.protect }

  zone_id = each.value.zone_id
  name    = each.value.name
  type    = each.value.type
  ttl     = each.value.ttl
  records = each.value.values

  dynamic "alias" {
    for_each = each.value.alias[*]
    content {
      name                   = alias.value.name
      zone_id                = alias.value.zone_id
      evaluate_target_health = alias.value.evaluate_target_health
    }
  }

  lifecycle {
    ignore_changes  = [records, ttl, alias]
    prevent_destroy = true
  }
}

# The same without prevent_destroy, which takes no variable.
resource "aws_route53_record" "plain" {
  for_each = { for key, r in local.records : key => r if !var.protect }

  zone_id = each.value.zone_id
  name    = each.value.name
  type    = each.value.type
  ttl     = each.value.ttl
  records = each.value.values

  dynamic "alias" {
    for_each = each.value.alias[*]
    content {
      name                   = alias.value.name
      zone_id                = alias.value.zone_id
      evaluate_target_health = alias.value.evaluate_target_health
    }
  }

  lifecycle {
    ignore_changes = [records, ttl, alias]
  }
}

# One for each name. In the state beside its record, so that nothing is left behind when both are destroyed.
resource "aws_route53_record" "fence" {
  for_each = { for f in var.fences : f.key => f }

  zone_id = each.value.zone_id
  name    = each.value.name
  type    = "TXT"
  ttl     = each.value.ttl
  records = [each.value.value]

  lifecycle {
    ignore_changes = [records, ttl]
  }
}
