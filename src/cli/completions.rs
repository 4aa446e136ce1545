//! `trunkd completions`: what a shell completes after `trunkd`.

use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, print_raw};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The shell whose completions are printed
    shell: Shell,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "trunkd", &mut script);
    print_raw(&String::from_utf8(script)?)?;
    Ok(ExitCode::SUCCESS)
}
