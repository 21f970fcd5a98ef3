//! The same test binary again, inside a virtual machine with another kernel.
//!
//! `kernel-run` boots a stock kernel and runs a command in it as root. It is looked for beside the
//! project; `SLUICE_KERNEL_RUN` names another place, or none if it is empty.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Where it is, seen from the project's root.
const TOOL: &str = "../shared/tools/kernel-run";

/// The tests that start a guest are named so, and not run in it.
const OUTER: &str = "on_linux_";

/// Seconds for a guest, its boot included; an emulated one takes about one.
const LIMIT: &str = "300";

/// A virtual machine, and what runs in it.
#[derive(Default)]
pub(crate) struct Guest<'a> {
    /// Files of this machine, and their places in the guest.
    pub(crate) files: &'a [(&'a Path, &'a str)],
    /// Programs of this machine that the tests run.
    pub(crate) tools: &'a [&'a str],
    /// Variables of the tests' environment.
    pub(crate) env: &'a [(&'a str, &'a str)],
    /// The tests to run; all if there are none.
    pub(crate) only: &'a [&'a str],
}

impl Guest<'_> {
    /// Runs this binary's tests on a kernel and checks that they passed there.
    pub(crate) fn pass_on(&self, kernel: &str) {
        let Some(tool) = tool() else {
            // Nobody has to have it, so this is no failure where tests are required either.
            eprintln!("SKIPPED: no tests on Linux {kernel}: {TOOL} is not there");
            return;
        };
        let output = self.start(&tool, kernel);
        let (said, complained) = (text(&output.stdout), text(&output.stderr));
        if let Some(reason) = not_started(&output, &complained) {
            let required = env::var_os("SLUICE_TEST_REQUIRE").is_some_and(|value| value == "1");
            assert!(
                !required,
                "SLUICE_TEST_REQUIRE=1, but no guest started: {reason}"
            );
            eprintln!("SKIPPED: no tests on Linux {kernel}: {reason}");
            return;
        }
        let passed = passed(&said);
        assert!(
            output.status.success() && passed.is_some_and(|count| count > 0),
            "on Linux {kernel}, {}:\n{said}\n{complained}",
            output.status
        );
        if !self.only.is_empty() {
            assert_eq!(passed, Some(self.only.len()), "{:?}:\n{said}", self.only);
        }
        eprintln!("on Linux {kernel}: {} passed", passed.unwrap_or(0));
    }

    fn start(&self, tool: &Path, kernel: &str) -> Output {
        let mut command = Command::new(tool);
        command
            .args(["--kernel", kernel, "--timeout", LIMIT])
            .args(["--env", "SLUICE_TEST_REQUIRE=1"]);
        for (file, place) in self.files {
            let mut pair = file.as_os_str().to_owned();
            pair.push(":");
            pair.push(place);
            command.arg("--with").arg(pair);
        }
        for tool in self.tools {
            command.args(["--tool", tool]);
        }
        for (name, value) in self.env {
            command.arg("--env").arg(format!("{name}={value}"));
        }
        command
            .arg("--")
            .arg(env::current_exe().expect("a test binary knows its path"))
            .args(["--test-threads=1", "--skip", OUTER]);
        if !self.only.is_empty() {
            command.arg("--exact").args(self.only);
        }
        command.output().expect("kernel-run can be started")
    }
}

/// The tool, unless it is not there or not wanted.
fn tool() -> Option<PathBuf> {
    let path = env::var_os("SLUICE_KERNEL_RUN").unwrap_or_else(|| TOOL.into());
    let path = root().join(path);
    path.is_file().then_some(path)
}

/// The project's root: the folder with the lock file.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here
        .ancestors()
        .find(|folder| folder.join("Cargo.lock").is_file());
    root.unwrap_or(here).to_path_buf()
}

/// Why there was no guest, such as a missing emulator. A guest that died is another matter.
fn not_started(output: &Output, complained: &str) -> Option<String> {
    const NO_GUEST: i32 = 125;
    let died = complained.contains("the guest died");
    (output.status.code() == Some(NO_GUEST) && !died).then(|| complained.trim().to_owned())
}

/// How many tests passed, if the summary says that all did.
fn passed(said: &str) -> Option<usize> {
    let summary = said
        .lines()
        .find_map(|line| line.strip_prefix("test result: ok. "))?;
    let (count, rest) = summary.split_once(" passed; ")?;
    rest.starts_with("0 failed; 0 ignored;")
        .then(|| count.parse().ok())?
}

fn text(bytes: &[u8]) -> String {
    // The guest's terminal ends lines in its own way.
    String::from_utf8_lossy(bytes).replace('\r', "")
}
