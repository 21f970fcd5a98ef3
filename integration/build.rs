//! Embeds the benchmark's kernel programs.

fn main() {
    bpf_build::embed("bench");
}
