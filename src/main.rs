fn main() -> std::process::ExitCode {
    trunkd::cli::main()
}
