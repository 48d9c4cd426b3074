//! `heddle generate`: texts that are written from the code.

use clap::{Args, Subcommand};

use super::failure::Failure;
use super::output::line;
use crate::config;

/// Arguments of `heddle generate`.
#[derive(Debug, Args)]
pub struct GenerateArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// The reference page of all configuration properties, as Markdown
    ConfigReference,
}

/// Runs the command.
///
/// # Errors
/// Never; the signature is that of all commands.
pub fn run(args: &GenerateArgs) -> Result<u8, Failure> {
    match args.what {
        What::ConfigReference => line(config::reference_page().trim_end_matches('\n')),
    }
    Ok(0)
}
