//! Running a test or a program again inside namespaces of its own.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result, bail};

use super::Lab;

/// Set inside a lab; its value names what runs there.
const INSIDE: &str = "SLUICE_LAB";

/// Set inside a lab: the process outside whose namespaces a shell can enter.
pub(super) const OUTSIDE: &str = "SLUICE_LAB_PID";

/// Set inside a lab: the file that is made once something runs there.
const PROOF: &str = "SLUICE_LAB_PROOF";

/// Set by `make test`: what cannot run is a failure.
const REQUIRE: &str = "SLUICE_TEST_REQUIRE";

/// Whether this process is inside a lab already.
#[must_use]
pub fn runs_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// The command that opens a shell inside this lab, for a person outside.
#[must_use]
pub fn enter_command() -> String {
    let outside = std::env::var(OUTSIDE).unwrap_or_default();
    format!("nsenter --target {outside} --mount --net")
}

/// Runs the calling test's body in a lab.
///
/// The test program executes itself again, for this one test, in new PID, mount and network
/// namespaces. Without root the test is skipped with a message, or fails where `make test` asked
/// for everything.
///
/// # Panics
/// If the body fails: this is the test's verdict.
pub fn run<F>(body: F)
where
    F: FnOnce(&Lab) -> Result<()>,
{
    if runs_inside() {
        if let Err(error) = in_lab(body) {
            panic!("{error:?}");
        }
        return;
    }
    if !nix::unistd::geteuid().is_root() {
        assert!(
            std::env::var_os(REQUIRE).is_none(),
            "needs root, and make test allows no skips"
        );
        println!("SKIPPED: needs root (network namespaces)");
        return;
    }
    let test = test_name(std::any::type_name::<F>());
    let proof = Proof::new();
    let status = enter(&[test, "--exact", "--nocapture"], test, Some(&proof.0));
    match status {
        // A program that knows no such test runs none, and is content with that.
        Ok(0) => assert!(proof.0.exists(), "{test} is not the test that made the lab"),
        Ok(code) => panic!("the lab of {test} ended with status {code}"),
        Err(error) => panic!("{error:?}"),
    }
}

/// As [`run`], for a test of the release programs: skipped, loudly, where they are not built.
///
/// # Panics
/// As [`run`].
pub fn run_programs<F>(body: F)
where
    F: FnOnce(&Lab) -> Result<()>,
{
    if is_there(["sluice-agent", "sluice"].map(super::built_program)) {
        run(body);
    }
}

/// Whether everything a test needs was found: says what was not, for a test to be skipped.
///
/// # Panics
/// If something is missing and `make test` allows no skips.
pub fn is_there(needs: impl IntoIterator<Item = Result<PathBuf>>) -> bool {
    for need in needs {
        if let Err(error) = need {
            assert!(std::env::var_os(REQUIRE).is_none(), "{error:#}");
            println!("SKIPPED: {error:#}");
            return false;
        }
    }
    true
}

/// Runs this program again, with the same arguments, in a lab; returns its exit status.
///
/// # Errors
/// If the namespaces cannot be made.
pub fn run_program(body: impl FnOnce(&Lab) -> Result<u8>) -> Result<u8> {
    if runs_inside() {
        return in_lab(body);
    }
    if !nix::unistd::geteuid().is_root() {
        bail!("the lab needs root: it makes network namespaces and loads kernel programs");
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    enter(&args, "program", None)
}

/// `setpriv` ends the lab's first process with this one, and `unshare` ends the lab with it. The
/// shell becomes them, so its process id is the one whose namespaces a person enters.
fn enter(args: &[&str], name: &str, proof: Option<&Path>) -> Result<u8> {
    let own = std::env::current_exe().context("finding this program")?;
    super::cgroups::remove_ended();
    let script = format!(
        "export {OUTSIDE}=$$; exec setpriv --pdeathsig KILL \
         unshare --mount --net --pid --fork --kill-child=KILL --mount-proc -- \"$@\""
    );
    let mut command = Command::new("sh");
    command.args(["-c", &script, "lab"]).arg(own).args(args);
    command.env(INSIDE, name).env_remove(PROOF);
    if let Some(proof) = proof {
        command.env(PROOF, proof);
    }
    let mut lab = command.spawn().context("starting sh")?;
    let status = lab.wait().context("waiting for the lab")?;
    super::cgroups::remove_ended();
    match (status.code(), status.signal()) {
        (Some(code), _) => Ok(u8::try_from(code).unwrap_or(u8::MAX)),
        (None, signal) => bail!("the lab was ended by signal {}", signal.unwrap_or(0)),
    }
}

/// A file that a lab makes to show that its body runs.
struct Proof(PathBuf);

impl Proof {
    fn new() -> Self {
        static LABS: AtomicU32 = AtomicU32::new(0);
        let (process, lab) = (std::process::id(), LABS.fetch_add(1, Ordering::Relaxed));
        Self(std::env::temp_dir().join(format!("sluice-lab-{process}-{lab}")))
    }
}

impl Drop for Proof {
    fn drop(&mut self) {
        // There is none if the lab did not get that far.
        let _ = fs::remove_file(&self.0);
    }
}

/// `crate::a::b::{{closure}}` is the type of a closure in the test `a::b`.
fn test_name(closure: &str) -> &str {
    let path = closure.split_once("::").map_or(closure, |(_, path)| path);
    path.split("::{{closure}}").next().unwrap_or(path)
}

/// Runs a body in this process's own namespaces; a failure leaves the ends of all logs behind.
fn in_lab<T>(body: impl FnOnce(&Lab) -> Result<T>) -> Result<T> {
    if let Some(proof) = std::env::var_os(PROOF) {
        fs::write(&proof, "").context("saying that the lab runs")?;
    }
    let lab = Lab::prepare()?;
    let outcome = body(&lab);
    if outcome.is_err() {
        report(&lab);
    }
    outcome
}

/// What a failed lab leaves for the reader: the last lines of every log, and the logs themselves.
fn report(lab: &Lab) {
    let kept = keep_logs(lab);
    for host in lab.hosts() {
        for (name, log) in host.logs() {
            let end = super::tail(&log, 40);
            if !end.is_empty() {
                eprintln!("--- {} {name}\n{end}", host.name());
            }
        }
    }
    match kept {
        Ok(folder) => eprintln!("--- the whole logs are in {}", folder.display()),
        Err(error) => eprintln!("--- the logs were not kept: {error:#}"),
    }
}

/// The lab's folder goes with the lab: copies its logs to the target folder.
fn keep_logs(lab: &Lab) -> Result<PathBuf> {
    let own = std::env::current_exe().context("finding this program")?;
    let target = own
        .ancestors()
        .find(|folder| folder.ends_with("debug") || folder.ends_with("release"))
        .and_then(Path::parent)
        .context("finding the target folder")?;
    let test = std::env::var(INSIDE).unwrap_or_default();
    let folder = target.join("lab-logs").join(test.replace("::", "."));
    for host in lab.hosts() {
        let to = folder.join(host.name());
        fs::create_dir_all(&to).with_context(|| format!("creating {}", to.display()))?;
        for (name, log) in host.logs() {
            fs::copy(&log, to.join(format!("{name}.log")))
                .with_context(|| format!("copying {}", log.display()))?;
        }
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closure_names_the_test_it_is_in() {
        assert_eq!(
            test_name("lab::edge::the_demo_runs::{{closure}}"),
            "edge::the_demo_runs"
        );
    }
}
