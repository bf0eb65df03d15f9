//! What others send, claim and spell to do harm, and that nothing comes of it. Every refusal has a
//! twin beside it that is not refused.

mod clients;
mod doors;
mod fiend;
mod name_servers;
mod provider;
mod receivers;
mod spellings;
mod spy;
mod targets;
