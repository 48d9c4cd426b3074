//! `heddle bench list`: the named workloads.

use clap::Args;
use serde_json::json;

use super::args::{Io, print};
use crate::error::BenchError;
use crate::plan::workloads;
use crate::result::workload;

/// Arguments of `heddle bench list`.
#[derive(Debug, Args)]
#[command(after_help = "The plan of a workload, to be changed and given to `bench run --plan`:
  heddle bench list keyed --format json")]
pub struct ListArgs {
    /// Only this one
    #[arg(value_name = "WORKLOAD")]
    name: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// There is no such workload.
pub fn run(args: &ListArgs, io: &Io) -> Result<u8, BenchError> {
    let chosen = |name: &str| args.name.as_deref().is_none_or(|wanted| wanted == name);
    let plan = |name: &str| workloads::named(name).ok_or_else(|| workloads::unknown(name));
    match &args.name {
        Some(name) if io.json => {
            let plan = plan(name)?;
            print(&json!(plan).to_string());
        }
        None if io.json => {
            let all: Result<Vec<_>, BenchError> = workloads::all()
                .map(|(name, question)| {
                    Ok(json!({ "name": name, "question": question, "plan": plan(name)? }))
                })
                .collect();
            print(&json!(all?).to_string());
        }
        name => {
            if let Some(name) = name {
                plan(name)?;
            }
            for (index, (name, question)) in
                workloads::all().filter(|(name, _)| chosen(name)).enumerate()
            {
                if index > 0 {
                    print("");
                }
                print(&entry(name, question, &plan(name)?));
            }
        }
    }
    Ok(0)
}

/// The name and the question, the plan in a line, and what happens beside it.
fn entry(name: &str, question: &str, plan: &crate::plan::Plan) -> String {
    let line = workload::line(plan);
    let line = line.strip_prefix(&format!("{name} · ")).unwrap_or(&line);
    let mut text = format!("{name:<17} {question}\n{:<17} {line}", "");
    for beside in workload::besides(plan) {
        text += &format!("\n{:<17} beside {beside}", "");
    }
    text
}
