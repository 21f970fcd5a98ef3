//! Network namespaces and a bpffs of a test's own, which the kernel frees however the test ends.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::thread;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{geteuid, gettid};

/// The namespaces that a test's thread is in.
pub(crate) struct Sandbox {
    bpffs: PathBuf,
}

/// Another network namespace, entered by a thread of its own.
pub(crate) struct Peer {
    tid: i32,
    work: mpsc::Sender<Box<dyn FnOnce() + Send>>,
}

/// Runs a test in namespaces of its own, or says that it lacks the right to.
pub(crate) fn run(test: impl FnOnce(&Sandbox) + Send + 'static) {
    if !geteuid().is_root() {
        return skip("needs root");
    }
    let folder = tempfile::tempdir().expect("a folder to mount a bpffs on");
    let bpffs = folder.path().to_owned();
    let outcome = thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).expect("own namespaces");
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, private, None::<&str>).expect("private mounts");
        mount(
            Some("bpf"),
            &bpffs,
            Some("bpf"),
            MsFlags::empty(),
            None::<&str>,
        )
        .expect("a bpffs");
        let sandbox = Sandbox { bpffs };
        sandbox.ip("link set lo up");
        test(&sandbox);
    })
    .join();
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

/// Says why a test did not run; fails where every test has to.
pub(crate) fn skip(reason: &str) {
    assert!(
        std::env::var_os("SLUICE_TEST_REQUIRE").is_none_or(|required| required != "1"),
        "SLUICE_TEST_REQUIRE=1, but this test {reason}"
    );
    eprintln!("SKIPPED: this test {reason}");
}

impl Sandbox {
    /// Where this test may pin.
    pub(crate) fn bpffs(&self) -> &Path {
        &self.bpffs
    }

    /// Runs `ip` with these words.
    pub(crate) fn ip(&self, words: &str) {
        ip(words);
    }

    /// Another network namespace.
    pub(crate) fn peer(&self) -> Peer {
        let (work, todo) = mpsc::channel::<Box<dyn FnOnce() + Send>>();
        let (ready, is_ready) = mpsc::channel();
        thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
            ip("link set lo up");
            ready.send(gettid().as_raw()).expect("the test waits");
            for item in todo {
                item();
            }
        });
        let tid = is_ready.recv().expect("the peer's namespace");
        Peer { tid, work }
    }

    /// A veth pair: `name` here, `peer_name` in the peer's namespace; both are up.
    pub(crate) fn veth(&self, name: &str, peer: &Peer, peer_name: &str) {
        self.ip(&format!("link add {name} type veth peer name {peer_name}"));
        self.ip(&format!("link set {peer_name} netns {}", peer.tid()));
        self.ip(&format!("link set {name} up"));
        peer.ip(&format!("link set {peer_name} up"));
    }
}

impl Peer {
    /// The thread whose namespace it is.
    pub(crate) const fn tid(&self) -> i32 {
        self.tid
    }

    /// Does something in the peer's namespace and waits for the result.
    pub(crate) fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, result) = mpsc::channel();
        let item = Box::new(move || drop(done.send(work())));
        self.work.send(item).expect("the peer's thread runs");
        result.recv().expect("the peer's work succeeded")
    }

    /// Runs `ip` with these words in the peer's namespace.
    pub(crate) fn ip(&self, words: &str) {
        let words = words.to_owned();
        self.run(move || ip(&words));
    }
}

/// A thread's children are in its namespaces.
fn ip(words: &str) {
    let output = Command::new("ip")
        .args(words.split_whitespace())
        .output()
        .expect("ip runs");
    assert!(
        output.status.success(),
        "ip {words}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
