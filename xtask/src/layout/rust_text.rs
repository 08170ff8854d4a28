//! Rust source, line by line, with code apart from comments and without what is inside literals.
//!
//! Promises: enough of the lexer to tell the three apart (nested comments, raw strings, lifetimes);
//! line numbers are kept. Where the body of a file ends and its tests begin is decided here as well.
//!
//! Refuses: syntax. A file that does not compile is the compiler's to report.

use std::iter::Peekable;
use std::str::Chars;

/// One line: what is code, and what is comment.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) code: String,
    pub(super) comment: String,
}

/// Splits a file into lines of code and comment.
pub(super) fn split(text: &str) -> Vec<Line> {
    let mut splitter = Splitter { chars: text.chars().peekable(), lines: vec![Line::default()], last: ' ' };
    while let Some(c) = splitter.chars.next() {
        splitter.step(c);
    }
    splitter.lines
}

/// The code of a file, with its line breaks and without comments and literals.
pub(super) fn code(text: &str) -> String {
    let lines: Vec<String> = split(text).into_iter().map(|line| line.code).collect();
    lines.join("\n")
}

/// The attributes in `code`, each with its line, counted from one, and with what is inside its brackets.
pub(super) fn attributes(code: &str) -> impl Iterator<Item = (usize, &str)> {
    code.match_indices('#').filter_map(|(start, mark)| {
        let (before, after) = (code.get(..start)?, code.get(start + mark.len()..)?.trim_start());
        let after = after.strip_prefix('!').map_or(after, str::trim_start);
        let inside = until_closed(after.strip_prefix('[')?, '[', ']');
        Some((before.matches('\n').count() + 1, inside))
    })
}

/// What comes before the bracket that closes one opened just before `text`.
pub(super) fn until_closed(text: &str, open: char, close: char) -> &str {
    let mut depth = 1_usize;
    for (at, c) in text.char_indices() {
        if c == open {
            depth += 1;
        } else if c == close {
            depth -= 1;
            if depth == 0 {
                return text.get(..at).unwrap_or(text);
            }
        }
    }
    text
}

/// What stands before and behind each whole `word` of `text`.
pub(super) fn uses<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    text.match_indices(word)
        .filter_map(move |(start, _)| Some((text.get(..start)?, text.get(start + word.len()..)?)))
        .filter(|(before, after)| !before.ends_with(is_word) && !after.starts_with(is_word))
}

/// Whether `text` has `word` with no part of a name on either side.
pub(super) fn has_word(text: &str, word: &str) -> bool {
    uses(text, word).next().is_some()
}

/// How many lines come before the tests: before the first line that is exactly `#[cfg(test)]` and
/// stands for a module written out below it.
pub(super) fn body_length(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let starts_tests = |index: &usize| {
        let mut rest = lines.iter().skip(*index);
        rest.next() == Some(&"#[cfg(test)]")
            && rest.find(|line| !line.starts_with(['#', ' ', ')'])).is_some_and(|item| {
                (item.starts_with("mod ") || item.contains(" mod ")) && item.ends_with('{')
            })
    };
    (0..lines.len()).find(starts_tests).unwrap_or(lines.len())
}

struct Splitter<'a> {
    chars: Peekable<Chars<'a>>,
    lines: Vec<Line>,
    /// The last character of code, which tells `r"` from `for"`.
    last: char,
}

