//! Relative links in Markdown files.
//!
//! Promises: each points to a file or folder of the repository. Examples in code are not links.
//!
//! Refuses: other sites, which a run must not depend on, and headings inside a file.

use super::Finding;
use crate::files::Tree;

/// Checks every Markdown file.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.texts(".md") {
        for (line, target) in links(text) {
            if !is_found(tree, path, target) {
                let what = format!("the link `{target}` leads nowhere: correct it or add the file");
                findings.push(Finding::at_line(path, line, what));
            }
        }
    }
    findings
}

/// The targets of a file's links, each with its line.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut links = Vec::new();
    let mut fenced = false;
    for (index, line) in text.lines().enumerate() {
        if ["```", "~~~"].iter().any(|fence| line.trim_start().starts_with(fence)) {
            fenced = !fenced;
        } else if !fenced {
            links.extend(inline(line).chain(definition(line)).map(|target| (index + 1, target)));
        }
    }
    links
}

/// `[text](target)`, outside backticks.
fn inline(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("](").filter_map(|(start, mark)| {
        let (before, after) = (line.get(..start)?, line.get(start + mark.len()..)?);
        // The text of a link may itself be code, so only an open backtick means an example.
        let in_code = before.matches('`').count() % 2 == 1;
        let (target, _) = after.split_once(')')?;
        (!in_code).then_some(first_word(target))
    })
}

/// `[name]: target`, on a line of its own.
fn definition(line: &str) -> Option<&str> {
    let (name, target) = line.strip_prefix('[')?.split_once("]:")?;
    let target = first_word(target);
    (!name.contains(']') && !name.starts_with('^') && !target.is_empty()).then_some(target)
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
    fn a_link_may_not_leave_the_repository_or_be_empty() {
        assert_eq!(findings("[a](../../../outside.md)").len(), 1);
        assert_eq!(findings("[a]()").len(), 1);
    }

    #[test]
    fn examples_in_code_are_not_links() {
        assert_eq!(findings("`[a](missing.md)`\n```\n[b](missing.md)\n```\n"), [""; 0]);
    }
}
