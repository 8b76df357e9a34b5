use super::masked;

#[test]
fn possible_secrets_are_masked() {
    for (text, shown) in [
        ("auth_secret = \"abc\" # abc", "auth_secret = \"***\" #****"),
        ("auth_secret = 'abc", "auth_secret = '***"),
        ("auth_secret = abc", "auth_secret = ***"),
        ("auth_secret \"abc\"", "*********** \"***\""),
        ("auth_secret =\n  \"abc\"", "auth_secret =\n  \"***\""),
        (
            "auth_secret = \"\"\"ab\nc\"\"\"",
            "auth_secret = \"\"\"**\n*\"\"\"",
        ),
        (
            "auth_secret = \"\"\"ab\nlisten = 1",
            "auth_secret = \"\"\"**\n**********",
        ),
        ("auth_secrt = \"ä\"", "auth_secrt = \"**\""),
        (
            "realm.a.auth_secret = \"abc\"",
            "realm.a.auth_secret = \"***\"",
        ),
        ("AUTH_SECRET = \"abc\"", "AUTH_SECRET = \"***\""),
        (
            "better_auth_secrets = [\n\"2:abc\",\n]",
            "better_auth_secrets = [\n\"*****\",\n]",
        ),
        ("listen = \":1\"\nabc", "listen = \":1\"\n***"),
        (
            "\"X-A\" = { value = \"abc\" }",
            "\"X-A\" = { value = \"***\" }",
        ),
        ("\"X-Secret\" = \"abc\"", "\"X-Secret\" = \"***\""),
        (
            "database_url = \"postgres://u:p@h\"",
            "database_url = \"****************\"",
        ),
        ("auth_secret = \"abc\"=", "auth_secret = \"***\"="),
        ("auth_secret = abc==", "auth_secret = *****"),
        ("auth_secret =\nabc==", "auth_secret =\n*****"),
        ("auth_secret = [\"abc\"=", "auth_secret = [\"***\"="),
        (
            "listen = 1 auth_secret = \"abc\"",
            "listen = 1 auth_secret = \"***\"",
        ),
        ("auth_secret = \"a${B}c${D\"", "auth_secret = \"*${B}****\""),
        (
            "upstream = \"http://u:p/@h/\"",
            "upstream = \"http://****@h/\"",
        ),
        (
            "upstream = [\"http://u:p@h\"]",
            "upstream = [\"http://***@h\"]",
        ),
        (
            "upstream = [\"http://a\", \"http://u:p@h\", 'http://v@c']",
            "upstream = [\"http://a\", \"http://***@h\", 'http://*@c']",
        ),
        (
            "upstream = [\"http://a\", \"http://u:p\"q@h\"]",
            "upstream = [\"http://********************]",
        ),
        (
            "upstream = [\"http://u:p\", \"q@h\"]",
            "upstream = [\"http://********@h\"]",
        ),
    ] {
        assert_eq!(masked(text), shown, "{text}");
    }
}

#[test]
fn other_text_is_shown() {
    for text in [
        "listen = \"0.0.0.0:8080\"\nauth_secret_file = \"/run/x\"\n",
        "[realm.shop]\nsession_format = 'authjs'",
        "[[route]]\npath = [\n  \"/a\",\n]\nmethods = [\"GET\"]",
        "require = [{ column = \"role\", equals = 1.5 }]",
        "\"X-Team\" = { column = \"team\" }",
        "listen \":1\"",
        "\u{feff}listen = \":1\"\r\n",
        "session_token_field = \"t\"",
    ] {
        assert_eq!(masked(text), text);
    }
}
