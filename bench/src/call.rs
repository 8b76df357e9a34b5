//! The gRPC call with which Envoy asks for a decision.

/// The message `envoy.service.auth.v3.CheckRequest` about one GET request, as the body of a gRPC call.
///
/// It is encoded by hand (<https://protobuf.dev/programming-guides/encoding/>), because it needs only these few fields.
pub(crate) fn check_request(host: &str, path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut http = field(METHOD, b"GET");
    for (name, value) in headers {
        let entry = [field(KEY, name.as_bytes()), field(VALUE, value.as_bytes())];
        http.extend(field(HEADERS, &entry.concat()));
    }
    http.extend(field(PATH, path.as_bytes()));
    http.extend(field(HOST, host.as_bytes()));
    http.extend(field(SCHEME, b"http"));
    http.extend(field(PROTOCOL, b"HTTP/1.1"));
    let message = field(ATTRIBUTES, &field(REQUEST, &field(HTTP, &http)));
    let length = u32::try_from(message.len()).expect("a short message");
    // The prefix of a gRPC message: a flag (0: not compressed) and the length.
    [&[0], &length.to_be_bytes()[..], &message].concat()
}

/// Encodes a length-delimited field.
fn field(number: u8, value: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    let mut length = value.len();
    while length > 0x7f {
        field.push(length as u8 | 0x80);
        length >>= 7;
    }
    field.push(length as u8);
    field.extend_from_slice(value);
    field
}

// envoy/service/auth/v3/external_auth.proto, CheckRequest
const ATTRIBUTES: u8 = 1;
// envoy/service/auth/v3/attribute_context.proto: AttributeContext, Request and HttpRequest
const REQUEST: u8 = 4;
const HTTP: u8 = 2;
const METHOD: u8 = 2;
const HEADERS: u8 = 3;
const PATH: u8 = 4;
const HOST: u8 = 5;
const SCHEME: u8 = 6;
const PROTOCOL: u8 = 10;
// an entry of a map
const KEY: u8 = 1;
const VALUE: u8 = 2;

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn lengths_are_written_in_groups_of_seven_bits() {
        assert_eq!(field(1, b"ab"), b"\x0a\x02ab");
        assert_eq!(field(2, &[7; 300])[..3], [0x12, 0xac, 0x02]);
    }
}
