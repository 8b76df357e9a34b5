//! Folders as services: which files come, how their answers look, and what never leaves.

mod caching;
mod files;
mod hidden;
mod pages;
mod settings;
mod site;
mod transfers;
