//! Relative links in Markdown files.
//!
//! Promises: each points to a file or folder of the repository, whether it is written as Markdown or as
//! HTML, and each name of a link is defined in its file. Examples in code are not links.
//!
//! Refuses: other sites, which a run must not depend on; headings inside a file; and names alone
//! (`[name]`), which cannot be told from plain text.

use super::Finding;
use crate::files::Tree;

/// Checks every Markdown file.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.texts(".md") {
        let prose = prose(text);
        for (line, text) in &prose {
            for target in inline(text).chain(html(text)).chain(definition(text).map(|(_, target)| target)) {
                if !is_found(tree, path, target) {
                    let what = format!("the link `{target}` leads nowhere: correct it or add the file");
                    findings.push(Finding::at_line(path, *line, what));
                }
            }
            for name in references(text).filter(|name| !is_defined(name, &prose)) {
                let what = format!("the link `[{name}]` is not defined: add `[{name}]: target` to the file");
                findings.push(Finding::at_line(path, *line, what));
            }
        }
    }
    findings
}

/// The lines of a file that are not inside a fenced example, counted from one.
fn prose(text: &str) -> Vec<(usize, &str)> {
    let mut prose = Vec::new();
    let mut fenced = false;
    for (index, line) in text.lines().enumerate() {
        if ["```", "~~~"].iter().any(|fence| line.trim_start().starts_with(fence)) {
            fenced = !fenced;
        } else if !fenced {
            prose.push((index + 1, line));
        }
    }
    prose
}

/// `[text](target)`, outside backticks.
fn inline(line: &str) -> impl Iterator<Item = &str> {
    outside_code(line, "](").filter_map(|(_, after)| Some(first_word(after.split_once(')')?.0)))
}

/// `href="target"` and `src="target"` of a tag.
fn html(line: &str) -> impl Iterator<Item = &str> {
    let in_tag = |before: &str| {
        before.ends_with(char::is_whitespace)
            && before.rfind('<').is_some_and(|at| before.rfind('>') < Some(at))
    };
    let values = ["href=", "src="].into_iter().flat_map(|name| outside_code(line, name));
    values.filter(move |(before, _)| in_tag(before)).filter_map(|(_, after)| match after.chars().next() {
        Some(quote @ ('"' | '\'')) => after.split(quote).nth(1),
        _ => after.split([' ', '>']).next(),
    })
}

/// The names in `[text][name]` and `[name][]`.
fn references(line: &str) -> impl Iterator<Item = &str> {
    outside_code(line, "][").filter_map(|(before, after)| {
        let (name, _) = after.split_once(']')?;
        let text = before.rsplit_once('[').map_or(before, |(_, text)| text);
        Some(if name.is_empty() { text } else { name })
    })
}

/// What stands before and behind each `mark`. The text of a link may itself be code, so only an open
/// backtick means an example.
fn outside_code<'a>(line: &'a str, mark: &'static str) -> impl Iterator<Item = (&'a str, &'a str)> {
    line.match_indices(mark)
        .filter_map(|(start, mark)| Some((line.get(..start)?, line.get(start + mark.len()..)?)))
        .filter(|(before, _)| before.matches('`').count() % 2 == 0)
}

/// `[name]: target`, on a line of its own.
fn definition(line: &str) -> Option<(&str, &str)> {
    let (name, target) = line.trim_start().strip_prefix('[')?.split_once("]:")?;
    let target = first_word(target);
    (!name.contains(']') && !name.starts_with('^') && !target.is_empty()).then_some((name, target))
}

/// Names are the same whatever their case and however wide the gaps between their words.
fn is_defined(name: &str, prose: &[(usize, &str)]) -> bool {
    let plain = |name: &str| name.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    prose.iter().filter_map(|(_, line)| definition(line)).any(|(defined, _)| plain(defined) == plain(name))
}

/// The target without a title behind it or angle brackets around it.
fn first_word(target: &str) -> &str {
    let target = target.trim();
    match target.strip_prefix('<').and_then(|inner| inner.split_once('>')) {
        Some((inner, _)) => inner,
        None => target.split_whitespace().next().unwrap_or_default(),
    }
}

