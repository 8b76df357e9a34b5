//! The parts of a released binary: their licenses, and a list of them for scanners (an SBOM).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::step::{command, host, output, root, step};
use crate::tools::CYCLONEDX;

/// Writes the licenses and the SBOM of the product beside its binary.
///
/// # Errors
/// When Cargo or cargo-cyclonedx fails, or a file cannot be read or written.
pub fn write_beside(binary: &Path) -> Result<()> {
    let folder = binary.parent().context("a binary is in a folder")?;
    fs::write(folder.join("sessiongate-licenses.txt"), licenses()?)?;
    // Cargo's list of packages omits the standard library; the compiler comes with a page of its licenses.
    let sysroot = output(&mut command("rustc --print sysroot"))?;
    let of_rust = Path::new(sysroot.trim()).join("share/doc/rust/COPYRIGHT-library.html");
    if of_rust.exists() {
        fs::copy(of_rust, folder.join("rust-library-licenses.html"))?;
    }
    fs::write(folder.join("sessiongate.cdx.json"), sbom()?)?;
    Ok(())
}

/// Lists the packages that are compiled into the product, with the text of every license and notice in them.
///
/// The texts are taken from the packages, because a license such as MIT names the copyright holder.
fn licenses() -> Result<String> {
    let packages = packages()?;
    let mut list = String::new();
    let mut texts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in &packages {
        let name = format!("{} {}", package.name, package.version);
        list += &format!("{name}: {}\n", package.license);
        let mut files = Vec::new();
        notices(&package.folder, &mut files)?;
        if files.is_empty() {
            list += &format!(
                "    The package contains no license text. Its authors: {}. Its source: {}\n",
                package.authors, package.repository
            );
        }
        for file in files {
            // Bytes that are not UTF-8 belong to a name in an old encoding.
            let text = String::from_utf8_lossy(&fs::read(file)?).trim().to_owned();
            texts.entry(text).or_default().insert(name.clone());
        }
    }
    // The C library is linked statically. This is the path of its license on Debian.
    let libc = Path::new("/usr/share/doc/libc6-dev/copyright");
    if let Ok(text) = fs::read_to_string(libc) {
        list += "The GNU C library: see below\n";
        let of = BTreeSet::from(["The GNU C library".to_owned()]);
        texts.insert(text.trim().to_owned(), of);
    }
    let mut all = format!(
        "sessiongate is licensed under MIT OR Apache-2.0. Its binary contains the standard library of Rust (MIT OR Apache-2.0) \
         and these packages:\n\n{list}"
    );
    for (text, of) in texts {
        let of: Vec<_> = of.into_iter().collect();
        all += &format!("\n{RULE}\n{}\n{RULE}\n\n{text}\n", of.join(", "));
    }
    Ok(all)
}

/// A package from the registry.
struct Package {
    name: String,
    version: String,
    license: String,
    authors: String,
    repository: String,
    folder: PathBuf,
}

