//! Schemes that authenticate a connection, a concept that HTTP itself does not have.

/// Whether a challenge (`WWW-Authenticate`) or the answer to one (`Authorization`) is of a scheme that authenticates the
/// connection instead of the request: NTLM, and Negotiate (RFC 4559 §6, which forbids proxies to share such a connection). The
/// server treats all later requests on the connection as requests of the same user.
pub fn binds_connection(value: &[u8]) -> bool {
    let challenges = value.split(|byte| *byte == b',');
    challenges.map(<[u8]>::trim_ascii).any(|challenge| {
        let mut words = challenge.split(u8::is_ascii_whitespace);
        let scheme = words.next().unwrap_or_default();
        let mut schemes = [&b"negotiate"[..], b"ntlm"].into_iter();
        schemes.any(|bound| bound.eq_ignore_ascii_case(scheme))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_schemes_bind_a_connection() {
        for value in [
            "NTLM",
            "ntlm TlRMTVNTUAAB",
            "Negotiate",
            "Basic realm=\"a\", Negotiate",
            "Negotiate,NTLM",
        ] {
            assert!(binds_connection(value.as_bytes()), "{value}");
        }
        for value in [
            "",
            "Basic bnRsbQ==",
            "Bearer ntlm",
            "Digest realm=\"ntlm\"",
            "NTLMv2",
        ] {
            assert!(!binds_connection(value.as_bytes()), "{value}");
        }
    }
}
