//! Compiles the kernel programs.
