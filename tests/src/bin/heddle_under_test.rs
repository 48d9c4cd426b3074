//! The broker and its command line, as `heddle` is, built for the tests of this package.

fn main() -> std::process::ExitCode {
    broker::cli::main()
}
