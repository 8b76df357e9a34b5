//! Suggestions for misspelled words.

/// The known word that is most similar to `word`, if one is similar enough.
pub(super) fn nearest<'a>(word: &str, known: &'a [String]) -> Option<&'a str> {
    let plain = |word: &str| word.to_ascii_lowercase().replace('-', "_");
    let word = plain(word);
    let limit = (word.len() / 3).clamp(1, 3);
    let distances = known.iter().map(|known| {
        let distance = strsim::damerau_levenshtein(&word, &plain(known));
        (distance, known.as_str())
    });
    let (distance, nearest) = distances.min()?;
    (distance <= limit).then_some(nearest)
}

/// The problem of a URL parameter that is unknown or unsupported.
pub(super) fn unsupported_parameter(
    name: &str,
    known: impl IntoIterator<Item = &'static str>,
) -> String {
    let known: Vec<_> = known.into_iter().map(str::to_owned).collect();
    let meant = nearest(name, &known).filter(|meant| *meant != name);
    let instead = match meant {
        Some(meant) => format!("did you mean `{meant}`? If not, remove it from the URL"),
        None => "remove it from the URL".to_owned(),
    };
    format!("it is not supported and would have no effect; {instead}")
}

/// Lists words for a sentence: "`a`, `b` and `c`".
pub(super) fn listed(words: &[String]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

/// The help for a word that is not known: the known words, and the one that was probably meant.
pub(super) fn known_words<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    let known: Vec<_> = known.into_iter().map(str::to_owned).collect();
    let listing = match known.as_slice() {
        [one] => format!("the only one is `{one}`"),
        several => format!("the known ones are {}", listed(several)),
    };
    match nearest(word, &known) {
        Some(nearest) => format!("did you mean `{nearest}`? {listing}"),
        None => listing,
    }
}
