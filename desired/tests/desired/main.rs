//! Objects as people write them go in; what each feature is told comes out.

mod property;
mod world;
