//! The pages of the sample app.

use std::borrow::Cow;

use maud::{Markup, html};

use super::people::Person;
use crate::pages::{mark, page};

/// The protected page: who is calling, how the app knows, and what to try.
pub(super) fn home(name: &str, received: &[(String, Cow<'_, str>)], forgery: &str) -> Markup {
    let (identity, arrival): (Vec<_>, Vec<_>) = received
        .iter()
        .partition(|(name, _)| name.starts_with("X-User-"));
    frame(
        "Hello",
        &html! { form method="post" action="/signout" { button { "Sign out" } } },
        &html! {
            h1 { "Hello, " (name) }
            p.lead {
                "This is the sample app. It never opened your session: the gate did, looked you up in the user table, "
                "and told the app who you are."
            }
            h2 { "What the app received" }
            div.scroll {
                table {
                    tbody.identity { @for (name, value) in identity { (row(name, value)) } }
                    tbody { @for (name, value) in arrival { (row(name, value)) } }
                }
            }
            @if !name.is_ascii() {
                p.note {
                    "No header can carry “" (name) "” as it is, so the gate percent-encodes the whole value as UTF-8."
                }
            }
            h2 { "Things to try" }
            section.card {
                h3 { "Pretend to be someone else" }
                p {
                    "Send identity headers of your own, even misspelled ones. The gate removes them before it writes "
                    "the real ones, so the answer still greets you."
                }
                pre tabindex="0" { (forgery) }
            }
            section.card {
                h3 { "Delete your user" }
                p {
                    "Your session is good for hours. But the gate asks for the user on every request, so the very "
                    "next one is refused."
                }
                form method="post" action="/delete" { button.danger { "Delete " (name) } }
            }
        },
    )
}

fn row(name: &str, value: &str) -> Markup {
    html! { tr { th.mono scope="row" { (name) } td.mono { (value) } } }
}

/// The sign-in page, with whoever is in the user table to choose from.
pub(super) fn sign_in(people: &[Person], present: &[String], callback: &str) -> Markup {
    let gone = |person: &Person| !present.iter().any(|id| id == person.id);
    frame(
        "Sign in",
        &html! {},
        &html! {
            h1 { "Who would you like to be?" }
            p.lead {
                "The gate saw no session and sent you here, to the sample app. Choose someone, and the app gives you "
                "the same encrypted cookie that Auth.js would."
            }
            form method="post" action="/signin" {
                input type="hidden" name="callbackUrl" value=(callback);
                ul.people {
                    @for person in people {
                        li {
                            button.person name="user" value=(person.id) disabled[gone(person)] {
                                span.initial aria-hidden="true" { (person.name.chars().take(1).collect::<String>()) }
                                span { (person.name) }
                                span.email { (person.email) }
                                span.go { @if gone(person) { "deleted" } @else { span aria-hidden="true" { "→" } } }
                            }
                        }
                    }
                }
            }
            @if people.iter().any(gone) {
                form.actions method="post" action="/restore" { button { "Restore users" } }
            }
        },
    )
}

/// After a user is deleted: the session is still there, and what it is worth now can be seen.
pub(super) fn deleted() -> Markup {
    frame(
        "Deleted",
        &html! {},
        &html! {
            h1 { "That user is gone" }
            p.lead {
                "The row has left the user table. Your browser still has the session cookie, and it still opens. See "
                "for yourself what it is worth, then come back."
            }
            div.actions {
                a.button href="/" { "Open the protected page" }
                form method="post" action="/restore" { button { "Restore users" } }
            }
        },
    )
}

pub(super) fn not_found() -> Markup {
    frame(
        "Not found",
        &html! {},
        &html! {
            h1 { "There is no such page" }
            p.lead { "The gate let you through, but the sample app has nothing at this address." }
            div.actions { a.button href="/" { "Back to the first page" } }
        },
    )
}

pub(super) fn broken() -> Markup {
    frame(
        "Error",
        &html! {},
        &html! {
            h1 { "The sample app failed" }
            p.lead { "What went wrong is in the terminal in which the demo runs." }
        },
    )
}

fn frame(title: &str, action: &Markup, content: &Markup) -> Markup {
    page(
        &format!("{title} · sessiongate demo"),
        &html! {
            header { (mark()) span { "sessiongate demo" } (action) }
            main { (content) }
            footer { p { "Everything here lives in memory and is gone when the demo stops." } }
        },
    )
}
