use std::fs;

use super::secrets::shown;
use super::unknown::is_one_typo_away;
use super::*;

fn variables(pairs: &[(&'static str, &str)]) -> Variables {
    Variables::default().with(
        pairs
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned())),
    )
}

#[test]
fn secret_file_loses_its_final_newline() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "s3cret \n").unwrap();
    let variables = variables(&[("JWT_SECRET_FILE", file.path().to_str().unwrap())]);
    let secret = Reader::new(&variables).secret("JWT_SECRET").unwrap();
    assert_eq!(secret.expose(), b"s3cret ");
}

#[test]
fn secret_from_a_pipe_can_be_read_again() {
    let (pipe, mut writer) = std::io::pipe().unwrap();
    std::io::Write::write_all(&mut writer, b"s3cret \n").unwrap();
    drop(writer);
    let path = format!("/dev/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&pipe));
    let variables = variables(&[("JWT_SECRET_FILE", &path)]);
    let mut reader = Reader::new(&variables);
    assert_eq!(reader.secret("JWT_SECRET").unwrap().expose(), b"s3cret ");
    let of_others = reader.with_variables(&variables);
    for reader in [&reader, &of_others] {
        let again = reader.secret_again("JWT_SECRET").unwrap();
        assert_eq!(again.expose(), b"s3cret");
    }
}

#[test]
fn secret_given_twice_or_in_a_missing_file_is_a_problem() {
    let twice = variables(&[("JWT_SECRET", "a"), ("JWT_SECRET_FILE", "b")]);
    let mut reader = Reader::new(&twice);
    assert!(reader.secret("JWT_SECRET").is_none());
    assert_eq!(
        reader.problems[0].to_string(),
        "JWT_SECRET: both JWT_SECRET and JWT_SECRET_FILE are set; keep one"
    );
    let missing = variables(&[("JWT_SECRET_FILE", "/nonexistent/secret")]);
    let mut reader = Reader::new(&missing);
    assert!(reader.secret("JWT_SECRET").is_none());
    assert_eq!(reader.problems[0].name, "JWT_SECRET_FILE");
}

#[test]
fn switch_is_never_guessed() {
    let variables = variables(&[("ENABLE_DB_CHECK", "ture")]);
    let mut reader = Reader::new(&variables);
    assert!(!reader.switch("ENABLE_DB_CHECK", false));
    assert_eq!(
        reader.problems[0].to_string(),
        "ENABLE_DB_CHECK: `ture` is neither `true` nor `false`"
    );
}

#[test]
fn invalid_connection_string_is_not_shown() {
    assert_eq!(
        shown("sqlite://users.db?mode=ro"),
        "sqlite://users.db?mode=ro"
    );
    assert_eq!(shown("password"), "(set)");
    assert_eq!(shown("postgres://u:p/w@db"), "(set)");
}

#[test]
fn port_variable_of_kubernetes_is_ignored() {
    let variables = variables(&[("REDIS_PORT", "tcp://10.96.0.10:6379")]);
    let mut reader = Reader::new(&variables);
    assert_eq!(reader.port("REDIS_PORT"), None);
    assert!(reader.problems.is_empty());
    assert!(reader.warnings[0].contains("enableServiceLinks"));
}

#[test]
fn typo_is_one_letter() {
    for typo in ["REDIS_HOTS", "REDIS_HOSTS", "REDIS_HST", "REDIS_HOAT"] {
        assert!(is_one_typo_away(typo, "REDIS_HOST"), "{typo}");
    }
    assert!(!is_one_typo_away("REDIS_PORT", "REDIS_HOST"));
    assert!(!is_one_typo_away("REDIS_HOST", "REDIS_HOST"));
}
