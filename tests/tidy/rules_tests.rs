//! Each rule on a planted violation and, if it could be too strict, on what it must accept.

use super::*;

fn file(path: &str, text: &str) -> Source {
    Source { path: path.to_owned(), text: text.to_owned() }
}

fn finds(rule: Rule, path: &str, text: &str) {
    assert!(!rule(&file(path, text)).is_empty(), "{path}: {text:.200}");
}

fn passes(rule: Rule, path: &str, text: &str) {
    assert_eq!(rule(&file(path, text)), Vec::<String>::new(), "{path}: {text:.200}");
}

#[test]
fn sizes() {
    finds(size, "src/a.rs", &"x\n".repeat(501));
    passes(size, "src/a.rs", &"x\n".repeat(500));
    let tests = |lines: usize| format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", "x\n".repeat(500), "y\n".repeat(lines));
    passes(size, "src/a.rs", &tests(100));
    passes(inline_tests, "src/a.rs", &tests(147));
    finds(inline_tests, "src/a.rs", &tests(148));
    finds(functions, "src/a.rs", &format!("fn long() {{\n{}}}\n", "    x();\n".repeat(69)));
    passes(functions, "src/a.rs", &format!("fn short() {{\n{}}}\n", "    x();\n".repeat(68)));
}

#[test]
fn openings_roots_and_names() {
    finds(opening, "src/a.rs", "use x;\n");
    passes(opening, "src/a.rs", "//! a\n");
    finds(root_files, "src/lib.rs", "//! a\nimpl X {}\n");
    finds(root_files, "journal/src/lib.rs", &"mod x;\n".repeat(121));
    passes(root_files, "src/lib.rs", "//! a\npub mod x;\n");
    for path in ["src/utils.rs", "src/common/x.rs", "src/a/mod.rs"] {
        finds(module_names, path, "");
    }
    passes(module_names, "src/modes.rs", "");
}

#[test]
fn markers_and_ignored_tests() {
    finds(markers, "src/a.rs", "// TODO: later\n");
    passes(markers, "src/a.rs", "// AUTODOC\n");
    finds(ignored_tests, "src/a.rs", "    #[ignore = \"slow\"]\n");
}

#[test]
fn pure_files_and_the_outer_layer() {
    finds(pure_files, "journal/src/decide.rs", "pub async fn decide() {}\n");
    finds(pure_files, "src/objects/plan.rs", "x.await;\n");
    passes(pure_files, "src/engine/observe.rs", "pub async fn f() {}\n");
    finds(rim, "src/engine.rs", "let a = Instant::now();\n");
    finds(rim, "src/config.rs", "std::fs::rename(a, b);\n");
    passes(rim, "ports/src/clock.rs", "let a = Instant::now();\n");
    passes(rim, "src/engine.rs", "// Instant::now is banned\n");
}

#[test]
fn paths_of_a_machine() {
    finds(machine_paths, "README.md", concat!("see ", env!("CARGO_MANIFEST_DIR"), "/x\n"));
    finds(machine_paths, "src/a.rs", "//! in /home/me\n");
    passes(machine_paths, "README.md", "https://docs.rs/x and ./work\n");
}

#[test]
fn messages_that_repeat_their_source() {
    finds(error_messages, "src/a.rs", "#[error(\"a: {0}\")]\nA(#[source] io::Error),\n");
    finds(error_messages, "src/a.rs", "#[error(\"a: {source}\")]\nA {\n    #[source]\n    source: io::Error,\n},\n");
    passes(
        error_messages,
        "src/a.rs",
        "#[error(\"a {path}\")]\nA {\n    path: String,\n    #[source]\n    source: io::Error,\n},\n",
    );
    passes(error_messages, "src/a.rs", "#[error(\"a {0}\")]\nA(String),\n#[error(\"b\")]\nB(#[from] io::Error),\n");
}

#[test]
fn exemptions_without_a_reason() {
    finds(reasons, "src/a.rs", "#[allow(dead_code)]\n");
    passes(reasons, "src/a.rs", "#[expect(\n    dead_code,\n    reason = \"x\"\n)]\n");
}

#[test]
fn commands_of_the_readme() {
    for line in ["cargo run --release -- dmeo", "lakemirror frobnicate", "tests/rum"] {
        finds(readme_commands, "README.md", line);
    }
    for line in ["cargo run --release -- demo", "lakemirror config check x", "tests/run", "lakemirror --help"] {
        passes(readme_commands, "README.md", line);
    }
}

#[test]
fn events_have_one_interpreter() {
    finds(one_interpreter, "engine/src/a.rs", "match e {\n    Event::MoveStarted(e) => x(e),\n}\n");
    finds(one_interpreter, "evidence/src/a.rs", "if let Event::BranchSeen(e) = event {\n");
    finds(one_interpreter, "src/a.rs", "    | Event::MoveFinished(_)\n");
    passes(one_interpreter, "journal/src/state.rs", "    Event::MoveStarted(e) => x(e),\n");
    passes(one_interpreter, "src/a.rs", "state.apply(&Event::MoveStarted(started));\n");
    passes(one_interpreter, "src/a.rs", "ServiceEvent::Started(e) => x(e),\n");
    passes(one_interpreter, "src/a.rs", "events.map(Event::change).any(|c| match c { _ => true });\n");
}
