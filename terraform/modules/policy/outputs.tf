output "policy_json" {
  description = "The policy document."
  value       = local.policy_json

  precondition {
    condition     = var.observe || alltrue([for z in var.zones : length(z.records) + length(z.retired) > 0])
    error_message = "A zone has no records: list what the controller manages there, or set observe = true to read only. With an empty list the conditions would say nothing."
  }
  precondition {
    condition = length(local.policy_json) <= local.limit
    error_message = join(" ", concat(
      ["The policy has ${length(local.policy_json)} characters; IAM takes ${local.limit}", var.attach == "inline" ? "in the inline policies of a role together${var.beside > 0 ? ", less the ${var.beside} kept for others" : ""}." : "in a managed policy."],
      [for more in ["Attach it inline (attach = \"inline\", 10240)."] : more if var.attach == "managed"],
      [for more in ["Call this module once for each zone (for_each) and attach the documents to the role together."] : more if length(var.zones) > 1],
      ["Never split one zone between documents of one role, because its writes share requests: give some of its records to a second controller with a role of its own, or put what fails over into a zone of its own."],
    ))
  }
}

output "statements" {
  description = "The statements as data."
  value       = local.statements
}

output "names" {
  description = "For each zone id: each record in one spelling => `iam`, as IAM compares it, and `fence`, the TXT record that locks it."
  value       = { for id, fences in local.fence_of : id => { for n, fence in fences : n => { iam = replace(n, "*", "\\052"), fence = fence } } }
}

output "size" {
  description = "Characters of the document, and how many IAM takes."
  value       = { characters = length(local.policy_json), limit = local.limit }
}
