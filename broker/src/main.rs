//! The `heddle` binary.

use std::process::ExitCode;

use engine::alloc::Counting;

#[global_allocator]
static ALLOCATOR: Counting<mimalloc::MiMalloc> = Counting(mimalloc::MiMalloc);

fn main() -> ExitCode {
    broker::cli::main()
}
