//! [`PostgresServer`]: a PostgreSQL server of a test's own.

use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// PostgreSQL does not run as root: then its processes are nobody's.
const NOBODY: u32 = 65_534;
const PASSWORD: &str = "secret-password";

/// A running server with a new database. It is killed when it is dropped.
pub(crate) struct PostgresServer {
    programs: PathBuf,
    folder: TempDir,
    port: u16,
    process: Child,
}

impl PostgresServer {
    /// Starts a server with the programs in `POSTGRES_BIN`. `None` where that is not set, unless
    /// `REQUIRE_POSTGRES=1` says that it must be.
    pub(crate) fn start() -> Option<Self> {
        let Some(programs) = std::env::var_os("POSTGRES_BIN").map(PathBuf::from) else {
            assert!(std::env::var_os("REQUIRE_POSTGRES").is_none(), "POSTGRES_BIN is not set");
            eprintln!("skipped: POSTGRES_BIN names no PostgreSQL");
            return None;
        };
        let folder = TempDir::new().unwrap();
        let password = folder.path().join("password");
        std::fs::write(&password, PASSWORD).unwrap();
        for path in [folder.path(), &password] {
            if is_root() {
                chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
        let mut initdb = command(&programs, &folder, "initdb");
        initdb.args(["--username=carepath", "--auth=scram-sha-256", "--no-sync", "--encoding=UTF8", "--locale=C"]);
        let made = initdb.arg("--pwfile").arg(&password).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = serve(&programs, &folder, port);
        Some(Self { programs, folder, port, process })
    }

    /// Its address, with the password.
    pub(crate) fn url(&self) -> String {
        format!("postgres://carepath:{PASSWORD}@127.0.0.1:{}/postgres", self.port)
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Starts it again after [`PostgresServer::kill`].
    pub(crate) fn restart(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        // The processes of the one before may be there for a moment.
        while Instant::now() < deadline {
            self.process = serve(&self.programs, &self.folder, self.port);
            if self.process.try_wait().unwrap().is_none() {
                return;
            }
        }
        panic!("PostgreSQL does not start again");
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A server that lets connections in, or has ended.
fn serve(programs: &Path, folder: &TempDir, port: u16) -> Child {
    let mut postgres = command(programs, folder, "postgres");
    postgres.args(["-p", &port.to_string(), "-k", "", "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]);
    let mut process = postgres.spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let ready = Command::new(programs.join("pg_isready"))
            .args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()])
            .status()
            .unwrap();
        if ready.success() || process.try_wait().unwrap().is_some() {
            return process;
        }
        assert!(Instant::now() < deadline, "PostgreSQL does not start");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// One of its programs, on the server's data.
fn command(programs: &Path, folder: &TempDir, program: &str) -> Command {
    let mut command = Command::new(programs.join(program));
    command.current_dir(folder.path()).arg("-D").arg(folder.path().join("data"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}
