//! What somebody probably meant.

/// A longer word is nobody's slip of the finger, and comparing it takes long.
const LONGEST: usize = 64;

/// The candidate nearest by edits, if it is near enough to be worth naming; of several as near, the one made of
/// the same letters.
pub(crate) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > LONGEST {
        return None;
    }
    let word = word.to_lowercase();
    let reach = (word.chars().count() / 3).clamp(1, 4);
    candidates
        .map(|candidate| (strsim::osa_distance(&word, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= reach)
        .min_by(|(one, this), (other, that)| {
            let alike = |candidate: &str| strsim::jaro(&word, &candidate.to_lowercase());
            one.cmp(other).then_with(|| alike(that).total_cmp(&alike(this)))
        })
        .map(|(_, candidate)| candidate)
}

/// `"a", "b" or "c"`.
pub(crate) fn either(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    match quoted.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}
