//! The initial inputs of the fuzz targets for other protocols than HTTP/1.1, and for both sides of an HTTP/1.1 connection.

/// The inputs of each target.
pub(super) const INPUTS: [(&str, &[&[u8]]); 5] = [
    ("exchanges", &EXCHANGES),
    ("field_values", &FIELD_VALUES),
    ("frames", &FRAMES),
    ("proxy_headers", &PROXY_HEADERS),
    ("stream_heads", &STREAM_HEADS),
];

// The first six bytes select the method, both lengths, the status, and where the request and the answer are cut; then come both
// bodies.
const EXCHANGES: [&[u8]; 4] = [
    b"\x00\x00\x01\x00\x80\x80the answer",
    b"\x02\x05\x05\x00\x40\xc0the request and the answer",
    b"\x01\x00\x04\x03\x10\xf0abcd",
    b"\x02\x08\x00\x01\xff\x01abcd",
];

const FIELD_VALUES: [&[u8]; 9] = [
    b"1H",
    b"99999999m",
    b"7n",
    b"6.6.6.6, 198.51.100.7:4711, 10.0.0.2",
    b"\"[2001:db8::1]:_hidden\",[::ffff:10.1.2.3]:80,",
    b"unknown, _x, 192.0.2.1:80:80",
    b"for=192.0.2.1;proto=https;host=a, for=\"[2001:db8::1]:80\"",
    b"for=\"\\\"",
    b"By=\"_x\\\"y\";FOR=192.0.2.1;;=",
];

// The first byte is the size of the pieces in which the rest arrives.
const FRAMES: [&[u8]; 6] = [
    b"\x07\0\0\x08\x06\0\0\0\0\0abcdefgh\0\0\0\x04\x01\0\0\0\0",
    b"\x01\0\0\x04\x01\x05\0\0\0\x01abcd\0\0\0\0\x01\0\0\0\x01\0\0\x04\x03\0\0\0\0\x01abcd",
    b"\x03\0\0\0\0\0\0\0\0\x01",
    b"\x02\x81\x82abcdef\x88\x02\x03\xe8",
    b"\x05\x82\x7e\0\x03abc\x89\0",
    b"\x09\x82\xff\0\0\0\0\0\0\0\x02maskab\x88\x80mask",
];

const PROXY_HEADERS: [&[u8]; 7] = [
    b"PROXY TCP4 255.255.255.255 192.0.2.1 65535 443\r\nGET /",
    b"PROXY TCP6 ffff::1 ::ffff:1.2.3.4 1 1\r\n",
    b"PROXY UNKNOWN ffff::1 ffff::1 1 1\r\n",
    b"PROXY UNKNOWN\r\n\r\n",
    b"\r\n\r\n\0\r\nQUIT\n\x20\x11\0\x02abGET /",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0f\x01\x02\x03\x04\x01\x02\x03\x04\0\x01\0\x02\x04\0\0",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24abcdefghijklmnopabcdefghijklmnop\0\x01\0\x02",
];

// The first byte says whether the stream has ended, whether it is a WebSocket, and how many fields are allowed.
const STREAM_HEADS: [&[u8]; 6] = [
    b"\x01GET\nhttps\na.example\n/a?b\ncookie: a=b\ncookie: c=d\naccept: */*",
    b"\xf0POST\nhttps\na.example:8443\n/\ncontent-length: 0012\nhost: A.example:8443",
    b"\xf0PUT\nhttp\na\n/%zz\nhost: b\nexpect: 100-continue",
    b"\x02CONNECT\nhttps\na.example\n/socket\nsec-websocket-version: 13\norigin: https://a",
    b"\x10OPTIONS\nhttps\na\n*\n",
    b"\x10CONNECT\n\na.example:443\n\n",
];
