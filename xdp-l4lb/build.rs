//! Embeds the kernel programs.

fn main() {
    bpf_build::embed("xdp-l4lb");
}
