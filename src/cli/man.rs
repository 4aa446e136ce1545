//! `trunkd man`: a manual page for the program and for each subcommand.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::CommandFactory;

use super::{Cli, while_doing};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The folder that gets trunkd.1, trunkd-serve.1 and so on; it is made if it is missing
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let dir = &arguments.dir;
    fs::create_dir_all(dir)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), dir))
        .map_err(while_doing(format!("cannot write manual pages to {}", dir.display())))?;
    Ok(ExitCode::SUCCESS)
}