/// The packages from the registry that are compiled into the product for this machine, sorted by name.
fn packages() -> Result<Vec<Package>> {
    let metadata = output(&mut command(&format!(
        "cargo metadata --locked --format-version 1 --filter-platform {}",
        host()?
    )))?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let by_id = |list: Vec<Value>| -> BTreeMap<String, Value> {
        let with_id = |value: Value| Some((value["id"].as_str()?.to_owned(), value));
        list.into_iter().filter_map(with_id).collect()
    };
    let packages = by_id(list(&metadata["packages"]));
    let nodes = by_id(list(&metadata["resolve"]["nodes"]));
    let product = packages
        .iter()
        .find(|(_, package)| package["name"] == "sessiongate");
    let (product, _) = product.context("Cargo knows no package sessiongate")?;
    let is_macro = |package: &Value| {
        let targets = list(&package["targets"]);
        targets
            .iter()
            .any(|target| list(&target["kind"]).contains(&"proc-macro".into()))
    };
    let mut found = BTreeMap::new();
    let mut ahead = vec![product.clone()];
    while let Some(id) = ahead.pop() {
        let package = packages.get(&id).context("Cargo describes each package")?;
        // A procedural macro and its dependencies run in the compiler.
        if is_macro(package) || found.contains_key(&id) {
            continue;
        }
        let node = nodes.get(&id).context("Cargo resolves each package")?;
        for dependency in list(&node["deps"]) {
            // Only normal dependencies have no kind; those of tests and build scripts have one.
            let kinds = list(&dependency["dep_kinds"]);
            if kinds.iter().any(|kind| kind["kind"].is_null()) {
                let id = dependency["pkg"].as_str();
                ahead.push(id.context("a dependency has an id")?.to_owned());
            }
        }
        found.insert(id, package);
    }
    let registered = found
        .values()
        .filter(|package| !package["source"].is_null());
    let registered = registered.map(|package| {
        let manifest = PathBuf::from(text(&package["manifest_path"]));
        let authors = list(&package["authors"]);
        let authors: Vec<_> = authors.iter().filter_map(Value::as_str).collect();
        Package {
            name: text(&package["name"]),
            version: text(&package["version"]),
            license: text(&package["license"]),
            authors: authors.join(", "),
            repository: text(&package["repository"]),
            folder: manifest.parent().unwrap_or(&manifest).to_owned(),
        }
    });
    let mut registered: Vec<_> = registered.collect();
    registered.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    Ok(registered)
}

/// Adds the files below `folder` whose names are those of licenses or notices to `found`. A package that contains a C library has
/// the files of the library in a subfolder.
fn notices(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.to_ascii_uppercase();
        if path.is_dir() {
            notices(&path, found)?;
        } else if NOTICES.iter().any(|start| name.starts_with(start)) && !name.ends_with(".RS") {
            found.push(path);
        }
    }
    Ok(())
}

/// The product's SBOM, written by cargo-cyclonedx.
///
/// The tool writes an SBOM into the folder of every package of the workspace; all of these files are removed.
fn sbom() -> Result<String> {
    let mut write = Command::new(CYCLONEDX.install()?);
    write.args(["cyclonedx", "--format", "json", "--spec-version", "1.5"]);
    write.args(["--no-build-deps", "--target", &host()?]);
    step(&mut write)?;
    let metadata = output(&mut command(
        "cargo metadata --locked --no-deps --format-version 1",
    ))?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let mut product = None;
    for package in list(&metadata["packages"]) {
        let (name, manifest) = (text(&package["name"]), text(&package["manifest_path"]));
        let written = Path::new(&manifest).with_file_name(format!("{name}.cdx.json"));
        if name == "sessiongate" {
            product = Some(fs::read_to_string(&written)?);
        }
        fs::remove_file(written)?;
    }
    // The path of the build folder is private, and would make builds of the same sources differ.
    let here = root().display().to_string();
    Ok(product
        .context("Cargo knows no package sessiongate")?
        .replace(&here, ""))
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or("unknown").to_owned()
}

/// The beginnings of the names of license and notice files, in capitals.
const NOTICES: [&str; 6] = [
    "COPYING",
    "COPYRIGHT",
    "LICENCE",
    "LICENSE",
    "NOTICE",
    "UNLICENSE",
];

const RULE: &str =
    "--------------------------------------------------------------------------------";

#[cfg(test)]
mod tests {
    use super::{licenses, packages};

    #[test]
    fn what_is_compiled_into_the_product_is_listed_and_nothing_else() {
        let packages = packages().unwrap();
        let has = |name: &str| packages.iter().any(|package| package.name == name);
        for part in ["aws-lc-sys", "libsqlite3-sys", "serde", "tokio"] {
            assert!(has(part), "{part}");
        }
        // A macro, a build dependency, a dependency of tests, and one for another system.
        for other in ["serde_derive", "cc", "tempfile", "windows-sys"] {
            assert!(!has(other), "{other}");
        }
    }

    #[test]
    fn licenses_come_with_their_texts_also_those_of_libraries_in_c() {
        let licenses = licenses().unwrap();
        for text in [
            "tokio 1.",
            "Permission is hereby granted",
            "Microsoft Corporation, Daan Leijen",
            "The OpenSSL Project",
        ] {
            assert!(licenses.contains(text), "{text}");
        }
    }
}
