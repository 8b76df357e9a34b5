//! The rules of RFC 9113 §5, §6 and §8, case by case: a client that breaks one loses its stream or its connection, with the code
//! that the RFC has for it.

use anyhow::Result;

use super::wire::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, Outcome, PADDED, PING,
    PREFACE, PRIORITY, PUSH_PROMISE, RST_STREAM, Raw, SETTINGS, WINDOW_UPDATE, WITH_PRIORITY,
    block, frame, get, post, public,
};
use crate::support::started;

const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const STREAM_CLOSED: u32 = 5;
const FRAME_SIZE_ERROR: u32 = 6;
const REFUSED_STREAM: u32 = 7;
const COMPRESSION_ERROR: u32 = 9;

/// What is to become of a case.
enum Fate {
    /// The connection ends with this code.
    Away(u32),
    /// The first stream is answered with this status.
    Is(u16),
    /// The stream, or the connection, ends with this code.
    Ends(u32),
}
use Fate::{Away, Ends, Is};

struct Case(&'static str, Vec<u8>, Fate);

fn setting(id: u16, value: u32) -> Vec<u8> {
    frame(
        SETTINGS,
        0,
        0,
        &[&id.to_be_bytes()[..], &value.to_be_bytes()].concat(),
    )
}

fn on_connections() -> Vec<Case> {
    let zero = 0_u32.to_be_bytes();
    let large = [0; 16_385];
    vec![
        Case(
            "4.1 a frame of an unknown type",
            [frame(0x16, 0, 0, b"any"), get(1, "/public/")].concat(),
            Is(200),
        ),
        Case(
            "4.1 a reserved bit",
            get(1, "/public/")
                .into_iter()
                .enumerate()
                .map(|(at, byte)| if at == 5 { byte | 0x80 } else { byte })
                .collect(),
            Is(200),
        ),
        Case(
            "4.2 a frame that is too large",
            frame(DATA, 0, 1, &large),
            Away(FRAME_SIZE_ERROR),
        ),
        Case(
            "4.3 a head that cannot be decompressed",
            frame(
                HEADERS,
                END_HEADERS | END_STREAM,
                1,
                &[0xff, 0xff, 0xff, 0xff, 0xff],
            ),
            Away(COMPRESSION_ERROR),
        ),
        Case(
            "4.3 another frame inside a head",
            [
                frame(HEADERS, END_STREAM, 1, &block(&public("/public/"))),
                frame(PING, 0, 0, &[0; 8]),
            ]
            .concat(),
            Away(PROTOCOL_ERROR),
        ),
        Case(
            "5.1 DATA on an idle stream",
            frame(DATA, END_STREAM, 1, b"any"),
            Away(PROTOCOL_ERROR),
        ),
        Case(
            "5.1 RST_STREAM on an idle stream",
            frame(RST_STREAM, 0, 1, &zero),
            Away(PROTOCOL_ERROR),
        ),
        Case(
            "5.1 WINDOW_UPDATE on an idle stream",
            frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]),
            Away(PROTOCOL_ERROR),
        ),
        Case(
            "5.1 CONTINUATION on an idle stream",
            frame(CONTINUATION, END_HEADERS, 1, &[]),
            Away(PROTOCOL_ERROR),
        ),
        Case(
            "5.1.1 a stream with an even number",
            get(2, "/public/"),
            Away(PROTOCOL_ERROR),
        ),
        Case(
            "5.1.1 a stream with a lower number",
            [get(5, "/public/"), get(3, "/public/")].concat(),
            Away(PROTOCOL_ERROR),
        ),
        Case(
            "6.1 DATA on stream 0",
            frame(DATA, 0, 0, b"any"),
            Away(PROTOCOL_ERROR),
        ),
        Case(
            "6.1 padding longer than the frame",
            [
                post(1, "/public/", &[]),
                frame(DATA, PADDED | END_STREAM, 1, &[9, 1]),
            ]
            .concat(),
            Away(PROTOCOL_ERROR),
        ),
        Case(
            "6.2 HEADERS on stream 0",
            get(0, "/public/"),
            Away(PROTOCOL_ERROR),
        ),
        Case(
            "6.2 padding longer than the head",
            frame(HEADERS, PADDED | END_HEADERS, 1, &[200, 0]),
            Away(PROTOCOL_ERROR),
        ),
        Case(
            "6.3 PRIORITY of another length",
            frame(PRIORITY, 0, 1, &[0; 4]),
            Ends(FRAME_SIZE_ERROR),
        ),
        Case(
            "6.3 PRIORITY on stream 0",
            frame(PRIORITY, 0, 0, &[0; 5]),
            Away(PROTOCOL_ERROR),
        ),
        Case(
            "6.4 RST_STREAM on stream 0",
            frame(RST_STREAM, 0, 0, &zero),
            Away(PROTOCOL_ERROR),
        ),
        Case(
            "6.4 RST_STREAM of another length",
            [get(1, "/hold"), frame(RST_STREAM, 0, 1, &[0; 3])].concat(),
            Away(FRAME_SIZE_ERROR),
        ),
        Case(
            "6.5 SETTINGS on a stream",
            frame(SETTINGS, 0, 1, &[]),
            Away(PROTOCOL_ERROR),
        ),
        Case(
            "6.5 SETTINGS of another length",
            frame(SETTINGS, 0, 0, &[0; 5]),
            Away(FRAME_SIZE_ERROR),
        ),
        Case(
            "6.5 an acknowledgement with a payload",
            frame(SETTINGS, ACK, 0, &[0; 6]),
            Away(FRAME_SIZE_ERROR),
        ),
        Case(
            "6.5.2 ENABLE_PUSH of 2",
            setting(2, 2),
            Away(PROTOCOL_ERROR),
        ),
        Case(
            "6.5.2 a window beyond 2^31-1",
            setting(4, 1 << 31),
            Ends(FLOW_CONTROL_ERROR),
        ),
        Case(
            "6.5.2 a frame size below 16,384",
            setting(5, 16_383),
            Away(PROTOCOL_ERROR),
        ),
        Case(
            "6.5.2 a frame size beyond 2^24-1",
            setting(5, 1 << 24),
            Away(PROTOCOL_ERROR),
        ),
        Case(
            "6.5.2 an unknown setting",
            [setting(0xff, 1), get(1, "/public/")].concat(),
            Is(200),
        ),
        Case(
            "6.6 PUSH_PROMISE of a client",
            frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2]),
            Away(PROTOCOL_ERROR),
        ),
        Case(
            "6.7 PING on a stream",
            frame(PING, 0, 1, &[0; 8]),
            Away(PROTOCOL_ERROR),
        ),
        Case(
            "6.7 PING of another length",
            frame(PING, 0, 0, &[0; 7]),
            Away(FRAME_SIZE_ERROR),
        ),
        Case(
            "6.8 GOAWAY on a stream",
            frame(GOAWAY, 0, 1, &[0; 8]),
            Away(PROTOCOL_ERROR),
        ),
        Case(
            "6.9 WINDOW_UPDATE of another length",
            frame(WINDOW_UPDATE, 0, 0, &[0; 3]),
            Away(FRAME_SIZE_ERROR),
        ),
        Case(
            "6.9 WINDOW_UPDATE by nothing",
            frame(WINDOW_UPDATE, 0, 0, &zero),
            Away(PROTOCOL_ERROR),
        ),
        Case(
            "6.9.1 more room than there can be",
            frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff]),
            Away(FLOW_CONTROL_ERROR),
        ),
        Case(
            "6.10 CONTINUATION on another stream",
            [
                frame(HEADERS, END_STREAM, 1, &block(&public("/public/"))),
                frame(CONTINUATION, END_HEADERS, 3, &[]),
            ]
            .concat(),
            Away(PROTOCOL_ERROR),
        ),
        Case(
            "6.10 CONTINUATION after the end of a head",
            [get(1, "/public/"), frame(CONTINUATION, END_HEADERS, 1, &[])].concat(),
            Away(PROTOCOL_ERROR),
        ),
    ]
}

