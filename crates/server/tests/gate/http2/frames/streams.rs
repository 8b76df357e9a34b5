//! Rules about streams and the requests on them (RFC 9113 §5, §6, §8).

use super::case::Effect::{Ends, Is};
use super::case::{Case, FLOW_CONTROL_ERROR, PROTOCOL_ERROR, STREAM_CLOSED};
use crate::http2::wire::{
    DATA, END_HEADERS, END_STREAM, HEADERS, WINDOW_UPDATE, WITH_PRIORITY, block, frame, get, post,
    public,
};

pub(super) fn on_streams() -> Vec<Case> {
    let with = |more: &[(&str, &str)]| {
        let fields = [&public("/public/")[..], more].concat();
        frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&fields))
    };
    let without = |name: &str| {
        let mut fields = public("/public/");
        fields.retain(|(other, _)| *other != name);
        frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&fields))
    };
    let first = |name, value| {
        let fields = [&[(name, value)], &public("/public/")[..]].concat();
        frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&fields))
    };
    let trailers = |fields: &[(&str, &str)], flags| {
        let trailers = frame(HEADERS, END_HEADERS | flags, 1, &block(fields));
        [post(1, "/public/", &[]), trailers].concat()
    };
    let mut depends_on_itself = 1_u32.to_be_bytes().to_vec();
    depends_on_itself.push(16);
    depends_on_itself.extend(block(&public("/public/")));
    vec![
        Case(
            "5.1 DATA behind the end of a stream",
            [get(1, "/hold"), frame(DATA, END_STREAM, 1, b"any")].concat(),
            Ends(STREAM_CLOSED),
        ),
        Case(
            "5.3.1 a stream that depends on itself",
            frame(
                HEADERS,
                END_HEADERS | END_STREAM | WITH_PRIORITY,
                1,
                &depends_on_itself,
            ),
            Ends(PROTOCOL_ERROR),
        ),
        Case(
            "6.9 WINDOW_UPDATE of a stream by nothing",
            [get(1, "/hold"), frame(WINDOW_UPDATE, 0, 1, &[0; 4])].concat(),
            Ends(PROTOCOL_ERROR),
        ),
        Case(
            "6.9.1 more room for a stream than there can be",
            [
                get(1, "/hold"),
                frame(WINDOW_UPDATE, 0, 1, &[0x7f, 0xff, 0xff, 0xff]),
            ]
            .concat(),
            Ends(FLOW_CONTROL_ERROR),
        ),
        Case(
            "8.1 trailers without the end of the stream",
            trailers(&[("x-a", "b")], 0),
            Ends(PROTOCOL_ERROR),
        ),
        // `h2` (0.4.20) drops the field, as the gate drops other fields in the trailers of a request.
        Case(
            "8.1 a pseudo-header field in trailers",
            trailers(&[(":path", "/")], END_STREAM),
            Is(200),
        ),
        Case(
            "8.1.1 a body that is too long",
            [
                post(1, "/public/", &[("content-length", "1")]),
                frame(DATA, END_STREAM, 1, b"ab"),
            ]
            .concat(),
            Ends(PROTOCOL_ERROR),
        ),
        Case(
            "8.1.1 a body that is too short",
            [
                post(1, "/public/", &[("content-length", "3")]),
                frame(DATA, END_STREAM, 1, b"ab"),
            ]
            .concat(),
            Ends(PROTOCOL_ERROR),
        ),
        Case(
            "8.1.1 no body where one is announced",
            with(&[("content-length", "3")]),
            Ends(PROTOCOL_ERROR),
        ),
        Case(
            "8.1.1 a body where none is announced",
            [
                post(1, "/public/", &[("content-length", "0")]),
                frame(DATA, END_STREAM, 1, b"ab"),
            ]
            .concat(),
            Ends(PROTOCOL_ERROR),
        ),
        Case(
            "8.1.1 two lengths",
            [
                post(
                    1,
                    "/public/",
                    &[("content-length", "2"), ("content-length", "3")],
                ),
                frame(DATA, END_STREAM, 1, b"ab"),
            ]
            .concat(),
            Ends(PROTOCOL_ERROR),
        ),
        Case(
            "8.2 a name with a capital letter",
            with(&[("X-a", "b")]),
            Ends(PROTOCOL_ERROR),
        ),
        Case(
            "8.2.1 a line end in a value",
            with(&[("x-a", "b\r\nc: d")]),
            Ends(PROTOCOL_ERROR),
        ),
        Case(
            "8.2.1 a blank in a name",
            with(&[("x a", "b")]),
            Ends(PROTOCOL_ERROR),
        ),
        Case(
            "8.2.1 a colon in a name",
            with(&[("x:a", "b")]),
            Ends(PROTOCOL_ERROR),
        ),
        Case(
            "8.2.2 Connection",
            with(&[("connection", "close")]),
            Ends(PROTOCOL_ERROR),
        ),
        Case(
            "8.2.2 Keep-Alive",
            with(&[("keep-alive", "5")]),
            Ends(PROTOCOL_ERROR),
        ),
        Case(
            "8.2.2 Proxy-Connection",
            with(&[("proxy-connection", "close")]),
            Ends(PROTOCOL_ERROR),
        ),
        Case(
            "8.2.2 Transfer-Encoding",
            with(&[("transfer-encoding", "chunked")]),
            Ends(PROTOCOL_ERROR),
        ),
        Case(
            "8.2.2 Upgrade",
            with(&[("upgrade", "websocket")]),
            Ends(PROTOCOL_ERROR),
        ),
        Case(
            "8.2.2 TE that wants more than trailers",
            with(&[("te", "gzip")]),
            Ends(PROTOCOL_ERROR),
        ),
        Case(
            "8.2.2 TE that wants trailers",
            with(&[("te", "trailers")]),
            Is(200),
        ),
        Case(
            "8.3 an unknown pseudo-header field",
            with(&[(":user", "ada")]),
            Ends(PROTOCOL_ERROR),
        ),
        Case(
            "8.3 one of an answer",
            with(&[(":status", "200")]),
            Ends(PROTOCOL_ERROR),
        ),
        Case(
            "8.3 one behind a field",
            first("x-a", "b"),
            Ends(PROTOCOL_ERROR),
        ),
        Case("8.3.1 no method", without(":method"), Ends(PROTOCOL_ERROR)),
        Case("8.3.1 no scheme", without(":scheme"), Ends(PROTOCOL_ERROR)),
        Case("8.3.1 no path", without(":path"), Ends(PROTOCOL_ERROR)),
        Case("8.3.1 no host", without(":authority"), Is(400)),
        Case(
            "8.3.1 two methods",
            first(":method", "POST"),
            Ends(PROTOCOL_ERROR),
        ),
        Case(
            "8.3.1 two paths",
            with(&[(":path", "/")]),
            Ends(PROTOCOL_ERROR),
        ),
        Case(
            "8.3.1 another host beside the authority",
            with(&[("host", "other.example")]),
            Is(400),
        ),
        Case(
            "8.3.1 the same host beside the authority",
            with(&[("host", "gate.example")]),
            Is(200),
        ),
        Case(
            "8.5 CONNECT",
            frame(
                HEADERS,
                END_HEADERS,
                1,
                &block(&[(":method", "CONNECT"), (":authority", "a:80")]),
            ),
            Is(405),
        ),
        Case(
            "8.5 CONNECT with a path",
            frame(
                HEADERS,
                END_HEADERS,
                1,
                &block(&[
                    (":method", "CONNECT"),
                    (":authority", "a:80"),
                    (":path", "/"),
                ]),
            ),
            Ends(PROTOCOL_ERROR),
        ),
    ]
}
