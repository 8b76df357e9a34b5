//! Explains refusals in plain words, for people who are new to the gate.

use super::file::FILE;
use super::people::{Person, PersonChange, UserRole, UserRow};
use super::refusals::RefusedRequest;

/// A refusal in plain words.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PlainRefusal {
    /// The reason, in a sentence.
    pub(super) why: String,
    /// What the request lacked.
    pub(super) missing: String,
    /// The lines of the file that demand it.
    pub(super) rule: Option<&'static str>,
    /// What would permit the next request.
    pub(super) remedy: Option<Remedy>,
}

/// A change that would permit a request that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// A change of the user's row.
    Change(PersonChange),
    /// A new session.
    SignIn,
}

impl PlainRefusal {
    /// Explains a refused request. `person` is its user, and `row` is the user's current row.
    pub(super) fn explain(
        refused: &RefusedRequest,
        person: Option<&Person>,
        row: Option<&UserRow>,
    ) -> Self {
        let case = RefusedCase { refused, row };
        let name = person.map_or("the user", |person| person.first_name());
        let (why, missing) = case.sentences(name);
        Self {
            why,
            missing,
            rule: case.rule(),
            remedy: case.remedy(),
        }
    }

    /// The explanation as text, for `curl`.
    pub(super) fn as_text(&self, refused: &RefusedRequest) -> String {
        let RefusedRequest {
            request_id,
            method,
            path,
            reason,
            status,
            ..
        } = refused;
        let route = refused.route.as_deref().unwrap_or("none");
        let rule = self.rule.map(|rule| format!("\n{rule}\n"));
        format!(
            "{method} {path} was refused: {status} ({reason})\n\n  Route:    {route}\n  Why:      {}\n  Missing:  {}\n  \
             Request:  {request_id}\n{}",
            self.why,
            self.missing,
            rule.unwrap_or_default(),
        )
    }
}

/// A refusal, and what the user table now says about the refused user.
struct RefusedCase<'c> {
    refused: &'c RefusedRequest,
    row: Option<&'c UserRow>,
}

impl RefusedCase<'_> {
    /// Returns the reason and what was missing. `docs/audit-log.md` has all reasons; few of them occur in the demo.
    fn sentences(&self, name: &str) -> (String, String) {
        let place = self.place();
        let (why, missing) = match self.refused.reason {
            "no_credential" => (
                format!("The browser was not signed in, and {place} is only for signed-in users."),
                "A session: the cookie that the app sets when a user signs in.".to_owned(),
            ),
            "rule_denied" => (
                format!("{name} has a valid session and is in the user table, but {place} is only for admins."),
                self.value("admin", "role", name, |row| row.role.as_str().to_owned()),
            ),
            "user_disabled" => (
                format!("{name} is banned. A banned user is refused wherever a session is required."),
                self.value("false", "banned", name, |row| row.banned.to_string()),
            ),
            "user_missing" => (
                format!("{name} has a session that is valid for hours, but was deleted from the user table."),
                format!("A row of the user table with {name}’s id. {}", match self.row {
                    None => "The row does not exist.",
                    Some(_) => "It exists again.",
                }),
            ),
            "no_route" => (
                format!("No route in the file matches {place}, and a request that no route matches is refused."),
                "A route for this host, path and method. With a session the answer is 404; without one it is the way to \
                 sign in, so that strangers do not learn what is there."
                    .to_owned(),
            ),
            "cross_origin" => (
                format!("The request may change something in {place}, and does not show that a page of this site sent it."),
                "“Sec-Fetch-Site: same-origin”, which browsers send with the forms of this site, and no other page can \
                 forge."
                    .to_owned(),
            ),
            "ambiguous_path" if gate::has_encoded_control(&self.refused.path) => (
                format!(
                    "“{}” contains an encoded control character. No path needs one, and a service that decodes it could take it for \
                     the end of the path or of a line.",
                    self.refused.path
                ),
                "A path without the escapes from %00 to %1F, and without %7F.".to_owned(),
            ),
            "ambiguous_path" => (
                format!("{place} can be read as more than one path, and different rules would govern them."),
                "A path that every server reads in the same way.".to_owned(),
            ),
            other if self.asks_to_sign_in() => (
                format!("The request has no valid session ({other}), and {place} requires one."),
                "A session cookie that opens with the app’s secret, and has not expired.".to_owned(),
            ),
            other => (
                format!("The gate answered by itself, with the reason “{other}”."),
                "The documentation of the audit log lists all reasons and explains this one.".to_owned(),
            ),
        };
        (capitalized(&why), missing)
    }

    /// A sentence about the value that a column should have, and the value that it has now.
    fn value(
        &self,
        value: &str,
        column: &str,
        name: &str,
        is: impl Fn(&UserRow) -> String,
    ) -> String {
        let now = match self.row {
            None => "The row no longer exists.".to_owned(),
            Some(row) => format!("It is now “{}”.", is(row)),
        };
        format!("The value “{value}” in the column “{column}” of {name}’s row. {now}")
    }

    /// The name of the route, or the path if no route governs it.
    fn place(&self) -> String {
        match &self.refused.route {
            Some(route) if self.refused.reason != "no_route" => format!("the {route}"),
            Some(_) | None => format!("“{}”", self.refused.path),
        }
    }

    fn rule(&self) -> Option<&'static str> {
        match self.refused.reason {
            "user_disabled" | "user_missing" => paragraph("active ="),
            _ => paragraph(&format!("name = \"{}\"", self.refused.route.as_deref()?)),
        }
    }

    /// What would permit such a request, unless it would be permitted by now.
    fn remedy(&self) -> Option<Remedy> {
        let change = match (self.refused.reason, self.row) {
            ("rule_denied", Some(row)) if row.role == UserRole::Member => PersonChange::MakeAdmin,
            ("user_disabled", Some(row)) if row.banned => PersonChange::Unban,
            ("user_missing", None) => PersonChange::Restore,
            _ if self.asks_to_sign_in() => return Some(Remedy::SignIn),
            _ => return None,
        };
        Some(Remedy::Change(change))
    }

    fn asks_to_sign_in(&self) -> bool {
        matches!(self.refused.status, 302 | 401)
    }
}

fn capitalized(sentence: &str) -> String {
    let mut letters = sentence.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}

/// The paragraph of the file that has a line beginning with this text.
fn paragraph(text: &str) -> Option<&'static str> {
    let paragraphs = FILE.split("\n\n").map(str::trim);
    paragraphs.into_iter().find(|lines| {
        let mut lines = lines.lines();
        lines.any(|line| line.starts_with(text))
    })
}
