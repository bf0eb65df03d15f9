//! Text made safe and short. Whatever is left out, the text says so.

/// What ends a text that was cut.
const CUT: &str = "… [clipped]";

/// One line without control and direction-changing characters: those are other people's bytes.
pub(super) fn line(text: &str) -> String {
    let hostile = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    let spaced: String = text.chars().map(|c| if hostile(c) { ' ' } else { c }).collect();
    spaced.trim().to_owned()
}

/// How long a piece is for a receiver, in the receiver's units.
pub(super) type Measure = fn(&str) -> usize;

/// UTF-16 units: never fewer than characters, so safe whichever of the two a receiver counts.
pub(super) fn utf16(text: &str) -> usize {
    text.encode_utf16().count()
}

/// `text` through `escape`, character by character, cut so that the result measures at most `max`
/// and no escape is cut in half.
pub(super) fn clip(text: &str, max: usize, measure: Measure, escape: fn(char) -> Option<&'static str>) -> String {
    let mut out = String::with_capacity(text.len());
    // Where to cut if the rest turns out too long.
    let mut cut_at = 0;
    let mut used = 0;
    for c in text.chars() {
        let before = out.len();
        match escape(c) {
            Some(piece) => out.push_str(piece),
            None => out.push(c),
        }
        used += measure(out.get(before..).unwrap_or(""));
        if used + measure(CUT) <= max {
            cut_at = out.len();
        }
        if used > max {
            out.truncate(cut_at);
            out.push_str(CUT);
            return out;
        }
    }
    out
}

/// Nothing is escaped.
pub(super) fn plain(_: char) -> Option<&'static str> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_only_when_too_long_and_says_so() {
        let amp = |c| (c == '&').then_some("&amp;");
        for (text, max, expected) in [
            ("short", 5, "short"),
            ("twelve chars and more", 15, "twel… [clipped]"),
            ("&&&&", 20, "&amp;&amp;&amp;&amp;"),
            ("&&&&&", 20, "&amp;… [clipped]"),
            ("😀😀😀😀😀😀😀", 13, "😀… [clipped]"),
        ] {
            let got = clip(text, max, utf16, amp);
            assert_eq!(got, expected);
            assert!(utf16(&got) <= max);
        }
    }

    #[test]
    fn a_line_has_no_character_that_acts() {
        assert_eq!(line(" a\nb\u{1b}[31m\u{202e}c\t "), "a b [31m c");
    }
}
