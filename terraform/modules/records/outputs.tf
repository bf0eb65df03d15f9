output "fqdns" {
  description = "Full names of the managed records by key, such as \"www.example.com A\"."
  value       = { for key, r in aws_route53_record.managed : key => r.fqdn }
}

output "fence_names" {
  description = "Names of the fences made here, by managed name."
  value       = { for key, r in aws_route53_record.fence : key => r.name }
}
