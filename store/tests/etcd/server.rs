//! etcd itself, in a folder of its own.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long anything may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// One member. Dropping it ends the process and removes its folder.
pub(crate) struct Etcd {
    pub(crate) dir: TempDir,
    program: PathBuf,
    args: Vec<String>,
    pub(crate) url: String,
    process: Option<Child>,
}

/// The program, or nothing with a word about it. Required when `SLUICE_TEST_REQUIRE` says so.
pub(crate) fn program() -> Option<PathBuf> {
    let folder = std::env::var_os("SLUICE_KUBERNETES_PROGRAMS").map(PathBuf::from);
    let built = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../tools/kubernetes");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = folder.into_iter().chain([built]);
    let found = folders
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join("etcd"))
        .find(|program| program.is_file());
    let is_required = std::env::var_os("SLUICE_TEST_REQUIRE").is_some_and(|value| value == "1");
    assert!(
        found.is_some() || !is_required,
        "there is no etcd: run make setup"
    );
    if found.is_none() {
        eprintln!("skipped: there is no etcd (run make setup)");
    }
    found
}

/// URLs on ports that were free a moment ago.
pub(crate) fn urls<const N: usize>(scheme: &str) -> [String; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| format!("{scheme}://{}", listener.local_addr().unwrap()))
}

impl Etcd {
    /// A member of its own, ready to answer.
    pub(crate) fn start(program: &Path) -> Self {
        let [client] = urls("http");
        let etcd = Self::started(program, &client, &[]);
        etcd.wait();
        etcd
    }

    /// A member that is told more, perhaps not ready to answer.
    pub(crate) fn started(program: &Path, client: &str, more: &[String]) -> Self {
        let dir = TempDir::new().unwrap();
        let [peer] = urls("http");
        let mut args: Vec<String> = vec![
            "--unsafe-no-fsync".into(),
            "--log-level=warn".into(),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
        ];
        if !more.iter().any(|arg| arg.starts_with("--initial-cluster=")) {
            args.push(format!("--listen-peer-urls={peer}"));
            args.push(format!("--initial-advertise-peer-urls={peer}"));
            args.push(format!("--initial-cluster=default={peer}"));
        }
        args.extend_from_slice(more);
        let mut etcd = Self {
            dir,
            program: program.to_owned(),
            args,
            url: client.to_owned(),
            process: None,
        };
        etcd.resume();
        etcd
    }

    /// Ends the process as a power cut would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Stops the process from running without ending it, or lets it go on.
    pub(crate) fn freeze(&self, frozen: bool) {
        let signal = if frozen { "-STOP" } else { "-CONT" };
        let pid = self.process.as_ref().unwrap().id().to_string();
        let status = Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(status.success());
    }

    /// Starts the process on what it had.
    pub(crate) fn resume(&mut self) {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.path().join("log"))
            .unwrap();
        // Whatever becomes of the test, etcd ends with it.
        let process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(&self.program)
            .arg(format!(
                "--data-dir={}",
                self.dir.path().join("data").display()
            ))
            .args(&self.args)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.process = Some(process);
    }

    /// Removes all that it knows.
    pub(crate) fn wipe(&mut self) {
        self.kill();
        fs::remove_dir_all(self.dir.path().join("data")).unwrap();
    }

    /// Waits until it takes connections.
    pub(crate) fn wait(&self) {
        let address = self.url.split_once("://").unwrap().1;
        let start = Instant::now();
        while std::net::TcpStream::connect(address).is_err() {
            assert!(start.elapsed() < LIMIT, "{}", self.log());
            std::thread::yield_now();
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("what etcd said:\n{}", self.log());
        }
    }
}
