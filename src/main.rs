//! The command line: parse, run, exit. Exit codes are in docs/operations.md.

use std::process::ExitCode;

fn main() -> ExitCode {
    latchd::cli::main()
}
