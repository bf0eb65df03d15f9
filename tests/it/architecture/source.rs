//! Just enough of Rust's lexical grammar to tell code from comments and literals, and to read
//! the paths a file uses. No parser: a wall test must be readable at one sitting.

/// One token of code: an identifier, or one character of punctuation.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    pub line: usize,
    pub text: String,
}

impl Token {
    pub fn is_word(&self) -> bool {
        self.text.starts_with(|c: char| c.is_alphabetic() || c == '_')
    }
}

/// The tokens of `text` without comments and with every literal left out.
pub fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let (mut out, mut i, mut line) = (Vec::new(), 0, 1);
    while i < chars.len() {
        let start = i;
        match at(i) {
            '/' if at(i + 1) == '/' => {
                while i < chars.len() && at(i) != '\n' {
                    i += 1;
                }
            }
            '/' if at(i + 1) == '*' => {
                let mut depth = 0;
                loop {
                    match (at(i), at(i + 1)) {
                        ('/', '*') => (depth, i) = (depth + 1, i + 2),
                        ('*', '/') => (depth, i) = (depth - 1, i + 2),
                        _ => i += 1,
                    }
                    if depth == 0 || i >= chars.len() {
                        break;
                    }
                }
            }
            '"' => i = end_of_string(&chars, i),
            '\'' if at(i + 1) == '\\' => {
                i += 3;
                while i < chars.len() && at(i) != '\'' {
                    i += 1;
                }
                i += 1;
            }
            '\'' if at(i + 2) == '\'' => i += 3,
            '\'' => {
                i += 1;
                while is_word(at(i)) {
                    i += 1;
                }
            }
            c if is_word(c) => {
                while is_word(at(i)) {
                    i += 1;
                }
                let word: String = chars[start..i].iter().collect();
                let raw = matches!(word.as_str(), "r" | "br" | "cr");
                if raw && (at(i) == '"' || (at(i) == '#' && matches!(at(i + 1), '#' | '"'))) {
                    i = end_of_raw_string(&chars, i);
                } else if matches!(word.as_str(), "b" | "c") && at(i) == '"' {
                    i = end_of_string(&chars, i);
                } else {
                    out.push(Token { line, text: word });
                }
            }
            c => {
                i += 1;
                if !c.is_whitespace() {
                    out.push(Token { line, text: c.to_string() });
                }
            }
        }
        line += chars[start..i.min(chars.len())].iter().filter(|c| **c == '\n').count();
    }
    out
}

