//! Replaces `${VARIABLE}` in values of the file.

use super::super::variables::Variables;

/// Replaces `${NAME}` with environment variables, and `$$` with `$`.
///
/// # Errors
/// The problem, and what to write instead.
pub(super) fn replaced(text: &str, environment: &Variables) -> Result<String, (String, String)> {
    let mut replaced = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        replaced.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            replaced.push('$');
            rest = after;
        } else if let Some(after) = rest.strip_prefix('{') {
            let Some((name, after)) = after.split_once('}') else {
                let what = "`${` without `}`".to_owned();
                return Err((what, format!("{FORM}; write `$$` for a literal `$`")));
            };
            if !is_name(name) {
                let what = "`${…}` does not contain the name of a variable".to_owned();
                return Err((what, format!("{FORM}; defaults are not supported")));
            }
            let Some(value) = environment.get(name) else {
                let what = format!("the variable {name} is not set");
                return Err((what, format!("set {name} in the environment of the gate")));
            };
            replaced.push_str(value);
            rest = after;
        } else {
            replaced.push('$');
        }
    }
    replaced.push_str(rest);
    Ok(replaced)
}

/// Whether a text contains `${`.
pub(super) fn contains_reference(text: &str) -> bool {
    text.contains("${")
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    let is_start = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    bytes.next().is_some_and(is_start) && bytes.all(|byte| is_start(byte) || byte.is_ascii_digit())
}

const FORM: &str = "the form is `${NAME}`";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_replaced() {
        let environment =
            Variables::default().with([("A_1", "x$y".to_owned()), ("E", String::new())]);
        for (text, expected) in [
            ("a", Ok("a")),
            ("${A_1}", Ok("x$y")),
            ("-${A_1}-${A_1}-", Ok("-x$y-x$y-")),
            ("$${A_1}", Ok("${A_1}")),
            ("a$b$", Ok("a$b$")),
            ("$$$", Ok("$$")),
            ("${B}", Err("the variable B is not set")),
            ("${E}", Err("the variable E is not set")),
            ("${A_1", Err("`${` without `}`")),
            (
                "${A:-b}",
                Err("`${…}` does not contain the name of a variable"),
            ),
            ("${}", Err("`${…}` does not contain the name of a variable")),
        ] {
            let read = replaced(text, &environment);
            let read = read.as_deref().map_err(|(what, _)| what.as_str());
            assert_eq!(read, expected, "{text}");
        }
    }
}
