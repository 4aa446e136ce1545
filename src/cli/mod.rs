//! The subcommands: reading arguments, exit codes, tables. Decides nothing about gateways or switches.

/// Runs the command line and returns the process's exit code.
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
