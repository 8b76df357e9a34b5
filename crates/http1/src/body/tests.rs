use super::*;

/// Decodes a body that arrives in pieces of `size` bytes. Returns the body, and the bytes that follow it.
fn decode(length: Length, bytes: &[u8], size: usize) -> Result<(Vec<u8>, Vec<u8>), Violation> {
    decode_with(Decoder::of_request(length), bytes, size)
}

fn decode_with(
    mut decoder: Decoder,
    bytes: &[u8],
    size: usize,
) -> Result<(Vec<u8>, Vec<u8>), Violation> {
    let (mut input, mut body) = (BytesMut::new(), Vec::new());
    let mut pieces = bytes.chunks(size);
    loop {
        match decoder.next(&mut input)? {
            Piece::Data(length) => {
                body.extend_from_slice(&input.split_to(length));
                decoder.consumed(length);
            }
            Piece::End => break,
            Piece::Unknown => match pieces.next() {
                Some(piece) => input.extend_from_slice(piece),
                None => return Err(Violation::TooLarge),
            },
        }
    }
    pieces.for_each(|piece| input.extend_from_slice(piece));
    Ok((body, input.to_vec()))
}

#[test]
fn a_body_is_the_same_in_one_read_and_in_many() {
    for (length, bytes, body) in [
        (Length::Exactly(5), &b"hello, GET"[..], &b"hello"[..]),
        (Length::NONE, b"GET", b""),
        (Length::Chunked, b"5\r\nhello\r\n0\r\n\r\nGET", b"hello"),
        (
            Length::Chunked,
            b"3\r\nhel\r\n002;a=b\r\nlo\r\n0\r\nX-T: v\r\n\r\n",
            b"hello",
        ),
        (
            Length::Chunked,
            b"5 \t;a = b \r\nhello\r\n0 ; c\r\n\r\n",
            b"hello",
        ),
    ] {
        let whole = decode(length, bytes, bytes.len()).unwrap();
        assert_eq!(whole.0, body, "{}", bytes.escape_ascii());
        for size in 1..bytes.len() {
            assert_eq!(decode(length, bytes, size).as_ref(), Ok(&whole));
        }
    }
}

#[test]
fn every_other_spelling_of_a_chunk_is_refused() {
    for size in [
        "",
        "g",
        "+5",
        "-5",
        " 5",
        "5 ",
        "0x5",
        "5_0",
        "11111111111111111",
        ";a",
        "5;a\x01",
    ] {
        let bytes = format!("{size}\r\nhello\r\n0\r\n\r\n");
        let refused = decode(Length::Chunked, bytes.as_bytes(), 100);
        assert_eq!(refused, Err(Violation::Chunk), "{size:?}");
    }
    for bytes in [
        &b"5\nhello\r\n0\r\n\r\n"[..],
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"5\r\nhello\r\n0\r\n\n",
    ] {
        let refused = decode(Length::Chunked, bytes, 100);
        assert_eq!(refused, Err(Violation::Chunk), "{}", bytes.escape_ascii());
    }
    for trailer in ["no colon", " folded: a", "a : b", ": b", "a: \0", "a: \rb"] {
        let bytes = format!("0\r\n{trailer}\r\n\r\n");
        let refused = decode(Length::Chunked, bytes.as_bytes(), 100);
        assert_eq!(refused, Err(Violation::FieldLine), "{trailer:?}");
    }
}

#[test]
fn responses_are_read_as_other_clients_read_them() {
    for bytes in [
        "5 \r\nhello\r\n0\r\n\r\n",
        "00000005\t \r\nhello\r\n0 \r\n\r\n",
        "5 ; a=b\r\nhello\r\n0;\r\n\r\n",
        "5\nhello\n0\n\n",
        "5\r\nhello\r\n0\r\nX-T: v\n\n",
    ] {
        for size in 1..bytes.len() {
            let decoder = Decoder::of_answer(Length::Chunked);
            let read = decode_with(decoder, bytes.as_bytes(), size);
            assert_eq!(read, Ok((b"hello".to_vec(), Vec::new())), "{bytes:?}");
        }
    }
    for size in [
        "",
        " ",
        " 5",
        "5 5",
        "5x",
        "0x5",
        "-5",
        ";a",
        "11111111111111111",
    ] {
        let bytes = format!("{size}\r\nhello\r\n0\r\n\r\n");
        let decoder = Decoder::of_answer(Length::Chunked);
        let refused = decode_with(decoder, bytes.as_bytes(), 100);
        assert_eq!(refused, Err(Violation::Chunk), "{size:?}");
    }
    let decoder = Decoder::of_answer(Length::Chunked);
    let refused = decode_with(decoder, b"5\r\nhello world\r\n0\r\n\r\n", 100);
    assert_eq!(refused, Err(Violation::Chunk));
}

#[test]
fn trailers_are_kept_on_request() {
    let bytes = "1\r\na\r\n0\r\nGrpc-Status: 0\r\nx-a: b\r\nX-A: c\r\n\r\n";
    for keeps in [true, false] {
        let mut decoder = Decoder::of_answer(Length::Chunked);
        if keeps {
            decoder.keep_trailers();
        }
        let mut input = BytesMut::from(bytes);
        while let Piece::Data(length) = decoder.next(&mut input).unwrap() {
            input.advance(length);
            decoder.consumed(length);
        }
        assert!(decoder.is_over());
        let trailers = decoder.take_trailers();
        assert_eq!(trailers.is_some(), keeps);
        if let Some(trailers) = trailers {
            assert_eq!(trailers["grpc-status"], "0");
            assert_eq!(trailers.get_all("x-a").iter().count(), 2);
        }
        assert!(decoder.take_trailers().is_none());
    }
}

#[test]
fn endless_framing_is_refused() {
    let long = "a: b\r\n".repeat(LONGEST_TRAILER / 6 + 1);
    let bytes = format!("0\r\n{long}\r\n");
    let refused = decode(Length::Chunked, bytes.as_bytes(), bytes.len());
    assert_eq!(refused, Err(Violation::TooLarge));
    let line = "1".repeat(LONGEST_TRAILER + 1);
    let refused = decode(Length::Chunked, line.as_bytes(), line.len());
    assert_eq!(refused, Err(Violation::TooLarge));
}
