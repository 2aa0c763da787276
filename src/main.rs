//! The binary: everything is in the library, where tests can reach it.

use std::process::ExitCode;

/// Batches allocate on one thread and free on others, which the system's allocator does slowly.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    farthing::cli::run()
}