fn end_of_string(chars: &[char], quote: usize) -> usize {
    let mut i = quote + 1;
    while i < chars.len() && chars[i] != '"' {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    i + 1
}

fn end_of_raw_string(chars: &[char], hashes: usize) -> usize {
    let count = chars[hashes..].iter().take_while(|c| **c == '#').count();
    let mut i = hashes + count + 1;
    while i < chars.len()
        && !(chars[i] == '"' && chars[i + 1..].iter().take(count).filter(|c| **c == '#').count() == count)
    {
        i += 1;
    }
    i + 1 + count
}

/// `tokens` without every item that stands under `#[cfg(test)]`.
pub fn without_tests(tokens: &[Token]) -> Vec<Token> {
    let is = |i: usize, text: &str| tokens.get(i).is_some_and(|t| t.text == text);
    let starts = |i: usize, words: &[&str]| words.iter().enumerate().all(|(k, w)| is(i + k, w));
    let (mut out, mut i) = (Vec::new(), 0);
    while i < tokens.len() {
        if !starts(i, &["#", "[", "cfg", "(", "test", ")", "]"]) {
            out.push(tokens[i].clone());
            i += 1;
            continue;
        }
        let mut depth = 0;
        i += 7;
        while i < tokens.len() {
            match tokens[i].text.as_str() {
                "{" | "(" | "[" => depth += 1,
                "}" | ")" | "]" => depth -= 1,
                _ => {}
            }
            i += 1;
            let ended = is(i - 1, "}") || is(i - 1, ";");
            if depth == 0 && ended {
                break;
            }
        }
    }
    out
}

/// A path as written, `use` trees expanded: `a::b::c`, with the line it starts on.
#[derive(Clone, Debug, PartialEq)]
pub struct Path {
    pub line: usize,
    pub parts: Vec<String>,
    /// What the path is called from here on, when a `use` brings it in.
    pub imported_as: Option<String>,
}

/// Every path of two or more parts and every `use`.
pub fn paths(tokens: &[Token]) -> Vec<Path> {
    let (mut out, mut i) = (Vec::new(), 0);
    while i < tokens.len() {
        if tokens[i].text == "use" && tokens.get(i + 1).is_some_and(|t| t.text != "<") {
            i = use_tree(tokens, i + 1, &[], &mut out);
        } else if tokens[i].is_word() && !(i > 0 && tokens[i - 1].text == ".") {
            let line = tokens[i].line;
            let mut parts = vec![tokens[i].text.clone()];
            i += 1;
            while double_colon(tokens, i) && tokens.get(i + 2).is_some_and(Token::is_word) {
                parts.push(tokens[i + 2].text.clone());
                i += 3;
            }
            if parts.len() > 1 {
                out.push(Path { line, parts, imported_as: None });
            }
        } else {
            i += 1;
        }
    }
    out
}

fn double_colon(tokens: &[Token], i: usize) -> bool {
    [i, i + 1].iter().all(|k| tokens.get(*k).is_some_and(|t| t.text == ":"))
}

/// Reads one `use` tree from `i`; gives the index after it.
fn use_tree(tokens: &[Token], mut i: usize, prefix: &[String], out: &mut Vec<Path>) -> usize {
    let mut parts = prefix.to_vec();
    let line = tokens.get(i).map_or(0, |t| t.line);
    loop {
        let Some(token) = tokens.get(i) else { return i };
        if token.text == "{" {
            i += 1;
            while tokens.get(i).is_some_and(|t| t.text != "}") {
                i = use_tree(tokens, i, &parts, out);
                if tokens.get(i).is_some_and(|t| t.text == ",") {
                    i += 1;
                }
            }
            return i + 1;
        }
        if token.text == ":" {
            i += 1;
            continue;
        }
        if !token.is_word() && token.text != "*" {
            return i + 1;
        }
        if token.text != "self" || parts.is_empty() {
            parts.push(token.text.clone());
        }
        i += 1;
        if !double_colon(tokens, i) {
            let mut name = parts.last().cloned();
            if tokens.get(i).is_some_and(|t| t.text == "as") {
                name = tokens.get(i + 1).map(|t| t.text.clone());
                i += 2;
            }
            out.push(Path { line, parts, imported_as: name });
            return i;
        }
    }
}

#[test]
fn comments_and_literals_are_not_code() {
    let text = r####"
        // a::b
        /* c::d /* nested */ e::f */
        let s = "g::h \" i::j"; let r = r#"k::l "m" "#; let b = b"n::o";
        let c = 'x'; let q = '\''; let u = '\u{1F600}'; fn life<'a>(v: &'a str) {}
        real::path
    "####;
    let found: Vec<_> = paths(&tokens(text)).into_iter().map(|p| (p.line, p.parts.join("::"))).collect();
    assert_eq!(found, [(6, "real::path".to_string())]);
}

#[test]
fn use_trees_are_expanded() {
    let text = "use a::{self, b::{c, d as e}, f::*};\nuse g as h;\nfn x() { i::j::k(); l.m(); }";
    let found: Vec<_> =
        paths(&tokens(text)).into_iter().map(|p| (p.parts.join("::"), p.imported_as.unwrap_or_default())).collect();
    let expected = [("a", "a"), ("a::b::c", "c"), ("a::b::d", "e"), ("a::f::*", "*"), ("g", "h"), ("i::j::k", "")];
    assert_eq!(found, expected.map(|(p, n)| (p.to_string(), n.to_string())));
}

#[test]
fn what_stands_under_cfg_test_is_left_out() {
    let text = "use a::b; #[cfg(test)] use c::d; #[cfg(test)] mod tests { fn x() { e::f(); } } fn y() { g::h(); }";
    let found: Vec<_> = paths(&without_tests(&tokens(text))).into_iter().map(|p| p.parts.join("::")).collect();
    assert_eq!(found, ["a::b", "g::h"]);
}
