//! The Kubernetes objects and custom resources as Rust types, with validation.
