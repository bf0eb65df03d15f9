//! How failoverd runs in other people's hands: logs for machines, pages and completions, units,
//! container, release.

mod logs;
mod pages;
mod units;
