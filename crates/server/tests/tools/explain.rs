//! `explain`: its output and its exit codes.

use std::path::Path;

use super::mint::minted;
use super::{Outcome, SECRET, Tool};

/// Routes of every kind.
const ROUTES: &str = r#"
upstream = "http://127.0.0.1:3000"

[service.wiki]
upstream = ["http://127.0.0.1:4000", "unix:/run/wiki.sock"]

[profile.wiki]
base = "remote-user"
[profile.wiki.headers]
"X-Team" = { claim = "team" }
"X-Proxy-Secret" = { value = "only-for-the-wiki" }

[[route]]
name = "site"
path = "/"
access = "public"

[[route]]
name = "members"
host = "app.example.com"
path = "/members/"

[[route]]
name = "admin"
host = "app.example.com"
path = "/admin/"
csrf = true
require = [
  { claim = "role", contains = "admin", separator = "," },
  { any = [ { network = ["10.0.0.0/8"] }, { claim = "team", one_of = ["ops", "on call"] } ] },
]

[[route]]
name = "report"
host = "app.example.com"
path = "/admin/report"
methods = ["POST"]
access = "deny"

[[route]]
name = "wiki"
host = "*.example.com"
path = "/wiki/"
service = "wiki"
headers = "wiki"
strip_prefix = "/wiki"
rewrite_host = "wiki.internal"
forward_session_cookie = false
"#;

/// Creates a folder with these routes in `gate.toml`, and Ada's cookies in `ada.txt`.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("gate.toml"), ROUTES).expect("a file");
    let claims = [
        "--claim",
        r#"role="editor,admin""#,
        "--claim",
        r#"team="blue""#,
    ];
    std::fs::write(folder.path().join("ada.txt"), minted("authjs", claims)).expect("a file");
    folder
}

fn explain<'a>(folder: &Path, words: impl IntoIterator<Item = &'a str>) -> Outcome {
    let file = |name: &str| folder.join(name).display().to_string();
    let words = words.into_iter().map(|word| match word {
        "ada.txt" => file(word),
        other => other.to_owned(),
    });
    let words: Vec<_> = words.collect();
    Tool::new(["explain", "--config", &file("gate.toml")])
        .args(words.iter().map(String::as_str))
        .env("AUTH_SECRET", SECRET)
        .run()
}

