//! Interim (1xx) responses, such as 103 (RFC 8297), on their way to the client.

use http1::{Field, ResponseHead};

/// The fields of an interim response that are forwarded: neither those of the connection, nor those that the gate writes into the
/// final answer.
pub(crate) fn fields(interim: &ResponseHead) -> impl Iterator<Item = Field<'_>> {
    let hop_by_hop = interim.hop_by_hop();
    let is_ours = |name: &[u8]| OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours));
    let fields = interim.fields();
    fields.filter(move |(name, _)| !hop_by_hop.contains(name) && !is_ours(name))
}

const OURS: [&[u8]; 3] = [b"date", b"strict-transport-security", b"x-request-id"];

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;

    #[test]
    fn early_hints_are_forwarded_without_the_fields_of_the_gate() {
        let head = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nStrict-Transport-Security: max-age=1\r\n\
                    X-Request-Id: theirs\r\nDate: now\r\nConnection: x-a\r\nX-A: b\r\n\r\n";
        let read = http1::read_response(&mut BytesMut::from(head), false);
        let interim = read.unwrap().unwrap();
        let names: Vec<_> = fields(&interim).map(|(name, _)| name).collect();
        assert_eq!(names, [b"Link"]);
    }
}
