//! Folders as services: which files the gate sends, the form of the answers, and what it never sends.

mod caching;
mod files;
mod hidden;
mod pages;
mod settings;
mod site;
mod transfers;
