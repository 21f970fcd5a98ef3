//! The lab's Kubernetes cluster itself, in one binary. Each test says what it proves.

mod control_plane;
mod definitions;
mod demo;
mod nodes;
mod pod;
