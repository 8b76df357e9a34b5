//! Real applications behind the gate, each with the configuration of its page in `docs/apps`: the tests ask them who is
//! signed in, and they must never name a user whom a client only claims to be.

mod calibre_web;
mod documented_headers;
mod dokuwiki;
mod fastapi;
mod git;
mod node;
mod pages;
mod pgadmin;
mod php;
mod prometheus;
mod radicale;
mod rust;
mod support;
mod trial;
mod webdav;
mod wsgi;
