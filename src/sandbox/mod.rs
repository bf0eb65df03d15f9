//! A strict local Route 53 and an authoritative DNS server over the same zone.
