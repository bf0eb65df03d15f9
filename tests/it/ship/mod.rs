//! How failoverd runs in other people's hands: logs for machines, pages and completions, units,
//! container, release.

mod image;
mod kubernetes;
mod logs;
mod pages;
mod release;
mod units;
mod wheels;
