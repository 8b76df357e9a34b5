//! The pages of the three services.

use std::borrow::Cow;

use maud::{Markup, html};

use super::area::Area;
use super::file::FILE;
use super::people::{Person, PersonChange, UserRole, UserRow};
use super::received::ReceivedHeaders;
use super::refusals::RefusedRequest;
use super::words::{PlainRefusal, Remedy};
use crate::pages::{logo, page};

type Everyone = [(&'static Person, Option<UserRow>)];

/// The public page: the areas, who may enter each, and the user table, which can be changed.
pub(super) fn public(received: &ReceivedHeaders<'_>, everyone: &Everyone) -> Markup {
    frame(
        Area::Public.name(),
        "/",
        &html! {
            h1 { "One gate, three services" }
            p.lead {
                "You are on the public page of a small stack. The gate stands in front of all of it: it opens sessions, looks "
                "people up in the user table, and tells each service who is calling."
            }
            ul.areas {
                (area_card(Area::Public, "Anyone. You are here."))
                (area_card(Area::Members, "Anyone who is signed in, unless banned or deleted."))
                (area_card(Area::Admin, "Users whose row in the user table says “admin”."))
            }
            h2 id="users" { "The user table" }
            p {
                "Sign in as one of the users in another tab, then change their row here. The session stays the same; the very next "
                "request is judged by the new row."
            }
            ul.users { @for (person, row) in everyone { (user(person, row.as_ref())) } }
            h2 { "What this service received" }
            (headers(&received.rows()))
            p.note {
                "A public route says nothing about who is calling, even if the user is signed in. Identity headers "
                "that a client sends itself are removed on every route."
            }
            h2 { "The file that describes it" }
            details.file {
                summary { code { "sessiongate.toml" } }
                pre.wrap tabindex="0" { (FILE) }
            }
        },
    )
}

fn area_card(area: Area, who: &str) -> Markup {
    html! { li { a href=(area.path()) { (area.name()) } span { (who) } } }
}

/// A user's row, with buttons to change it.
fn user(person: &Person, row: Option<&UserRow>) -> Markup {
    let name = person.first_name();
    let changes: &[(PersonChange, &str)] = match row {
        None => &[(PersonChange::Restore, "Restore")],
        Some(UserRow { role, banned }) => match (role, banned) {
            (UserRole::Admin, false) => &[
                (PersonChange::MakeMember, "Make member"),
                (PersonChange::Ban, "Ban"),
                (PersonChange::Delete, "Delete"),
            ],
            (UserRole::Admin, true) => &[
                (PersonChange::MakeMember, "Make member"),
                (PersonChange::Unban, "Lift ban"),
                (PersonChange::Delete, "Delete"),
            ],
            (UserRole::Member, false) => &[
                (PersonChange::MakeAdmin, "Make admin"),
                (PersonChange::Ban, "Ban"),
                (PersonChange::Delete, "Delete"),
            ],
            (UserRole::Member, true) => &[
                (PersonChange::MakeAdmin, "Make admin"),
                (PersonChange::Unban, "Lift ban"),
                (PersonChange::Delete, "Delete"),
            ],
        },
    };
    html! {
        li {
            div { span.name { (person.name) } " " (badges(row)) }
            form method="post" action="/users" {
                input type="hidden" name="user" value=(person.id);
                input type="hidden" name="back" value="/#users";
                @for (change, label) in changes {
                    button.small name="change" value=(change.as_str()) aria-label={ (label) ": " (name) } { (label) }
                }
            }
        }
    }
}

/// Badges that show a user's role, and whether the user is banned or deleted.
fn badges(row: Option<&UserRow>) -> Markup {
    html! {
        @match row {
            None => span.badge.gone { "deleted" },
            Some(row) => {
                span.badge { (row.role.as_str()) }
                @if row.banned { " " span.badge.gone { "banned" } }
            }
        }
    }
}

/// The page of the member area or the admin area: who is calling, how the service knows, and what to try. `you` is the caller, if
/// that is a user of the demo.
pub(super) fn area(
    area: Area,
    received: &ReceivedHeaders<'_>,
    you: Option<(&Person, &UserRow)>,
) -> Markup {
    let name = received.user_name();
    let rows = received.rows();
    frame(
        area.name(),
        area.path(),
        &html! {
            p.status { (area.name()) }
            h1 { "Hello, " (name) }
            p.lead {
                "This service never opened your session. The gate did, looked you up in the user table"
                @if area == Area::Admin { ", saw that you are an admin" }
                ", and told the service who you are."
            }
            h2 { "What this service received" }
            (headers(&rows))
            @if area == Area::Admin {
                p.note { "Only the route of this area has “X-User-UserRole” among its headers." }
            }
            @if !name.is_ascii() {
                p.note {
                    "No header can carry “" (name) "” as it is, so the gate percent-encodes the whole value as UTF-8."
                }
            }
            h2 { "Things to try" }
            @if let Some((person, row)) = you { (role_card(area, person, row)) }
            section.card {
                h3 { "Pretend to be someone else" }
                p {
                    "Send identity headers of your own, even misspelled ones. The gate removes them before it writes "
                    "the real ones, so the answer still greets you."
                }
                pre tabindex="0" { (received.forgery(area.path())) }
            }
            @if let Some((person, _)) = you {
                section.card {
                    h3 { "Delete your user" }
                    p {
                        "Your session is valid for hours. But the gate asks for the user on every request, so the very "
                        "next one is refused."
                    }
                    (change(person, PersonChange::Delete, &html! { "Delete " (name) }, area.path(), "danger"))
                }
            }
        },
    )
}

/// A card to change the caller's own role, which takes effect at once.
fn role_card(area: Area, person: &Person, row: &UserRow) -> Markup {
    let (changed, label, then) = match row.role {
        UserRole::Admin => (PersonChange::MakeMember, "Make me a member", "closes"),
        UserRole::Member => (PersonChange::MakeAdmin, "Make me an admin", "opens"),
    };
    html! {
        section.card {
            h3 { "Change your role" }
            p {
                "It is “" (row.role.as_str()) "” now. Change it, and the admin area " (then) " at once: the session in your browser "
                "stays as it is."
            }
            div.actions {
                (change(person, changed, &html! { (label) }, area.path(), ""))
                @if area == Area::Members { a href=(Area::Admin.path()) { "Go to the admin area" } }
            }
        }
    }
}

/// A button that changes a user's row.
fn change(
    person: &Person,
    change: PersonChange,
    label: &Markup,
    back: &str,
    class: &str,
) -> Markup {
    html! {
        form method="post" action="/users" {
            input type="hidden" name="user" value=(person.id);
            input type="hidden" name="back" value=(back);
            button class=[(!class.is_empty()).then_some(class)] name="change" value=(change.as_str()) { (label) }
        }
    }
}

fn headers(rows: &[(String, Cow<'_, str>)]) -> Markup {
    let (identity, arrival): (Vec<_>, Vec<_>) = rows
        .iter()
        .partition(|(name, _)| name.starts_with("X-User-"));
    html! {
        div.scroll {
            table {
                @if !identity.is_empty() {
                    tbody.identity { @for (name, value) in identity { (header(name, value)) } }
                }
                tbody { @for (name, value) in arrival { (header(name, value)) } }
            }
        }
    }
}

fn header(name: &str, value: &str) -> Markup {
    html! { tr { th.mono scope="row" { (name) } td.mono { (value) } } }
}

/// The sign-in page, with all users to choose from.
pub(super) fn sign_in(everyone: &Everyone, callback: &str) -> Markup {
    frame(
        "Sign in",
        "/api/auth/signin",
        &html! {
            h1 { "Who would you like to be?" }
            p.lead {
                "Choose someone, and the app gives you the same encrypted cookie that Auth.js would. Who may enter where is up "
                "to the gate."
            }
            form method="post" action="/api/auth/signin" {
                input type="hidden" name="callbackUrl" value=(callback);
                ul.people {
                    @for (person, row) in everyone {
                        li {
                            button.person name="user" value=(person.id) {
                                span.initial aria-hidden="true" { (person.name.chars().take(1).collect::<String>()) }
                                span { (person.name) }
                                span.email { (person.email) }
                                span.go { (badges(row.as_ref())) }
                            }
                        }
                    }
                }
            }
            div.actions {
                form method="post" action="/api/auth/signout" { button { "Sign out" } }
                a href="/refusal" { "Why was I refused?" }
            }
        },
    )
}

/// The page about a refusal: the reason, the lines of the file that say so, and what would change it.
pub(super) fn refusal(
    refused: &RefusedRequest,
    words: &PlainRefusal,
    person: Option<&Person>,
    explained: Option<&str>,
) -> Markup {
    frame(
        "Last refusal",
        "/refusal",
        &html! {
            p.status { b { (refused.status) } " " span.mono { (refused.method) " " (refused.path) } }
            h1 { "Why this was refused" }
            p.lead { (words.why) }
            h2 { "What was missing" }
            p { (words.missing) }
            @if let Some(rule) = words.rule {
                h2 { "The lines that say so" }
                pre.wrap tabindex="0" { (rule) }
            }
            @if let Some(remedy) = words.remedy { (remedied(remedy, refused, person)) }
            h2 { "The request" }
            div.scroll {
                table {
                    tbody {
                        (header("When", &refused.time))
                        (header("Who", refused.user_id.as_deref().unwrap_or("nobody")))
                        (header("Route", refused.route.as_deref().unwrap_or("none")))
                        (header("Reason", refused.reason))
                        (header("Request id", &refused.request_id))
                    }
                }
            }
            p.note {
                "The person who was refused saw only the request id, so that strangers learn nothing. The log has the "
                "rest under that id."
            }
            @if let Some(explained) = explained {
                h2 { "As the admin listener explains it" }
                pre.wrap tabindex="0" { (explained) }
            }
        },
    )
}

fn remedied(remedy: Remedy, refused: &RefusedRequest, person: Option<&Person>) -> Markup {
    let back = match refused.method.as_str() {
        "GET" => &refused.path,
        _ => "/",
    };
    html! {
        h2 { "What lets the next request in" }
        div.actions.close {
            @match (remedy, person) {
                (Remedy::SignIn, _) | (Remedy::Change(_), None) => a.button href="/api/auth/signin" { "Sign in" },
                (Remedy::Change(changed), Some(person)) => {
                    (change(person, changed, &label(changed, person), back, "primary"))
                    a href="/api/auth/signin" { "Sign in as another user" }
                }
            }
        }
    }
}

fn label(change: PersonChange, person: &Person) -> Markup {
    let name = person.first_name();
    html! {
        @match change {
            PersonChange::Ban => { "Ban " (name) },
            PersonChange::Delete => { "Delete " (name) },
            PersonChange::MakeAdmin => { "Make " (name) " an admin, and go there" },
            PersonChange::MakeMember => { "Make " (name) " a member" },
            PersonChange::Restore => { "Restore " (name) ", and go there" },
            PersonChange::Unban => { "Lift the ban, and go there" },
        }
    }
}

/// The page about the last refusal while there is none.
pub(super) fn nothing_refused() -> Markup {
    frame(
        "Last refusal",
        "/refusal",
        &html! {
            h1 { "Nothing has been refused yet" }
            p.lead { "Open the admin area as a member, or anything without a session. Then come back: this page says why not." }
            div.actions { a.button href=(Area::Admin.path()) { "Try the admin area" } }
        },
    )
}

pub(super) fn not_found(area: Area) -> Markup {
    frame(
        "Not found",
        area.path(),
        &html! {
            h1 { "There is no such page" }
            p.lead { "The gate let you through, but this service has nothing at this address." }
            div.actions { a.button href=(area.path()) { (area.name()) } }
        },
    )
}

pub(super) fn broken() -> Markup {
    frame(
        "Error",
        "",
        &html! {
            h1 { "This service failed" }
            p.lead { "What went wrong is in the terminal in which the demo runs." }
        },
    )
}

/// A page with links to all others. `here` is its own path.
fn frame(title: &str, here: &str, content: &Markup) -> Markup {
    let link = |path: &'static str, name: &'static str| {
        html! { a href=(path) aria-current=[(path == here).then_some("page")] { (name) } }
    };
    page(
        &format!("{title} · sessiongate demo"),
        &html! {
            header { (logo()) span { "sessiongate demo" } }
            nav aria-label="Demo" {
                (link(Area::Public.path(), "Public"))
                (link(Area::Members.path(), "Members"))
                (link(Area::Admin.path(), "Admin"))
                (link("/refusal", "Refusal"))
                (link("/api/auth/signin", "Sign in"))
            }
            main { (content) }
            footer { p { "Everything here lives in memory and is gone when the demo stops." } }
        },
    )
}
