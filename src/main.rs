//! Flags in, exit code out; [`steersman::cli`] does the rest.

fn main() -> std::process::ExitCode {
    steersman::cli::run()
}
