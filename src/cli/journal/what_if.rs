//! `lakemirror journal what-if DIR --config FILE`: which promotions would differ under another configuration.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use lakemirror_core::escape;
use lakemirror_evidence::explain::graph::At;
use lakemirror_evidence::point::show;
use lakemirror_evidence::what_if::{self, BranchAnswer, Promotion, Removal, Verdict, WhatIf};
use serde_json::{Value, json};

use super::table::{Align, Table, short};
use super::{Exit, Failure, Place, Printing, remark_on_beginning, unwritten};
use crate::cli::check;
use crate::cli::output;
use crate::run::policy;

/// Under which rules.
#[derive(Debug, Args)]
#[command(after_help = "\
Follows the journal's observations twice, under its own rules and under those of the configuration (promotion, \
verification, imports, deletion), and plans moves after each commit of the journal as the service does; a planned move is \
taken to be done at once. A line for each promotion that differs; `record` is the last one that the plan could look at, \
`recorded` the journal's own move. Nothing is written, and nothing but the journal and the configuration is read.

What the service would have asked under the other rules and did not ask is not in the journal: `why` says so.

  lakemirror journal what-if ./journal --config strict.yaml
  lakemirror journal what-if ./journal --config strict.yaml --all -o json

Exit codes: 0 done, whether something differs or not; 70 not a journal, a damaged one, or a later version's; 74 reading or \
writing failed; 78 the configuration is wrong.")]
pub(in crate::cli) struct WhatIfArguments {
    #[command(flatten)]
    place: Place,
    /// The configuration with the other rules; REPLICATION_… variables are laid over it, as `run` does
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Also list what is the same
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    printing: Printing,
}

/// Prints what differs.
pub(super) fn what_if(arguments: &WhatIfArguments) -> Result<Exit, Failure> {
    let WhatIfArguments { place, config, all, printing } = arguments;
    let (config, _) = check::load(config)?;
    let rules = policy::of(&config);
    let answer = place.ask(|source| what_if::what_if(source, &rules))?;
    let mut out = output::stdout();
    match printing.is_json() {
        true => writeln!(out, "{}", as_json(&answer, *all)),
        false => print(&answer, *all, &mut out),
    }
    .map_err(unwritten)?;
    remark_on_beginning(answer.begins_at);
    Ok(Exit::Ok)
}

fn record(at: Option<At>) -> String {
    at.map_or_else(|| "-".to_owned(), |at| at.seq.to_string())
}

fn print(answer: &WhatIf, all: bool, out: &mut dyn Write) -> io::Result<()> {
    let names = ["mirror", "branch", "head", "commit", "verdict", "record", "under these", "time", "recorded", "why"];
    let right = ["head", "record", "under these", "recorded"];
    let columns = names.map(|name| (name, if right.contains(&name) { Align::Right } else { Align::Left }));
    let mut table = Table::new(&columns);
    for branch in &answer.branches {
        for promotion in wanted(branch, all) {
            let Promotion { nth, commit, recorded, journal, other, verdict, why } = promotion;
            table.row(vec![
                branch.name.clone(),
                branch.branch.clone(),
                nth.to_string(),
                short(Some(commit)),
                verdict.name().to_owned(),
                record(*journal),
                record(*other),
                other.map_or_else(|| "-".to_owned(), |at| show(at.at_ms)),
                record(*recorded),
                why.clone(),
            ]);
        }
    }
    let promotions: usize = answer.branches.iter().map(|branch| branch.promotions.len()).sum();
    let branches = answer.branches.len();
    match answer.is_same() {
        true => writeln!(
            out,
            "nothing differs: {promotions} promotion(s) of {branches} branch(es), up to record {}",
            answer.end.seq
        )?,
        false => {
            writeln!(out, "of {promotions} promotion(s) of {branches} branch(es), up to record {}:", answer.end.seq)?
        }
    }
    if !table.is_empty() {
        table.print(out)?;
    }
    removals(answer, all, out)
}

fn wanted(branch: &BranchAnswer, all: bool) -> impl Iterator<Item = &Promotion> {
    branch.promotions.iter().filter(move |promotion| all || promotion.verdict != Verdict::Same)
}

fn removals(answer: &WhatIf, all: bool, out: &mut dyn Write) -> io::Result<()> {
    let due = |ms: Option<u64>| ms.map_or_else(|| "never".to_owned(), show);
    for removal in answer.removals.iter().filter(|removal| all || !is_same(removal)) {
        let Removal { name, branch, tombstoned, recorded, due_ms: [journal, other], verdict, .. } = removal;
        let verdict = verdict.map_or("under neither", Verdict::name);
        let removed = recorded.map_or_else(|| "not removed".to_owned(), |at| format!("removed by record {}", at.seq));
        let due = format!("may go from {} on, under these rules from {}", due(*journal), due(*other));
        let (name, branch) = (escape::line(name), escape::line(branch));
        writeln!(out, "removal of {name} {branch}: {verdict}; gone by record {}, {removed}; {due}", tombstoned.seq)?;
    }
    Ok(())
}

fn is_same(removal: &Removal) -> bool {
    removal.verdict.is_none_or(|verdict| verdict == Verdict::Same)
}

fn as_json(answer: &WhatIf, all: bool) -> Value {
    let at = |at: Option<At>| at.map(|at| json!({ "seq": at.seq, "at_ms": at.at_ms }));
    let promotion = |promotion: &Promotion| {
        json!({
            "head": promotion.nth,
            "commit": promotion.commit.to_string(),
            "verdict": promotion.verdict.name(),
            "recorded": at(promotion.recorded),
            "journal": at(promotion.journal),
            "other": at(promotion.other),
            "why": promotion.why,
        })
    };
    let branches = answer.branches.iter().map(|branch| {
        json!({
            "mirror": branch.name,
            "incarnation": branch.mirror.to_string(),
            "branch": branch.branch,
            "ends": branch.ends.map(|end| end.map(|id| id.to_string())),
            "promotions": wanted(branch, all).map(promotion).collect::<Vec<_>>(),
        })
    });
    let removals = answer.removals.iter().filter(|removal| all || !is_same(removal)).map(|removal| {
        json!({
            "mirror": removal.name,
            "incarnation": removal.mirror.to_string(),
            "branch": removal.branch,
            "tombstoned": at(Some(removal.tombstoned)),
            "recorded": at(removal.recorded),
            "due_ms": removal.due_ms,
            "verdict": removal.verdict.map(Verdict::name),
        })
    });
    json!({
        "end": at(Some(answer.end)),
        "begins_at": answer.begins_at,
        "same": answer.is_same(),
        "branches": branches.collect::<Vec<_>>(),
        "removals": removals.collect::<Vec<_>>(),
    })
}
