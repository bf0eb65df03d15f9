//! IAM that allows this and only this: the policy that `terraform/modules/policy` makes, evaluated by IAM's rules in
//! front of a provider that enforces none. The real binary goes through with it, and nothing else does.

mod batches;
mod denied;
mod gate;
mod lint;
mod module;
mod refused;
mod request;
mod rules;
mod whole;
