# The managed records and their fences, made once. From then on what they say is the controller's:
# Terraform reads it, and never writes it again. That a record exists stays Terraform's.

# One resource at one address, whatever is chosen: no variable can turn into a plan that destroys live records
# and makes them anew.
resource "aws_route53_record" "managed" {
  for_each = { for r in var.records : r.key => r }

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

# One for each name. While its record is in the state, no plan destroys it either: the record's refusal refuses all.
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