fn is_found(tree: &Tree, from: &str, target: &str) -> bool {
    let scheme = target.split_once(':').map(|(scheme, _)| scheme);
    if scheme.is_some_and(|scheme| scheme.chars().all(|c| c.is_ascii_alphanumeric())) {
        return true;
    }
    let path = target.split(['#', '?']).next().unwrap_or_default();
    if path.is_empty() {
        return !target.is_empty();
    }
    let folder = from.rsplit_once('/').map_or("", |(folder, _)| folder);
    resolve(folder, path).is_some_and(|path| tree.has(&path))
}

/// `path` as seen from `folder`, as a path from the root; nothing if it leaves the repository.
fn resolve(folder: &str, path: &str) -> Option<String> {
    let start = if path.starts_with('/') { "" } else { folder };
    let mut parts: Vec<&str> = Vec::new();
    for part in start.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            _ => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::tests::tree;

    fn findings(text: &str) -> Vec<String> {
        let files = [("docs/adr/0001-x.md", text), ("docs/features.md", ""), ("gateway/app/Cargo.toml", "")];
        check(&tree(&files)).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn links_to_files_folders_headings_and_other_sites_pass() {
        let text = "[a](../features.md) and [b](../features.md#rows \"title\") [c](/gateway/app)\n\
                    [d](https://example.org/x) [e](#here) [f](mailto:a@example.org) [`g`](../../gateway/)\n\
                    [h]: ../features.md\n[^1]: a footnote\n[i](<../features.md>) [j](.)";
        assert_eq!(findings(text), [""; 0]);
    }

    #[test]
    fn a_link_that_leads_nowhere_is_named_with_its_line() {
        let said = findings("x\n[a](missing.md) [b](../features.md)\n\n[c]: ../gone.md\n");
        assert_eq!(said.len(), 2);
        assert!(
            said.iter().any(|said| said.starts_with("docs/adr/0001-x.md:2: the link `missing.md`")),
            "{said:?}"
        );
        assert!(
            said.iter().any(|said| said.starts_with("docs/adr/0001-x.md:4: the link `../gone.md`")),
            "{said:?}"
        );
    }

    #[test]
    fn a_name_that_the_file_does_not_define_is_found_with_its_line() {
        let said = findings("x\n[see][nowhere] [Here][] `a[0][1]`\n\n```\n[here]: ../features.md\n```\n");
        for name in ["nowhere", "Here"] {
            let start = format!("docs/adr/0001-x.md:2: the link `[{name}]` is not defined");
            assert!(said.iter().any(|said| said.starts_with(&start)), "{name}: {said:?}");
        }
        assert_eq!(said.len(), 2, "{said:?}");
        let text = "[see][The  page] [the Page][] [![x][the page]][the page]\n\n  [the page]: ../features.md";
        assert_eq!(findings(text), [""; 0]);
    }

    #[test]
    fn links_in_tags_are_followed() {
        for text in ["<a href=\"gone.md\">x</a>", "x <img alt='y' src='gone.md'/>", "<a href=gone.md>x</a>"] {
            let said = findings(text);
            assert!(said.iter().any(|said| said.contains("`gone.md` leads nowhere")), "{text}: {said:?}");
        }
        for text in [
            "<a href=\"../features.md\">x</a> <a href='https://example.org'>y</a>",
            "`<a href=\"gone.md\">`",
            "set href=gone.md, or <b>src=gone.md</b>",
        ] {
            assert_eq!(findings(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn a_link_may_not_leave_the_repository_or_be_empty() {
        assert_eq!(findings("[a](../../../outside.md)").len(), 1);
        assert_eq!(findings("[a]()").len(), 1);
    }

    #[test]
    fn examples_in_code_are_not_links() {
        assert_eq!(findings("`[a](missing.md)`\n```\n[b](missing.md)\n```\n"), [""; 0]);
    }
}
