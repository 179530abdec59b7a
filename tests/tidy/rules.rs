//! The rules about single files, except imports.

use super::source::Source;

const LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
const ROOT_LINES_MAX: usize = 120;
const INLINE_TEST_LINES_MAX: usize = 150;

/// Functions over the limit, as `path::name`. This list may only shrink.
const LONG_FUNCTIONS: &[&str] = &[];
/// Where the system clock and randomness may be read, and where files may be renamed.
const READS_CLOCK: [&str; 1] = ["ports/src/clock"];
const RENAMES: [&str; 3] = ["journal/src/", "sandbox/src/", "adapters/mirrors/src/"];
/// Where events are interpreted: the state machine itself, and the one translation into another format. The YAML parser and
/// the replication daemon have events of their own.
const INTERPRETS_EVENTS: [&str; 4] =
    ["journal/src/", "evidence/src/export", "src/config/yaml.rs", "sandbox/src/sandbox/replication.rs"];
/// Decisions are pure: no waiting in them.
const PURE: [&str; 6] = ["decide.rs", "plan.rs", "apply.rs", "decide/", "plan/", "state/"];
/// Module names that would fit anything.
const BANNED_MODULES: [&str; 5] = ["utils", "util", "common", "helpers", "misc"];

type Rule = fn(&Source) -> Vec<String>;

/// Rules about size, which also apply to the rules' own files.
const FORM: [Rule; 5] = [size, functions, opening, module_names, inline_tests];
/// Rules about words. The files of the rules name what they forbid, so they are not asked about themselves.
const WORDS: [Rule; 10] = [
    root_files,
    markers,
    pure_files,
    one_interpreter,
    rim,
    machine_paths,
    error_messages,
    ignored_tests,
    reasons,
    readme_commands,
];

/// All faults of a file.
pub(crate) fn faults(file: &Source) -> Vec<String> {
    let words = if file.path.starts_with("tests/tidy") { &[] } else { WORDS.as_slice() };
    let found = FORM.iter().chain(words).flat_map(|rule| rule(file));
    found.map(|fault| format!("{}:{fault}", file.path)).collect()
}

/// Exceptions that are no longer needed.
pub(crate) fn stale_exceptions(tree: &[Source]) -> Vec<String> {
    let long: Vec<String> = tree.iter().flat_map(long_functions).map(|(name, ..)| name).collect();
    let stale = LONG_FUNCTIONS.iter().filter(|name| !long.iter().any(|found| found == *name));
    stale.map(|name| format!("{name} is short now: remove it from the list of exceptions")).collect()
}

fn size(file: &Source) -> Vec<String> {
    let lines = file.production_lines();
    let over = file.is_rust() && lines > LINES_MAX;
    over.then(|| format!("1: {lines} lines of production code, {LINES_MAX} are allowed")).into_iter().collect()
}

fn long_functions(file: &Source) -> Vec<(String, usize, usize)> {
    if !file.is_rust() {
        return Vec::new();
    }
    let long = file.functions().into_iter().filter(|function| function.lines > FUNCTION_LINES_MAX);
    long.map(|function| (format!("{}::{}", file.path, function.name), function.line, function.lines)).collect()
}

fn functions(file: &Source) -> Vec<String> {
    let long = long_functions(file).into_iter().filter(|(name, ..)| !LONG_FUNCTIONS.contains(&name.as_str()));
    long.map(|(name, line, lines)| format!("{line}: {name} has {lines} lines, {FUNCTION_LINES_MAX} are allowed"))
        .collect()
}

fn opening(file: &Source) -> Vec<String> {
    let bad = file.is_rust() && !file.text.starts_with("//! ");
    bad.then(|| "1: does not open with `//!`, what it owns and what not".to_owned()).into_iter().collect()
}

fn root_files(file: &Source) -> Vec<String> {
    if !file.path.ends_with("src/lib.rs") && !file.path.ends_with("src/main.rs") {
        return Vec::new();
    }
    let mut faults = Vec::new();
    if file.production_lines() > ROOT_LINES_MAX {
        faults.push(format!("1: more than {ROOT_LINES_MAX} lines in a root file"));
    }
    faults.extend(on_lines(file, "a root file has no logic", |code| code.trim_start().starts_with("impl")));
    faults
}

fn module_names(file: &Source) -> Vec<String> {
    let mut parts = file.path.trim_end_matches(".rs").split('/');
    let bad = parts.clone().any(|part| BANNED_MODULES.contains(&part)) || parts.next_back() == Some("mod");
    (file.is_rust() && bad).then(|| "1: the module's name says nothing".to_owned()).into_iter().collect()
}

fn markers(file: &Source) -> Vec<String> {
    let word =
        |line: &str| line.split(|c: char| !c.is_alphanumeric()).any(|word| ["TODO", "FIXME", "XXX"].contains(&word));
    all_lines(file, "unfinished work belongs into an issue", |line| file.is_rust() && word(line))
}

fn pure_files(file: &Source) -> Vec<String> {
    let pure = PURE.iter().any(|part| {
        file.path.ends_with(&format!("/{part}")) || (part.ends_with('/') && file.path.contains(&format!("/{part}")))
    });
    on_lines(file, "a decision is pure: no async here", |code| {
        pure && (code.contains("async ") || code.contains(".await"))
    })
}

