//! Resolves `include`: patterns of further files.

use std::path::{Path, PathBuf};

use super::super::catalogue::{self, TABLES, TOP_LEVEL};
use super::super::place::SourceFile;
use super::super::problem::Problem;
use super::super::raw_tables::Spanned;
use super::table::FileTable;

/// The files that `include` names.
#[derive(Debug, Default)]
pub(super) struct Included {
    /// The files, each once, in alphabetical order per pattern.
    pub(super) paths: Vec<PathBuf>,
    /// The patterns, absolute or relative to the working directory.
    pub(super) patterns: Vec<String>,
    /// Problems of the patterns.
    pub(super) problems: Vec<Problem>,
}

impl Included {
    /// Finds the files that these patterns in `main` name.
    pub(super) fn find(main: &SourceFile, patterns: &[Spanned<String>]) -> Self {
        let mut found = Self::default();
        let folder = main.path.parent().unwrap_or(Path::new(""));
        let mut seen: Vec<_> = main.path.canonicalize().into_iter().collect();
        for pattern in patterns {
            let whole = pattern_in(folder, &pattern.value);
            let paths = whole.and_then(|whole| {
                let paths = matching(&whole, &pattern.value);
                found.patterns.push(whole);
                paths
            });
            match paths {
                Ok(paths) => {
                    for path in paths {
                        let real = path.canonicalize().unwrap_or_else(|_| path.clone());
                        if !seen.contains(&real) {
                            seen.push(real);
                            found.paths.push(path);
                        }
                    }
                }
                Err(what) => {
                    let problem = Problem::with(pattern, what);
                    let help = "patterns are relative to the file that contains them; `*` and `?` match part of a name, \
                         `**` matches any folders";
                    found.problems.push(problem.with_help(help));
                }
            }
        }
        found
    }
}

/// The pattern with this folder before it, unless it is absolute.
fn pattern_in(folder: &Path, pattern: &str) -> Result<String, String> {
    let folder = folder.to_str().map(glob::Pattern::escape);
    let folder = folder.ok_or("the path of this file is not UTF-8, so it cannot include files")?;
    Ok(match (folder.as_str(), Path::new(pattern).is_absolute()) {
        ("", _) | (_, true) => pattern.to_owned(),
        (folder, false) => format!("{folder}/{pattern}"),
    })
}

/// The files that a pattern matches.
fn matching(whole: &str, pattern: &str) -> Result<Vec<PathBuf>, String> {
    let paths = glob::glob(whole)
        .map_err(|error| format!("`{pattern}` is not a pattern: {}", error.msg))?;
    let is_file = |path: &Result<PathBuf, _>| !path.as_ref().is_ok_and(|path| path.is_dir());
    let paths: Result<Vec<_>, _> = paths.filter(is_file).take(MOST + 1).collect();
    let paths = paths.map_err(|error| format!("`{pattern}`: {error}"))?;
    match paths.len() {
        0 => Err(format!("no file matches `{pattern}`")),
        1..=MOST => Ok(paths),
        _ => Err(format!("more than {MOST} files match `{pattern}`")),
    }
}

/// The most files per pattern. One that matches more probably searches a whole disk.
const MOST: usize = 1000;

/// Reports keys of an included file that only `main` may have.
pub(super) fn report_misplaced(table: &mut FileTable<'_>, main: &SourceFile) {
    for (key, _) in table.entries() {
        let name: &str = key.get_ref();
        let is_table = TABLES.iter().any(|table| table.name == name);
        let is_of_top = TOP_LEVEL.iter().any(|key| key.name == name);
        if is_table || !(is_of_top || catalogue::of_key(name).is_some()) {
            continue;
        }
        let what = format!("`{name}` is not allowed in an included file");
        let help = format!(
            "move it to {}; included files may only contain `[[route]]`, `[service.*]`, `[profile.*]` and `[realm.*]`",
            main.path.display()
        );
        let place = table.place_of(key);
        table
            .problems
            .push(Problem::at(place, what).with_help(help));
        table.add_known(name);
    }
}
