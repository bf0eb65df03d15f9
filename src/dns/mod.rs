//! The provider of zones (a read part and a write part) and questions to authoritative servers.

pub mod route53;
