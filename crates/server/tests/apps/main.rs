//! Real applications behind the gate, each with the configuration of its page in `docs/apps`: they are asked who is signed
//! in, and never name whom a stranger claims to be.

mod calibre_web;
mod described;
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