/// Only the journal says what an event means; the export writes down each with its fields. Others follow transitions.
fn one_interpreter(file: &Source) -> Vec<String> {
    let exempt = !file.is_product() || INTERPRETS_EVENTS.iter().any(|path| file.path.starts_with(path));
    on_lines(file, "only the journal interprets events: match on `Event::change`", |code| {
        let is_pattern = |(at, text): (usize, &str)| {
            let (before, rest) = (code.get(..at).unwrap_or_default(), code.get(at + text.len()..).unwrap_or_default());
            let of_events = !before.ends_with(|last: char| last.is_alphanumeric() || last == ':');
            let opens = ["if let ", "matches!(", "| "].iter().any(|opening| before.contains(opening));
            of_events && rest.starts_with(|first: char| first.is_ascii_uppercase()) && (opens || rest.contains("=>"))
        };
        !exempt && code.match_indices("Event::").any(is_pattern)
    })
}

fn rim(file: &Source) -> Vec<String> {
    let clock = READS_CLOCK.iter().any(|path| file.path.starts_with(path));
    let renames = RENAMES.iter().any(|path| file.path.starts_with(path));
    let reads = ["Instant::now", "SystemTime::now", "rand::rng", "rand::random"];
    on_lines(file, "take a clock, an entropy, or the durable rename", |code| {
        (!clock && reads.iter().any(|name| code.contains(name))) || (!renames && code.contains("fs::rename"))
    })
}

fn machine_paths(file: &Source) -> Vec<String> {
    let forbidden = [concat!(env!("CARGO_MANIFEST_DIR"), "/"), "/root/"];
    // A container's `/root/` is not allowed either; `/home/` belongs to a user.
    all_lines(file, "a path of one machine", |line| {
        forbidden.iter().any(|text| line.contains(text)) || line.contains("/home/")
    })
}

/// A variant with a source must not print it, because printing the chain would show it twice.
fn error_messages(file: &Source) -> Vec<String> {
    let lines: Vec<&str> = file.production();
    let mut faults = Vec::new();
    for (index, line) in lines.iter().enumerate().filter(|(_, line)| line.trim_start().starts_with("#[error(")) {
        let variant: Vec<&str> =
            lines[index + 1..].iter().take_while(|next| !next.contains("#[error(") && **next != "}").copied().collect();
        let Some(at) = variant.iter().position(|next| next.contains("#[source]") || next.contains("#[from]")) else {
            continue;
        };
        let tuple = variant[at].contains('(');
        let after = variant[at].rsplit("#[source]").next().unwrap_or_default().trim();
        let field = if after.contains(':') { after } else { variant.get(at + 1).copied().unwrap_or_default() };
        let name = field.trim().trim_start_matches("pub ").split(':').next().unwrap_or_default();
        let printed = if tuple { line.contains("{0") } else { line.contains(&format!("{{{name}")) };
        if printed {
            faults.push(format!("{}: the message repeats its source", index + 1));
        }
    }
    faults
}

fn ignored_tests(file: &Source) -> Vec<String> {
    all_lines(file, "a test that is not run is no test", |line| {
        file.is_rust() && line.trim_start().starts_with("#[ignore")
    })
}

fn reasons(file: &Source) -> Vec<String> {
    let lines: Vec<&str> = file.text.lines().collect();
    let mut faults = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let start = line.trim_start();
        let exempts = ["#[allow(", "#![allow(", "#[expect(", "#![expect("].iter().any(|form| start.starts_with(form));
        let end = lines[index..].iter().position(|next| next.contains(")]")).unwrap_or(0);
        if file.is_rust() && exempts && !lines[index..=index + end].iter().any(|next| next.contains("reason")) {
            faults.push(format!("{}: an exemption without its reason", index + 1));
        }
    }
    faults
}

fn inline_tests(file: &Source) -> Vec<String> {
    let lines = file.text.lines().count() - file.production_lines();
    let over = file.is_rust() && lines > INLINE_TEST_LINES_MAX;
    over.then(|| format!("1: {lines} lines of tests at its end: move them to a file of their own"))
        .into_iter()
        .collect()
}

/// A command in the README must exist: a script of the tree, or one of our commands.
fn readme_commands(file: &Source) -> Vec<String> {
    if file.path != "README.md" {
        return Vec::new();
    }
    let top = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let missing = |line: &str| {
        let mut words = line.split_whitespace();
        let command = match (words.next(), words.next()) {
            (Some("cargo"), Some("run")) => {
                line.split_once(" -- ").and_then(|(_, ours)| ours.split_whitespace().next())
            }
            (Some("lakemirror"), Some(command)) => Some(command),
            (Some(script), _) if script.starts_with("tests/") => return !top.join(script).is_file(),
            _ => None,
        };
        command.is_some_and(|command| {
            !command.starts_with('-') && !top.join(format!("src/cli/{}", file_of(command))).is_file()
        })
    };
    all_lines(file, "the README shows a command that is not there", missing)
}

/// The file of a command, under `src/cli/`.
fn file_of(command: &str) -> String {
    if command == "config" { "check.rs".to_owned() } else { format!("{command}.rs") }
}

fn on_lines(file: &Source, fault: &str, bad: impl Fn(&str) -> bool) -> Vec<String> {
    if !file.is_rust() || !file.is_product() {
        return Vec::new();
    }
    file.code().filter(|(_, code)| bad(code)).map(|(line, _)| format!("{line}: {fault}")).collect()
}

fn all_lines(file: &Source, fault: &str, bad: impl Fn(&str) -> bool) -> Vec<String> {
    let lines = file.text.lines().enumerate().filter(|(_, line)| bad(line));
    lines.map(|(index, _)| format!("{}: {fault}", index + 1)).collect()
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
