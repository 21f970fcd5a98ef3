//! What the demonstration prints.

use std::time::Instant;

/// Prints steps, checks and what the programs showed; silent in a test that passes.
pub struct Say {
    started: Instant,
}

impl Default for Say {
    fn default() -> Self {
        Self {
            started: Instant::now(),
        }
    }
}

impl Say {
    /// A step begins.
    pub fn step(&self, number: u8, what: &str) {
        println!("\n{number}. {what}");
    }

    /// Something was checked and is so.
    pub fn checked(&self, what: &str) {
        println!(
            "   [{:>5.1} s] ok  {what}",
            self.started.elapsed().as_secs_f32()
        );
    }

    /// What a program printed, below the command that made it.
    pub fn shown(&self, command: &str, text: &str) {
        println!("\n   $ {command}");
        for line in text.trim_end().lines() {
            println!("   {line}");
        }
        println!();
    }
}