/// Returns the output without the time at which the session ends.
fn text(outcome: &Outcome) -> String {
    let lines = outcome.stdout.lines();
    let lines = lines.map(|line| match line.split_once(", until ") {
        Some((before, _)) => format!("{before}, until …"),
        None => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn explain_lists_met_and_unmet_conditions() {
    let folder = folder();
    let url = "https://app.example.com/admin/%78?page=2";
    let refused = explain(folder.path(), ["--cookie-file", "ada.txt", "GET", url]);
    let expected = r#"GET app.example.com/admin/%78 from 127.0.0.1

Path      read as /admin/x
          also /admin/x: route admin
Route     admin: app.example.com /admin/, any method
          not site: any host /, any method; it matches too, but is less specific
Requires  met          csrf: Sec-Fetch-Site is same-origin or none, or else Origin has this host, for unsafe methods (GET is a safe method)
          met          a session (user ada)
          met          role containing admin (claim role is "editor,admin")
          unmet        a client in 10.0.0.0/8 or team ops or "on call"
          unmet          a client in 10.0.0.0/8 (the client is 127.0.0.1)
          unmet          team ops or "on call" (claim team is "blue")
Session   user ada, authjs-v5, until …
Answer    refused with 403, rule_denied: the request does not meet the rule's condition"#;
    assert_eq!(text(&refused), expected, "{refused:?}");
    assert_eq!(refused.code, Some(1));
}

#[test]
fn explain_lists_what_the_service_receives() {
    let folder = folder();
    let words = [
        "--cookie-file",
        "ada.txt",
        "--client",
        "192.0.2.7",
        "--header",
        "Remote-User: root",
        "--header",
        "X_Team: root",
        "--header",
        "Accept: text/html",
        "GET",
        "https://b.example.com/wiki/page?v=1",
    ];
    let entered = explain(folder.path(), words);
    let expected = r#"GET b.example.com/wiki/page from 192.0.2.7

Path      /wiki/page, unchanged
Route     wiki: *.example.com /wiki/, any method
          not site: any host /, any method; it matches too, but is less specific
Requires  met          a session (user ada)
Session   user ada, authjs-v5, until …
Headers   profile wiki
          removed      cookie
          removed      host
          removed      remote-user
          removed      x_team
          written      host: wiki.internal
          written      x-forwarded-for: 192.0.2.7
          written      x-forwarded-proto: http
          written      x-forwarded-host: b.example.com
          written      x-request-id: (the id of the request)
          written      remote-user: ada
          written      x-remote-user: ada
          written      x-team: blue
          written      x-proxy-secret: (a constant of 17 characters)
          written      via: 1.1 sessiongate
          written      x-forwarded-prefix: /wiki
Goes to   http://127.0.0.1:4000, unix:/run/wiki.sock: GET /page, for the host wiki.internal
Answer    enters, session: the session meets all requirements"#;
    assert_eq!(text(&entered), expected, "{entered:?}");
    assert_eq!(entered.code, Some(0));
}

#[test]
fn explain_shows_every_reading_of_an_ambiguous_path() {
    let folder = folder();
    let url = "https://app.example.com/x/..%2fadmin/";
    let refused = explain(folder.path(), ["GET", url]);
    let expected = "GET app.example.com/x/..%2fadmin/ from 127.0.0.1

Path      read as /x/..%2Fadmin/
          ambiguous: an upstream could read it as a path that another route governs
          also /x/../admin/: route site
          also /admin/: route admin
Route     no route matches
          not site: any host /, any method; it matches the path as written
Answer    refused with 400, ambiguous_path: the path can be read in more than one way";
    assert_eq!(text(&refused), expected);
    assert_eq!(refused.code, Some(1));
}

#[test]
fn near_misses_name_the_single_difference() {
    let folder = folder();
    for (method, url, name, why_not) in [
        (
            "GET",
            "https://app.example.com/admin",
            "admin",
            "its path differs in the trailing slash",
        ),
        (
            "GET",
            "https://app.example.com/ADMIN/",
            "admin",
            "its path differs in upper and lower case",
        ),
        (
            "GET",
            "https://app.example.com/admin/report",
            "report",
            "it is for other methods",
        ),
        (
            "GET",
            "https://example.com/members/",
            "members",
            "it is for another host",
        ),
        (
            "POST",
            "https://app.example.com/admin/report",
            "admin",
            "it matches too, but is less specific",
        ),
    ] {
        let json = explain(folder.path(), ["--json", method, url]).json();
        let others = json["other_routes"].as_array().expect("a list");
        let found = others.iter().find(|other| other["name"] == name);
        assert_eq!(
            found.map(|other| &other["why_not"]),
            Some(&why_not.into()),
            "{url}: {json}"
        );
        assert_ne!(json["route"]["name"], name, "{url}");
    }
}

#[test]
fn explain_as_json_has_every_step() {
    let folder = folder();
    let claims = ["--claim", "role=3", "--claim", r#"team="ops""#];
    let cookies = minted("authjs", claims);
    let words = [
        "--json",
        "--header",
        &format!("Cookie: theme=dark; {cookies}"),
        "--header",
        "Sec-Fetch-Site: cross-site",
        "--header",
        "X-User-Id: root",
    ];
    let of = |method, url| {
        let outcome = explain(folder.path(), words.into_iter().chain([method, url]));
        let secret = cookies.rsplit('=').next().expect("a value");
        assert!(!outcome.stdout.contains(secret), "{}", outcome.stdout);
        (outcome.code, outcome.json())
    };
    let (code, json) = of("GET", "https://app.example.com/admin/x");
    assert_eq!(code, Some(1));
    assert_eq!(json["answer"]["reason"], "rule_incomparable");
    assert_eq!(json["answer"]["status"], 403);
    let verdicts = json["demands"].as_array().expect("a list").iter();
    let verdicts: Vec<_> = verdicts.map(|demand| demand["verdict"].as_str()).collect();
    assert_eq!(
        verdicts,
        [Some("met"), Some("met"), Some("incomparable"), Some("met")]
    );
    assert_eq!(
        json["demands"][3]["parts"][1]["seen"],
        "claim team is \"ops\""
    );

    let (code, json) = of("POST", "https://app.example.com/admin/x");
    assert_eq!(
        (code, &json["answer"]["reason"]),
        (Some(1), &"cross_origin".into())
    );
    assert_eq!(json["demands"][0]["verdict"], "unmet");
    assert_eq!(json["demands"][0]["seen"], "Sec-Fetch-Site is cross-site");
    assert_eq!(json["demands"][1]["verdict"], serde_json::Value::Null);

    let (code, json) = of("GET", "https://app.example.com/wiki/a");
    assert_eq!((code, &json["answer"]["enters"]), (Some(0), &true.into()));
    assert_eq!(json["path"]["segments"], serde_json::json!(["wiki", "a"]));
    let removed = &json["headers"]["removed"];
    assert_eq!(
        *removed,
        serde_json::json!(["the session in cookie", "host", "x-user-id"])
    );
    assert_eq!(json["goes_to"]["path"], "/a");
    assert_eq!(json["goes_to"]["host"], "wiki.internal");
    assert!(!json.to_string().contains("only-for-the-wiki"), "{json}");
}

#[test]
fn explain_shows_the_origin_of_a_request_and_the_demand() {
    let folder = folder();
    let post = |fields: &[&str]| {
        let words = ["--cookie-file", "ada.txt", "--client", "10.0.0.1", "POST"];
        let fields = fields.iter().flat_map(|field| ["--header", *field]);
        let words = words.into_iter().chain(["https://app.example.com/admin/x"]);
        text(&explain(folder.path(), words.chain(fields)))
    };
    for (fields, seen) in [
        (&[][..], "it has neither Origin nor Sec-Fetch-Site"),
        (
            &["Origin: https://b.example"],
            "Origin is https://b.example",
        ),
        (&["Origin: null"], "Origin is null"),
        (
            &[
                "Sec-Fetch-Site: cross-site",
                "Origin: https://app.example.com",
            ],
            "Sec-Fetch-Site is cross-site",
        ),
        (
            &[
                "Origin: https://app.example.com",
                "Origin: https://app.example.com",
            ],
            "it has several Origin",
        ),
    ] {
        let printed = post(fields);
        let message = "cross_origin: a request that may change something must come from a page of this host, as \
                       Sec-Fetch-Site or Origin shows; ";
        assert!(printed.contains(&format!("{message}{seen}")), "{printed}");
        assert!(
            printed.contains("unmet        csrf: Sec-Fetch-Site"),
            "{printed}"
        );
        assert!(
            printed.contains(&format!("for unsafe methods ({seen})\n")),
            "{printed}"
        );
        assert!(printed.contains("not checked  a session\n"), "{printed}");
        assert!(
            printed.contains("not checked  role containing admin\n"),
            "{printed}"
        );
    }
    let printed = post(&["Origin: https://app.example.com"]);
    assert!(
        printed.contains("for unsafe methods (Origin is https://app.example.com)\n"),
        "{printed}"
    );
    assert!(printed.contains("enters"), "{printed}");
}

#[test]
fn explain_without_a_file_has_two_routes() {
    let of = |words: &[&str]| {
        Tool::new(["explain", "--json"])
            .args(words.iter().copied())
            .env("AUTH_SECRET", SECRET)
            .env("UPSTREAM", "http://127.0.0.1:3000")
            .env("PUBLIC_PATHS", "/healthz,/signin")
            .env("SIGN_IN_URL", "/signin")
            .run()
    };
    let public = of(&["GET", "/healthz"]);
    assert_eq!(
        (public.code, &public.json()["route"]["name"]),
        (Some(0), &"public".into())
    );
    let private = of(&[
        "--header",
        "Sec-Fetch-Mode: navigate",
        "GET",
        "http://a.example/x",
    ]);
    let json = private.json();
    assert_eq!(
        (private.code, &json["route"]["name"]),
        (Some(1), &"session".into())
    );
    assert_eq!(json["answer"]["status"], 302);
    assert_eq!(json["answer"]["location"], "/signin?callbackUrl=%2Fx");
}

#[test]
fn explain_covers_requests_that_are_never_forwarded() {
    let folder = folder();
    for (words, status, reason) in [
        (&["CONNECT", "/x"][..], 405, "method_not_allowed"),
        (&["GET", "http://a:b/x"], 400, "bad_host"),
        (
            &["--header", "Host: b", "GET", "http://a/x"],
            400,
            "bad_host",
        ),
        (&["GET", "/x#y"], 400, "malformed_request"),
        (
            &["--header", "A : b", "GET", "/x"],
            400,
            "malformed_request",
        ),
    ] {
        let outcome = explain(folder.path(), words.iter().copied().chain(["--json"]));
        let json = outcome.json();
        assert_eq!(outcome.code, Some(1), "{words:?}");
        assert_eq!(json["answer"]["status"], status, "{words:?}");
        assert_eq!(json["answer"]["reason"], reason, "{words:?}");
    }
}

#[test]
fn wrong_usage_and_an_invalid_configuration_exit_with_2() {
    let folder = folder();
    for words in [
        &["GET"][..],
        &["GET", "app.example.com/x"],
        &["GET", "/x\nHost: a"],
        &["--header", "A: b\nHost: a", "GET", "/x"],
        &["get", "/x"],
        &["--header", "no colon", "GET", "/x"],
        &["--client", "somewhere", "GET", "/x"],
        &["--cookie-file", "/nowhere/at/all", "GET", "/x"],
    ] {
        let outcome = explain(folder.path(), words.iter().copied());
        assert_eq!(outcome.code, Some(2), "{words:?}");
        assert!(outcome.stdout.is_empty(), "{words:?}");
        let meant = "did you mean `GET`?";
        assert_eq!(
            outcome.stderr.contains(meant),
            words[0] == "get",
            "{words:?}"
        );
        assert!(
            outcome.stderr.starts_with("error: "),
            "{words:?}: {}",
            outcome.stderr
        );
    }
    let unset = Tool::new(["explain", "GET", "/x"]).run();
    assert_eq!(unset.code, Some(2));
    assert!(unset.stderr.contains("UPSTREAM"), "{}", unset.stderr);
}

#[test]
fn the_route_table_begins_with_the_most_specific_route() {
    let folder = folder();
    let file = folder.path().join("gate.toml").display().to_string();
    let check = |words: &[&str]| {
        Tool::new(["check-config", "--config", &file])
            .args(words.iter().copied())
            .env("AUTH_SECRET", SECRET)
            .run()
    };
    let checked = check(&[]);
    assert_eq!(checked.code, Some(0), "{}", checked.stderr);
    let table = "\
host             path           methods  who may enter                                headers  goes to
app.example.com  /admin/report  POST     nobody                                       default  nowhere
app.example.com  /admin/        any      a session with role containing admin and (a  default  http://127.0.0.1:3000
                                         client in 10.0.0.0/8 or team ops or \"on
                                         call\"), from its own pages
app.example.com  /members/      any      a session                                    default  http://127.0.0.1:3000
*.example.com    /wiki/         any      a session                                    wiki     http://127.0.0.1:4000, unix:/run/wiki.sock without /wiki as wiki.internal
any host         /              any      everybody                                    default  http://127.0.0.1:3000
";
    assert!(checked.stdout.contains(table), "{}", checked.stdout);
    assert!(!checked.stdout.contains("Requests that match no route"));

    let json = check(&["--json"]).json();
    let names = json["routes"].as_array().expect("a list").iter();
    let names: Vec<_> = names.filter_map(|route| route["name"].as_str()).collect();
    assert_eq!(names, ["report", "admin", "members", "wiki", "site"]);
    assert_eq!(json["routes"][3]["access"], "a session");
    let upstream = json["settings"].as_array().expect("a list").iter();
    let upstream = upstream.filter(|setting| setting["name"] == "UPSTREAM");
    let upstream: Vec<_> = upstream.map(|setting| &setting["value"]).collect();
    assert_eq!(upstream, ["http://127.0.0.1:3000"]);
    assert!(!json.to_string().contains(SECRET));
}

#[test]
fn the_route_table_without_a_file_has_two_routes() {
    let check = Tool::new(["check-config"])
        .env("AUTH_SECRET", SECRET)
        .env("AUTH_LISTEN", "127.0.0.1:0")
        .env("PUBLIC_PATHS", "/healthz,/assets/");
    let checked = check.run();
    let table = "\
host      path      methods  who may enter  headers  goes to
any host  /healthz  any      everybody      default  the calling proxy's service
any host  /assets/  any      everybody      default  the calling proxy's service
any host  /         any      a session      default  the calling proxy's service
";
    assert!(checked.stdout.contains(table), "{checked:?}");
}

#[test]
fn colors_appear_only_on_a_terminal_without_no_color() {
    let folder = folder();
    let file = folder.path().join("gate.toml").display().to_string();
    // The script gives the command a pseudo-terminal as its standard output.
    let script = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)";
    let at_terminal = |variables: &[(&str, &str)]| {
        let output = std::process::Command::new("python3")
            .args(["-c", script, env!("CARGO_BIN_EXE_sessiongate")])
            .args(["explain", "--config", &file, "GET", "/"])
            .env("AUTH_SECRET", SECRET)
            .env_remove("NO_COLOR")
            .envs(variables.iter().copied())
            .stdin(std::process::Stdio::null())
            .output()
            .expect("python3 starts");
        assert_eq!(output.status.code(), Some(0));
        String::from_utf8(output.stdout).expect("text")
    };
    let colored = at_terminal(&[]);
    assert!(colored.contains("\u{1b}[32menters\u{1b}[0m"), "{colored}");
    let plain = at_terminal(&[("NO_COLOR", "1")]);
    assert!(plain.contains("Answer    enters, public"), "{plain}");
    assert!(!plain.contains('\u{1b}'), "{plain}");
    let piped = explain(folder.path(), ["GET", "/"]).stdout;
    assert!(!piped.contains('\u{1b}'), "{piped}");
}
