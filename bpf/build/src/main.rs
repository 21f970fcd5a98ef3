//! Compiles the kernel programs and prints where they are.

use std::process::ExitCode;

fn main() -> ExitCode {
    match bpf_build::build() {
        Ok(objects) => {
            for object in objects {
                println!("{}", object.display());
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bpf-build: {}", bpf_build::chain(&error));
            ExitCode::FAILURE
        }
    }
}