fn on_streams() -> Vec<Case> {
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
        // `h2` drops it (0.4.20), as we do what else is in the trailers of a request.
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

#[tokio::test]
async fn each_rule_that_is_broken_ends_the_stream_or_the_connection() -> Result<()> {
    let (echo, gate) = started([("PUBLIC_PATHS", "/")]).await?;
    let mut wrong = Vec::new();
    for Case(name, bytes, fate) in on_connections().into_iter().chain(on_streams()) {
        let mut raw = Raw::open(&gate).await?;
        raw.write(&bytes).await?;
        let outcome = raw.outcome(1).await?;
        let is_right = match fate {
            // RFC 9113 §5.4.1 leaves it to us how exactly we say it; `h2` does not always say that it is the size.
            Away(code) => [code, PROTOCOL_ERROR].map(Outcome::Away).contains(&outcome),
            Is(status) => outcome == Outcome::Status(status),
            Ends(code) => [
                Outcome::Away(code),
                Outcome::Away(PROTOCOL_ERROR),
                Outcome::Reset(code),
            ]
            .contains(&outcome),
        };
        if !is_right {
            wrong.push(format!("{name}: {outcome:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let seen = echo.seen();
    let is_whole = |seen: &&harness::Seen| seen.complete && !seen.path().starts_with("/public");
    assert_eq!(seen.iter().filter(is_whole).count(), 0, "{seen:#?}");
    Ok(())
}

#[tokio::test]
async fn more_streams_than_allowed_are_refused_and_may_come_again() -> Result<()> {
    let (echo, gate) = started([("PUBLIC_PATHS", "/")]).await?;
    let mut raw = Raw::open(&gate).await?;
    let streams = (0..101).map(|number| number * 2 + 1);
    let requests: Vec<_> = streams.flat_map(|stream| get(stream, "/hold")).collect();
    raw.write(&requests).await?;
    assert_eq!(raw.outcome(201).await?, Outcome::Reset(REFUSED_STREAM));
    for _ in 0..100 {
        echo.release();
    }
    assert_eq!(raw.outcome(199).await?, Outcome::Status(200));
    raw.write(&get(203, "/")).await?;
    assert_eq!(raw.outcome(203).await?, Outcome::Status(200));
    Ok(())
}

#[tokio::test]
async fn a_preface_is_taken_in_pieces_and_only_at_the_beginning() -> Result<()> {
    let (_echo, gate) = started([("PUBLIC_PATHS", "/")]).await?;
    let opening = [PREFACE, &frame(SETTINGS, 0, 0, &[]), &get(1, "/")].concat();
    for size in [1, 5, 20, 23] {
        let mut raw = Raw::connect(gate.proxy).await?;
        for piece in opening.chunks(size) {
            raw.write(piece).await?;
            tokio::task::yield_now().await;
        }
        assert_eq!(raw.outcome(1).await?, Outcome::Status(200), "{size}");
    }
    let mut client = gate.connect().await?;
    assert_eq!(client.get("/").await?.status, 200);
    client.raw(&opening).await?;
    assert_eq!(client.response().await?.status, 400);
    client.closed().await?;
    // What follows is no preface.
    let mut raw = Raw::connect(gate.proxy).await?;
    raw.write(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await?;
    raw.end().await?;
    Ok(())
}
