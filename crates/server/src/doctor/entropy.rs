//! Estimates how hard a secret is to guess, from its characters.
//!
//! A single sample cannot prove randomness. But it can show that a secret is not random: it repeats itself, counts up, or
//! consists of words. The rest is assumed to be random characters from the alphabet that it uses.

/// An upper bound for the bits of randomness in the secret.
pub(super) fn bits(secret: &[u8]) -> f64 {
    let once = without_repetition(secret);
    if is_prose(once) {
        return once.iter().map(bits_in_prose).sum();
    }
    let alphabet = alphabet(once);
    let per_character = alphabet.log2();
    let mut bits = 0.0;
    for run in runs(once) {
        let fresh = run.len() - predictable(run);
        let per_fresh = match is_wordy(run) {
            true => per_character.min(BITS_PER_LETTER),
            false => per_character,
        };
        #[expect(clippy::cast_precision_loss, reason = "secrets are short")]
        let fresh = fresh as f64;
        bits += fresh * per_fresh;
    }
    bits
}

/// The shortest part whose repetition gives the whole secret.
fn without_repetition(secret: &[u8]) -> &[u8] {
    let repeats = |period: &usize| {
        let mut pairs = secret.iter().zip(&secret[*period..]);
        pairs.all(|(one, other)| one == other)
    };
    let period = (1..=secret.len() / 2).find(repeats);
    &secret[..period.unwrap_or(secret.len())]
}

/// The size of the alphabet that the secret uses.
fn alphabet(secret: &[u8]) -> f64 {
    let has = |of: fn(&u8) -> bool| secret.iter().any(of);
    if secret.iter().all(u8::is_ascii_digit) {
        return 10.0;
    }
    if secret.iter().all(u8::is_ascii_hexdigit) {
        return 16.0;
    }
    [
        (has(u8::is_ascii_lowercase), 26.0),
        (has(u8::is_ascii_uppercase), 26.0),
        (has(u8::is_ascii_digit), 10.0),
        (has(|byte| !byte.is_ascii_alphanumeric()), 6.0),
    ]
    .into_iter()
    .filter_map(|(is_used, size)| is_used.then_some(size))
    .sum()
}

/// Splits the secret into runs of letters and of other characters.
fn runs(secret: &[u8]) -> impl Iterator<Item = &[u8]> {
    secret.chunk_by(|one, other| one.is_ascii_alphabetic() == other.is_ascii_alphabetic())
}

/// Counts characters that equal their predecessor, or differ from it by one: `aaaa`, `1234`.
fn predictable(run: &[u8]) -> usize {
    let steps = run
        .windows(2)
        .map(|pair| i16::from(pair[1]) - i16::from(pair[0]));
    let steps: Vec<_> = steps.collect();
    // One such step may be chance; two equal ones in a row are not.
    let pairs = steps.windows(2);
    pairs
        .filter(|pair| pair[0] == pair[1] && pair[0].abs() <= 1)
        .count()
}

/// Whether a run of letters resembles words: a third of its pairs are among the most common in English. For random letters
/// it is a tenth.
fn is_wordy(run: &[u8]) -> bool {
    if run.len() < 4 || !run.iter().all(u8::is_ascii_alphabetic) {
        return false;
    }
    let common = run.windows(2).filter(|pair| is_common(pair)).count();
    common * 3 >= run.len() - 1
}

/// Whether the secret consists mostly of words, possibly short ones: this many common pairs of letters are rarely chance.
fn is_prose(secret: &[u8]) -> bool {
    let words = || {
        secret
            .split(|byte| !byte.is_ascii_alphabetic())
            .filter(|run| is_spelled(run))
    };
    let letters: usize = words().map(<[u8]>::len).sum();
    let pairs = || words().flat_map(|word| word.windows(2));
    let common = pairs().filter(|pair| is_common(pair)).count();
    letters * 5 >= secret.len() * 3 && pairs().count() >= 10 && common * 5 >= pairs().count() * 2
}

/// Whether letters are capitalized like a word: in lower case, with at most a capital first letter.
fn is_spelled(run: &[u8]) -> bool {
    run.len() >= 2 && run[1..].iter().all(u8::is_ascii_lowercase)
}

/// The bits of a character among words. Separators between words are nearly always the same.
fn bits_in_prose(byte: &u8) -> f64 {
    match byte {
        b'0'..=b'9' => 10_f64.log2(),
        b'A'..=b'Z' | b'a'..=b'z' => BITS_PER_LETTER,
        _ => 1.0,
    }
}

fn is_common(pair: &[u8]) -> bool {
    let pair = pair.to_ascii_lowercase();
    let mut common = COMMON_PAIRS.as_bytes().chunks(3);
    common.any(|common| common[..2] == pair[..])
}

/// The entropy of a letter in English text, in bits, generously (Shannon, "Prediction and Entropy of Printed English", 1951:
/// about one bit; words that a person has picked are worth more).
const BITS_PER_LETTER: f64 = 2.0;

const COMMON_PAIRS: &str = "th he in er an re nd at on nt ha es st en ed to it ou ea hi is or ti as te et ng of al de se le sa \
                            si ar ve ra ld ur ec cr pr ro ic ne li ll co me io ma us ut ch om ss wo pa ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_generators_print_is_strong() {
        for secret in [
            // openssl rand -hex 16, -hex 32, -base64 24, -base64 33; npx auth secret; a UUID twice; passwords of managers.
            "9f86d081884c7d659a2feaa0c55ad015",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "q83vEjRWeJq7zd7wESIzRFVmd4iZqrvM",
            "mXk3Jc0aHq9vQ2fLw7tYp5RzN8sBd1GuEoVi6xCyTnKh",
            "tools-secret-7f3kQ9xW2mVb8Rz1LtYc5NdJ0pA",
            "6f1c3a52-9d0e-4b7f-8a2d-5e9c7b1f0a34",
            "xK!9fQ#2mZ@7wLp$4vRt&8nBc*3hJd^5",
            "wqzkvjxmpfhbygdtrlnscuaoeiqzxkvw",
        ] {
            assert!(
                bits(secret.as_bytes()) >= 100.0,
                "{secret}: {}",
                bits(secret.as_bytes())
            );
        }
    }

    #[test]
    fn words_and_patterns_are_weak() {
        for secret in [
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "abcdefghijklmnopqrstuvwxyz0123456789",
            "12345678901234567890123456789012",
            "secretsecretsecretsecretsecretsecret",
            "this-is-the-secret-of-our-company",
            "please change me before going live",
            "my_super_secret_key_for_the_shop_2024",
            "",
        ] {
            assert!(
                bits(secret.as_bytes()) < 100.0,
                "{secret}: {}",
                bits(secret.as_bytes())
            );
        }
    }
}
