use super::*;

fn strict(text: &str) -> bool {
    members::<0>(text, []).is_ok()
}

#[test]
fn wanted_members_are_returned_in_order() {
    let text =
        r#"{"z":1,"b":"x\u0041","a":"plain","list":["p","q"],"mixed":["p",1],"n":null,"y":true}"#;
    let found =
        members(text, ["a", "b", "z", "list", "mixed", "n", "y", "absent"]).expect("strict");
    assert_eq!(
        found,
        [
            Some(Kept::Text("plain".into())),
            Some(Kept::Text("xA".into())),
            Some(Kept::Integer(1)),
            Some(Kept::Texts(vec!["p".into(), "q".into()])),
            Some(Kept::Other),
            Some(Kept::Null),
            Some(Kept::Bool(true)),
            None
        ]
    );
    assert!(matches!(
        found,
        [
            Some(Kept::Text(Cow::Borrowed(_))),
            Some(Kept::Text(Cow::Owned(_))),
            ..
        ]
    ));
}

#[test]
fn nested_members_are_read_by_path() {
    let text = r#"{"id":"outer","a":{"id":"x","b":{"id":"deep"},"a":{"id":"y"}},"a.id":"dotted","c":{"id":"z"}}"#;
    let found = members_by_path(text, ["a.id", "c.id", "d.id", "id"]).expect("strict");
    let kept = |text: &'static str| Some(Kept::Text(text.into()));
    assert_eq!(found, [kept("x"), kept("z"), None, kept("outer")]);
    assert!(members_by_path(r#"{"a":{"id":1,"id":2}}"#, ["a.id"]).is_err());
    assert!(members_by_path(r#"{"a":{"id":1},"a":{"id":2}}"#, ["a.id"]).is_err());
    for not_an_object in [r#"{"a":1}"#, r#"{"a":["id"]}"#, r#"{"a":null}"#] {
        assert!(members_by_path(not_an_object, ["a.id"]).is_err());
    }
    // Without paths a dot is a part of the name.
    let found = members(text, ["a.id", "id", "c.id"]).expect("strict");
    assert_eq!(found, [kept("dotted"), kept("outer"), None]);
}

#[test]
fn only_integer_literals_are_integers() {
    let kept = |number: &str| {
        let text = format!(r#"{{"a":{number}}}"#);
        let [kept] = members(&text, ["a"]).expect("strict");
        kept.map(|kept| (matches!(kept, Kept::Integer(_)), kept.as_number()))
    };
    assert_eq!(kept("7"), Some((true, Some(7.0))));
    assert_eq!(kept("-7"), Some((true, Some(-7.0))));
    assert_eq!(kept("0"), Some((true, Some(0.0))));
    for other in ["-0", "7.0", "7e0", "1E3", "18446744073709551615", "0.5"] {
        assert!(matches!(kept(other), Some((false, Some(_)))), "{other}");
    }
}

#[test]
fn a_name_may_occur_once_per_object() {
    assert!(strict(r#"{"a":{"a":1},"b":{"a":2},"c":[{"a":1},{"a":2}]}"#));
    for text in [
        r#"{"a":1,"a":1}"#,
        r#"{"a":1,"b":2,"\u0061":3}"#,
        r#"{"x":{"a":1,"b":2,"a":3}}"#,
        r#"{"x":[[{"a":1,"a":2}]]}"#,
    ] {
        assert!(!strict(text), "{text}");
    }
}

#[test]
fn the_limit_of_members_applies_to_every_object() {
    let of = |count: usize| {
        let members: Vec<_> = (0..count)
            .map(|n| format!(r#""{n}":[{{"x":1}}]"#))
            .collect();
        few_members::<0>(&format!("{{{}}}", members.join(",")), []).is_ok()
    };
    assert!(of(15));
    assert!(!of(16));
}

#[test]
fn ambiguous_json_is_refused() {
    for text in [
        "",
        "[]",
        "null",
        "\"a\"",
        "{} {}",
        "{}x",
        "\u{feff}{}",
        r#"{"a":"\ud83d"}"#,
        r#"{"a":["\udc00"]}"#,
        r#"{"\ud83d":1}"#,
        r#"{"a":1e999}"#,
        r#"{"a":NaN}"#,
        r#"{"a":01}"#,
        r#"{"a":1,}"#,
        "{'a':1}",
        "{\"a\":\"\n\"}",
    ] {
        assert!(!strict(text), "{text}");
    }
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    assert!(strict(&nested(100)));
    assert!(!strict(&nested(128)));
    assert!(!strict(&nested(100_000)));
}
