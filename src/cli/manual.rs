//! `latchd completions` and `latchd man`: made from the command line's own definition.

use super::{Cli, Failure, output};
use clap::CommandFactory;
use std::path::PathBuf;
use std::process::ExitCode;

/// Completions for a shell.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  latchd completions bash > /etc/bash_completion.d/latchd")]
pub struct CompletionsArgs {
    /// The shell.
    shell: clap_complete::Shell,
}

/// Manual pages.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  latchd man | man -l -\n  latchd man /usr/share/man/man1")]
pub struct ManArgs {
    /// Directory for one page a subcommand; without it latchd(1) goes to stdout.
    directory: Option<PathBuf>,
}

/// Prints the completions.
pub fn completions(args: &CompletionsArgs) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "latchd", &mut script);
    output::line(String::from_utf8_lossy(&script).trim_end());
    Ok(ExitCode::SUCCESS)
}

/// Prints or writes the pages.
pub fn man(args: &ManArgs) -> anyhow::Result<ExitCode> {
    match &args.directory {
        Some(directory) => clap_mangen::generate_to(Cli::command(), directory).map_err(|error| {
            Failure::failed(
                format!("{}: {error}", directory.display()),
                "name a directory that exists and can be written",
            )
        })?,
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page)?;
            output::line(String::from_utf8_lossy(&page).trim_end());
        }
    }
    Ok(ExitCode::SUCCESS)
}