impl Splitter<'_> {
    fn step(&mut self, c: char) {
        match (c, self.chars.peek().copied()) {
            ('/', Some('/')) => self.line_comment(),
            ('/', Some('*')) => self.block_comment(),
            ('"', _) => self.string(),
            ('r', Some('"' | '#')) if !is_word(self.last) || self.last_is_prefix() => self.raw_string(),
            ('\'', next) => self.quote(next),
            _ => self.code(c),
        }
    }

    /// Whether the last character is a literal's prefix (`br"`, `cr"`) and not the end of a word.
    fn last_is_prefix(&self) -> bool {
        let mut back = self.lines.last().map_or("", |line| line.code.as_str()).chars().rev();
        matches!(back.next(), Some('b' | 'c')) && !back.next().is_some_and(is_word)
    }

    fn code(&mut self, c: char) {
        self.last = c;
        if c == '\n' {
            self.lines.push(Line::default());
        } else if let Some(line) = self.lines.last_mut() {
            line.code.push(c);
        }
    }

    fn comment(&mut self, c: char) {
        if c == '\n' {
            self.lines.push(Line::default());
        } else if let Some(line) = self.lines.last_mut() {
            line.comment.push(c);
        }
    }

    /// Passes over a character of a literal.
    fn literal(&mut self, c: char) {
        if c == '\n' {
            self.lines.push(Line::default());
        }
    }

    fn line_comment(&mut self) {
        self.comment('/');
        while let Some(c) = self.chars.next_if(|c| *c != '\n') {
            self.comment(c);
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 1;
        self.comment('/');
        self.chars.next();
        while depth > 0 {
            let Some(c) = self.chars.next() else { return };
            match (c, self.chars.peek()) {
                ('/', Some('*')) => {
                    depth += 1;
                    self.chars.next();
                }
                ('*', Some('/')) => {
                    depth -= 1;
                    self.chars.next();
                }
                _ => self.comment(c),
            }
        }
    }

    fn string(&mut self) {
        self.code('"');
        while let Some(c) = self.chars.next() {
            self.literal(c);
            if c == '"' {
                break;
            }
            if c == '\\'
                && let Some(escaped) = self.chars.next()
            {
                self.literal(escaped);
            }
        }
        self.code('"');
    }

    /// After an `r`: a raw string, or a raw name such as `r#type`.
    fn raw_string(&mut self) {
        self.code('r');
        let mut hashes = 0;
        while self.chars.next_if_eq(&'#').is_some() {
            hashes += 1;
        }
        if self.chars.next_if_eq(&'"').is_none() {
            return;
        }
        self.code('"');
        while let Some(c) = self.chars.next() {
            self.literal(c);
            if c == '"' {
                let closing = (0..hashes).take_while(|_| self.chars.next_if_eq(&'#').is_some()).count();
                if closing == hashes {
                    break;
                }
            }
        }
        self.code('"');
    }

    /// After a `'`: a character such as `'x'` or `'\n'`, or a lifetime.
    fn quote(&mut self, next: Option<char>) {
        self.code('\'');
        let mut ahead = self.chars.clone();
        ahead.next();
        if next == Some('\\') {
            self.chars.next();
            self.chars.next();
            self.chars.by_ref().find(|c| *c == '\'');
            self.code('\'');
        } else if ahead.next() == Some('\'') {
            self.chars.next();
            self.chars.next();
            self.code('\'');
        }
    }
}

/// Whether `c` may be part of a name.
pub(super) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comments(text: &str) -> String {
        split(text).into_iter().map(|line| line.comment).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn comments_are_apart_from_code() {
        assert_eq!(code("a(); // todo\nb();"), "a(); \nb();");
        assert_eq!(comments("a(); // todo\nb();"), "// todo\n");
        assert_eq!(code("a /* x /* y */ z */ b"), "a  b");
        assert_eq!(comments("a /* x\ny */ b"), "/ x\ny ");
    }

    #[test]
    fn what_is_in_literals_is_neither() {
        assert_eq!(code(r#"f("todo!() // \" no", x)"#), r#"f("", x)"#);
        assert_eq!(code(r##"f(r#"a " todo!()"#, x)"##), r#"f(r"", x)"#);
        assert_eq!(code(r#"f(br"todo!()", b"todo!()")"#), r#"f(br"", b"")"#);
        assert_eq!(code("f(\"one\ntwo\") + g"), "f(\"\n\") + g");
    }

    #[test]
    fn characters_lifetimes_and_raw_names_do_not_open_a_string() {
        assert_eq!(code(r#"f('"', '\'', '\u{1b}', 'x') + "s""#), r#"f('', '', '', '') + """#);
        assert_eq!(code("fn f<'a>(x: &'a str) -> &'static str { \"s\" }").matches('"').count(), 2);
        assert_eq!(code("let r#type = \"s\";"), "let rtype = \"\";");
        assert_eq!(code("for\"x\""), "for\"\"");
    }

    #[test]
    fn an_open_literal_or_comment_ends_with_the_file() {
        assert_eq!(code("a \"b"), "a \"\"");
        assert_eq!(code("a /* b"), "a ");
    }

    #[test]
    fn attributes_come_whole_with_their_first_line() {
        let text = code("#![a]\n// #[no]\n#[b(\n  \"]\",\n  [c],\n)] fn f() { g(\"#[no]\") }");
        let found: Vec<_> =
            attributes(&text).map(|(line, inside)| (line, inside.replace('\n', ""))).collect();
        assert_eq!(found, [(1, "a".to_owned()), (3, "b(  \"\",  [c],)".to_owned())]);
        assert_eq!(attributes("#[open").collect::<Vec<_>>(), [(1, "open")]);
    }

    #[test]
    fn the_body_ends_where_the_test_module_begins() {
        assert_eq!(body_length("//! x\nfn a() {}\n"), 2);
        assert_eq!(body_length("//! x\nfn a() {}\n\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\n"), 3);
        assert_eq!(body_length("//! x\n#[cfg(test)]\n#[expect(x)]\npub(crate) mod tests {\n}\n"), 1);
    }

    #[test]
    fn a_test_only_import_or_a_module_in_its_own_file_does_not_end_the_body() {
        assert_eq!(body_length("//! x\n#[cfg(test)]\nuse a::b;\nfn c() {}\n"), 4);
        assert_eq!(body_length("//! x\n#[cfg(test)]\nmod tests;\nfn c() {}\n"), 4);
        assert_eq!(body_length("//! x\n    #[cfg(test)]\nfn c() {}\n"), 3);
    }
}
