//! How many targets are published at once, and whether the tiers can do it.

use super::fields::Fields;
use super::source::Source;
use crate::domain::Target;

pub struct Answers {
    /// Published at once.
    pub most: u32,
    /// Still enough; 1..=most.
    pub least: u32,
}

/// Reads `answers` and `min_active`; reports what does not fit together and then answers `None`.
pub fn build(source: &mut Source, fields: &Fields) -> Option<Answers> {
    let most: u32 = fields.int("answers")?;
    let least = if fields.is_given("min_active") { fields.int("min_active")? } else { most.div_ceil(2) };
    if least > most {
        source.error(
            &fields.place("min_active"),
            format!("`min_active` is {least} but `answers` is {most}: never more than that many are published"),
            format!("write `min_active = {most}` or less, or raise `answers`"),
        );
        return None;
    }
    if most > 1
        && let Some((table, key)) =
            fields.tables("target").find_map(|t| ["host", "alias"].into_iter().find(|k| t.is_given(k)).map(|k| (t, k)))
    {
        let why = if key == "host" { "a CNAME has one value" } else { "an alias points to one name" };
        let target = table.text("name").unwrap_or_else(|| "?".into());
        source.error(
            &fields.place("answers"),
            format!("`answers = {most}` needs `addresses`, but target `{target}` has `{key}`: {why}"),
            "leave `answers` out, or list the addresses of each target",
        );
        return None;
    }
    Some(Answers { most, least })
}

/// A tier is the targets of one priority; a published set never spans two.
pub fn against_tiers(source: &mut Source, fields: &Fields, answers: &Answers, targets: &[Target]) {
    // A target left out for an error of its own would make its tier look small.
    if targets.len() < fields.list("target").len() {
        return;
    }
    let mut priorities: Vec<i32> = targets.iter().map(|t| t.priority).collect();
    priorities.sort_unstable();
    let mut tiers = priorities.chunk_by(|a, b| a == b).map(|tier| {
        let size = u32::try_from(tier.len()).unwrap_or(u32::MAX);
        (tier.first().copied().unwrap_or_default(), size)
    });
    let Some((best, size)) = tiers.next() else { return };
    let (most, least) = (answers.most, answers.least);
    let has = |priority: i32, size: u32| match size {
        1 => format!("only one target has priority {priority}"),
        _ => format!("only {size} targets have priority {priority}"),
    };
    if size < least {
        source.error(
            &fields.place(if fields.is_given("min_active") { "min_active" } else { "answers" }),
            format!("{}, but `min_active` is {least}: the best targets could never be enough", has(best, size)),
            format!("give {least} targets the priority {best}, or write `min_active = {size}`"),
        );
    } else if size < most {
        source.warn(
            &fields.place("answers"),
            format!("{}, but `answers` is {most}: fewer than that are published", has(best, size)),
            format!("give {most} targets the priority {best}, or write `answers = {size}`"),
        );
    }
    for (priority, size) in tiers.filter(|(_, size)| *size < least) {
        source.warn(
            &fields.place(if fields.is_given("min_active") { "min_active" } else { "answers" }),
            format!(
                "{}, fewer than `min_active` = {least}: used only when no published target is left",
                has(priority, size)
            ),
            format!("give {least} targets the priority {priority}, or write `min_active = {size}`"),
        );
    }
}
