#!/usr/bin/env bash
# The Rust crate url 2.5.8 and Node.js 20, references with three or more slashes before a name.
#
# Seen: the WHATWG URL standard ignores further slashes before the host of a special scheme ("special authority ignore slashes
# state"). Node.js does: `new URL("///x/y", "http://app.example/")` is `http://x/y`, and so is `new URL("http:///x/y")`. The crate
# does so for the absolute `http:///x/y`, but not for a reference: `join("///x/y")` and `join("////x/y")` are errors, "empty host".
# Two slashes, and backslashes in place of slashes, agree.
#
# It matters to whoever checks in Rust where a redirect or a link leads that a browser will follow, or compares what two parsers
# see in a path: the crate has no answer for references of which browsers and Node.js see a host in.
#
# Needs node and cargo. Exits with an error when the behavior differs from what is described here.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "probe"
version = "0.0.0"
edition = "2021"

[dependencies]
url = "=2.5.8"

[workspace]
TOML
cat >src/main.rs <<'RS'
fn main() {
    let base = url::Url::parse("http://app.example/").unwrap();
    for reference in std::env::args().skip(1) {
        match base.join(&reference) {
            Ok(url) => println!("{reference} {url}"),
            Err(error) => println!("{reference} {error}"),
        }
    }
}
RS
references=('/x/y' '//x/y' '///x/y' '////x/y' '\\x/y' 'http:///x/y')
cargo build --quiet
crate=$(./target/debug/probe "${references[@]}")
node=$(node -e '
  for (const reference of process.argv.slice(1)) {
    console.log(reference, new URL(reference, "http://app.example/").href);
  }
' -- "${references[@]}")
echo "url 2.5.8:" && echo "$crate"
echo "Node.js $(node --version):" && echo "$node"
expected_crate='/x/y http://app.example/x/y
//x/y http://x/y
///x/y empty host
////x/y empty host
\\x/y http://x/y
http:///x/y http://x/y'
expected_node='/x/y http://app.example/x/y
//x/y http://x/y
///x/y http://x/y
////x/y http://x/y
\\x/y http://x/y
http:///x/y http://x/y'
[ "$crate" = "$expected_crate" ] && [ "$node" = "$expected_node" ]
echo "As described."
