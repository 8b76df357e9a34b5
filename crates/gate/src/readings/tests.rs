use percent_encoding::percent_decode;

use super::*;

fn reads(path: &str, reading: &str) -> bool {
    let readings = all(path, usize::MAX).expect("there is no limit");
    readings.iter().any(|text| text == reading.as_bytes())
}

#[test]
fn ordinary_paths_have_one_reading() {
    for path in [
        "/",
        "/a",
        "/a/",
        "/a/b.css",
        "/a/.well-known/x",
        "/..a/b",
        "/a:b@c,d+e=f&g!h~i",
        "/v1.2/a.b.c",
    ] {
        assert!(has_one_reading(path), "{path}");
        assert_eq!(all(path, 0), Some(vec![path.into()]), "{path}");
    }
}

#[test]
fn every_step_is_combined_with_the_others() {
    for (path, reading) in [
        ("/a%2fb", "/a/b"),
        ("/a%252fb", "/a/b"),
        ("/a/%2e%2e/b", "/b"),
        ("/a/%252e%252e/b", "/b"),
        ("/a/..;x=1/b", "/b"),
        ("/a/..\\b", "/b"),
        ("/a%5c..%5cb", "/b"),
        ("//a", "/a"),
        ("/a//../b", "/b"),
        ("/a//../b", "/a/b"),
        ("/a;x/b", "/a/b"),
        ("/a;x/b", "/a"),
        ("/a%3bx/b", "/a/b"),
        ("/a#b", "/a"),
        ("/a%23b", "/a"),
        ("/a%3fb", "/a"),
        ("/a%2500b", "/a"),
        ("/a/%c0%ae%c0%ae/b", "/b"),
        ("/a/%c0%2e%c0%2e/b", "/b"),
        ("/a/%e0%80%ae%e0%80%ae/b", "/b"),
        ("/a/%ef%bc%8e%ef%bc%8e/b", "/b"),
        ("/a/%e2%80%a5/b", "/b"),
        ("/a/\u{ff0e}\u{ff0e}/b", "/b"),
        ("/a/%u002e%u002e/b", "/b"),
        ("/a/%%32%65%%32%65/b", "/b"),
        ("/a/..", "/"),
        ("/a/b/.", "/a/b/"),
        ("/../../a", "/a"),
        ("//host/a", "/a"),
        ("///host/a", "/a"),
        ("/\\/host/a", "/a"),
        ("/a%2fb/%2e%2E/c", "/c"),
        ("/%5chost/a", "/a"),
        ("/a./b", "/a/b"),
        ("/a/b.", "/a/b"),
        ("/a%2e/b", "/a/b"),
        ("/a.%20./b", "/a/b"),
        ("/a%20/b", "/a/b"),
        ("/%20a/b", "/a/b"),
        ("/a::$INDEX_ALLOCATION/b", "/a/b"),
        ("/a:$i30:$INDEX_ALLOCATION/b", "/a/b"),
        ("/a%3a%3a%24DATA", "/a"),
        ("/%20/a", "/a"),
        ("/%20/a", "//a"),
        ("/.../a", "/a"),
        ("/x/..%20/a", "/a"),
        ("/x/%20../a", "/a"),
        ("/x/.%20/a", "/x/a"),
        ("/....%5ca", "/a"),
        ("/a/%20", "/a/"),
        ("/a/%c2%a0/b", "/a/b"),
        ("/a%e3%80%80/b", "/a/b"),
        ("/x/%e2%80%8b../a", "/a"),
        ("/x/.%e2%80%8b./a", "/a"),
        ("/%e2%80%8b/a", "/a"),
        ("/x/%c2%ad%2e/a", "/x/a"),
        ("/%ef%b8%8f\u{ff0f}a", "/a"),
    ] {
        assert!(reads(path, reading), "{path} {reading}");
        assert!(!has_one_reading(path), "{path}");
    }
}

#[test]
fn harmless_escapes_encode_ordinary_characters() {
    for path in ["/My%20File.pdf", "/%61%7e/b", "/"] {
        assert!(has_only_harmless_escapes(path), "{path}");
        let decoded = percent_decode(path.as_bytes()).collect::<Vec<_>>();
        let all = all(path, usize::MAX).unwrap();
        let is_known = |reading: &Vec<u8>| reading == path.as_bytes() || *reading == decoded;
        assert!(all.iter().all(is_known), "{path}");
    }
    for path in [
        "/a%2fb",
        "/a%2e",
        "/a%5cb",
        "/a%25",
        "/a%3b",
        "/a%23",
        "/a%3f",
        "/a%7f",
        "/a%00",
        "/a%C3%A9",
        "/a%",
        "/a%2",
        "/a%zz",
        "/a%u0041",
        "/a%20",
        "/%20a/b",
        "/a%20/b",
        "/a%24",
        "/a%20b.",
        "/a%20;b",
        "/a%20\\",
        "/a%20//b",
        "/a%20/../b",
        "/%20\u{e9}",
    ] {
        assert!(!has_only_harmless_escapes(path), "{path}");
    }
}

#[test]
fn escapes_are_decoded_at_most_twice() {
    assert!(!reads("/a%25252fb", "/a/b"));
}

#[test]
fn a_path_with_too_many_readings_is_rejected() {
    let path = "/a/..;x//%2e%2e\\b%2f..#".repeat(20);
    assert!(all(&path, 4 * path.len()).is_none());
}
